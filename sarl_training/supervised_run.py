"""One task learned from its labels: the loop of `sarl-train supervise`, its exact resumption and its scores."""

from __future__ import annotations

import copy
import io
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sarl_training import diagnostics, pictures, unit_offsets
from sarl_training.atomic_file import write_atomically
from sarl_training.config import to_dict
from sarl_training.dataset import Table
from sarl_training.errors import DataRefused
from sarl_training.image_feed import open_feed
from sarl_training.networks import EMBEDDING, ENCODER_FILE, MAP_CHANNELS, Encoder, normalise, save_encoder
from sarl_training.optim import OptimConfig, build_optimiser, learning_rate, set_rate
from sarl_training.readouts import READOUTS, SPATIAL_GRIDS
from sarl_training.run_folder import RunFolder
from sarl_training.run_log import RunLog
from sarl_training.sampler import Sampler
from sarl_training.task_probe import mean_prediction, said, score, task_labels
from sarl_training.tasks import Task
from sarl_training.unit_offsets import UnitSampler
from sarl_training.views import ViewConfig, make_view

if TYPE_CHECKING:
    from lightning.fabric import Fabric

CHECKPOINT_SECONDS = 60.0  # at least so long between two checkpoints, each after an epoch
PREDICTIONS_FILE = "predictions.npz"
PICTURE_FILE = "predictions.png"
EVALUATED_AT_ONCE = 128  # images
Readout = Literal["gap", "spatial"]
WIDTHS: dict[Readout, int] = {
    "gap": EMBEDDING,
    "spatial": sum(MAP_CHANNELS[layer] * grid**2 for layer, grid in SPATIAL_GRIDS.items()),
}


class Settings(Protocol):
    """What the loop reads of the verb's config."""

    readout: Readout
    image_size: int
    epochs: int
    batch_size: int
    seed: int
    views: ViewConfig
    optim: OptimConfig


class TaskData(NamedTuple):
    """One task's labels and its images, in the order of the table."""

    task: Task
    table: Table
    images_NHWC: np.memmap
    unit_N: np.ndarray | None = None
    """Which unit of the sensor, where its offset is to be forgiven."""

    def rows(self, split: str) -> np.ndarray:
        """Where a split's samples are in the table."""
        return np.flatnonzero(self.table.split == split)

    def labels(self) -> Tensor:
        """Targets N×D float32 in the dataset's units, or class indices N."""
        return task_labels(self.task, self.table)


class SupervisedNetwork(nn.Module):
    """ResNet-18 and one linear layer. Regression targets are standardised by the train split's mean and deviation.

    The 12,288 numbers of the spatial readout are standardised before the layer, which starts at zero: a good encoder is
    not disturbed by a random layer.
    """

    def __init__(
        self, task: Task, labels_train: Tensor, classes: int, encoder: Encoder | None = None, readout: Readout = "gap"
    ) -> None:
        super().__init__()
        self.encoder = encoder or Encoder()
        self.readout = READOUTS[readout]
        self.regression = task.kind == "regression"
        layer = nn.Linear(WIDTHS[readout], len(task.columns) if self.regression else classes)
        if readout == "gap":
            self.head: nn.Module = layer
        else:
            standardise = nn.BatchNorm1d(WIDTHS[readout])
            nn.init.constant_(standardise.weight, (EMBEDDING / WIDTHS[readout]) ** 0.5)  # learns as fast as from "gap"
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
            self.head = nn.Sequential(standardise, layer)
        mean_D, std_D = torch.zeros(()), torch.ones(())
        if self.regression:
            mean_D, std_D = labels_train.mean(dim=0), labels_train.std(dim=0, correction=0).clamp_min(1e-12)
        self.register_buffer("mean_D", mean_D)
        self.register_buffer("std_D", std_D)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Label units B×D, or logits B×K; float32."""
        return self.head(self.readout(self.encoder(x_BCHW))).float() * self.std_D + self.mean_D

    def loss(self, output_BD: Tensor, labels_B: Tensor, unit_B: Tensor | None = None) -> Tensor:
        """Mean squared error of standardised targets, or cross entropy; with units that of `unit_offsets`."""
        if unit_B is not None:
            return unit_offsets.loss((output_BD - labels_B) / self.std_D, unit_B)
        if self.regression:
            return ((output_BD - labels_B) / self.std_D).square().mean()
        return F.cross_entropy(output_BD, labels_B)

    def error(self, output_ND: Tensor, labels_N: Tensor) -> float:
        """What the epoch is chosen by: mean absolute error in standard deviations, or 1 - Top-1."""
        if self.regression:
            return float(((output_ND - labels_N) / self.std_D).abs().mean())
        return float((output_ND.argmax(dim=1) != labels_N).float().mean())


class SupervisedRun:
    """The loop and what it needs. Between epochs all its state is what a checkpoint holds."""

    def __init__(
        self,
        config: Settings,
        fabric: Fabric,
        folder: RunFolder,
        data: TaskData,
        metadata: dict[str, Any],
        encoder: Encoder | None = None,
    ) -> None:
        """Start from a copy of `encoder`, or from random weights."""
        self.config, self.fabric, self.folder, self.data, self.metadata = config, fabric, folder, data, metadata
        self.train_rows = data.rows("train")
        self.labels_N = data.labels().to(fabric.device)
        torch.manual_seed(config.seed)
        network = SupervisedNetwork(
            data.task,
            data.labels()[self.train_rows],
            len(data.table.class_names),
            copy.deepcopy(encoder),
            config.readout,
        )
        self.network = network.to(fabric.device)
        self.optimiser = build_optimiser(self.network, config.optim)
        self.sampler: Sampler | UnitSampler = Sampler(len(self.train_rows), config.batch_size, config.seed)
        if data.unit_N is not None:
            self.sampler = UnitSampler(data.unit_N[self.train_rows], config.batch_size, config.seed)
        self.feed = open_feed(data.images_NHWC, fabric.device)
        self.total = self.sampler.steps_per_epoch * config.epochs
        self.step, self.best = 0, {"error": float("inf"), "epoch": 0, "network": {}}

    def learn(self) -> dict[str, Any]:
        """Train to the end from the newest checkpoint, if there is one; the scores of the best epoch."""
        self._restore()
        progress = {"step": self.step, "steps": self.total, "batch_size": self.config.batch_size}
        settings = {**to_dict(self.config), "method_name": f"supervise {self.data.task.name}"}
        saved = time.monotonic()
        with RunLog(self.folder, settings, (), **progress) as log:
            while self.step < self.total:
                values = self._epoch(log)
                log.log(self.step, self.step / self.sampler.steps_per_epoch, values)
                log.show(values, ("loss", "val_error"))
                if time.monotonic() - saved >= CHECKPOINT_SECONDS and self.step < self.total:
                    self._save()
                    saved = time.monotonic()
        self.network.load_state_dict(self.best["network"])
        save_encoder(self.network.encoder, self.folder.path / ENCODER_FILE, self.metadata)
        return self._result()

    def _epoch(self, log: RunLog) -> dict[str, float]:
        """One pass over the train images, then the error on val; keeps the network if it is the best so far."""
        config, meter = self.config, diagnostics.Meter()
        self.network.train()
        for _ in range(self.sampler.steps_per_epoch):
            rate = learning_rate(self.step, self.total, config.optim)
            set_rate(self.optimiser, rate, peak=config.optim.lr)
            epoch, (samples_B,) = self.sampler.step(self.step)
            rows_B = self.train_rows[samples_B]
            view = make_view(
                self.feed.take(rows_B), rows_B, config.image_size, config.views, seed=config.seed, epoch=epoch, view=0
            )
            with self.fabric.autocast():
                output_BD = self.network(view.x_BCHW)
            index_B = torch.from_numpy(rows_B).to(self.labels_N.device)
            unit_B = None if self.data.unit_N is None else torch.from_numpy(self.data.unit_N[rows_B]).to(index_B.device)
            loss = self.network.loss(output_BD, self.labels_N[index_B], unit_B)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            self.step += 1
            meter.add({"loss": loss.detach()}, config.batch_size)
            log.advance()
        meter.check_finite(self.step)
        val = self.data.rows("val")
        error = self.network.error(self._predict(val), self.labels_N[torch.from_numpy(val)])
        if error < self.best["error"]:
            self.best = {"error": error, "epoch": epoch + 1, "network": copy.deepcopy(self.network.state_dict())}
        return {**meter.take(), "lr": rate, "val_error": error, "best_epoch": self.best["epoch"]}

    @torch.no_grad()
    def _predict(self, rows_N: np.ndarray) -> Tensor:
        self.network.eval()
        outputs = []
        for start in range(0, len(rows_N), EVALUATED_AT_ONCE):
            images_BHWC = self.feed.take(rows_N[start : start + EVALUATED_AT_ONCE])
            with self.fabric.autocast():
                outputs.append(self.network(normalise(images_BHWC)))
        return torch.cat(outputs)

    def _result(self) -> dict[str, Any]:
        """Scores of the best epoch on val and test, beside those of the mean (or the commonest class) of train."""
        task, labels_N = self.data.task, self.data.labels()
        scores: dict[str, dict[str, Mapping[str, float]]] = {"supervised": {}, "mean": {}}
        for split in ("val", "test"):
            rows_N = self.data.rows(split)
            predicted_1ND = self._predict(rows_N).cpu()[None]
            if split == "test":
                self._keep_predictions(labels_N[rows_N], predicted_1ND[0])
            mean_1ND = mean_prediction(task, labels_N[self.train_rows], len(rows_N), predicted_1ND.shape[2])
            for model, values_1ND in {"supervised": predicted_1ND, "mean": mean_1ND}.items():
                scores[model][split] = score(task, values_1ND, labels_N[rows_N])
        count = {split: len(self.data.rows(split)) for split in ("train", "val", "test")}
        chosen = {"epoch": self.best["epoch"], "val_error": self.best["error"]}
        return {"kind": task.kind, "count": count, "chosen": chosen, **scores}

    def _keep_predictions(self, true_N: Tensor, predicted_ND: Tensor) -> None:
        """What was predicted on test, as numbers and as a picture."""
        buffer = io.BytesIO()
        np.savez(buffer, true=true_N.numpy(), predicted=predicted_ND.float().numpy())
        write_atomically(self.folder.path / PREDICTIONS_FILE, buffer.getvalue())
        task, table = self.data.task, self.data.table
        title = f"{self.metadata['method']}{' (simulated)' if self.metadata['simulated'] else ''}, test"
        found = {f"seed {self.config.seed}": said(task, predicted_ND.float()).numpy()}
        pictures.predictions(self.folder.path / PICTURE_FILE, title, task, table.class_names, true_N.numpy(), found)

    def _save(self) -> None:
        state = {"step": self.step, "best": self.best}
        networks = {"network": self.network.state_dict(), "optimiser": self.optimiser.state_dict()}
        self.folder.save_checkpoint(self.step, {**state, **networks})

    def _restore(self) -> None:
        state = self.folder.load_checkpoint(self.fabric.device)
        if state is None:
            return
        try:
            self.network.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step, self.best = state["step"], state["best"]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise DataRefused(
                f"{self.folder.path}: the checkpoint is not one of this task ({str(error).splitlines()[0]}); "
                "start a new run in another --out"
            ) from error

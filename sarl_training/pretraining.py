"""The pretraining loop: views -> terms -> step, and at times measure, probe and checkpoint."""

import logging
import shlex
import time
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from sarl_training import diagnostics
from sarl_training.errors import DataRefused, RunFailed
from sarl_training.methods import Method
from sarl_training.networks import BEST_ENCODER_FILE, ENCODER_FILE, save_encoder
from sarl_training.online_probe import SCORE, OnlineProbe
from sarl_training.optim import learning_rate
from sarl_training.pretrain_config import PretrainConfig
from sarl_training.run_folder import RunFolder
from sarl_training.views import View, make_view

logger = logging.getLogger(__name__)

WATCHED_IMAGES = 512  # un-augmented images whose embeddings are watched for collapse


class Pretraining:
    """The loop and what it needs. Between steps all its state is the method, the optimiser and the number of steps."""

    def __init__(
        self,
        config: PretrainConfig,
        folder: RunFolder,
        fabric: Fabric,
        images: np.ndarray,
        method: Method,
        optimiser: torch.optim.Optimizer,
        metadata: dict[str, Any],
        probe: OnlineProbe | None = None,
    ) -> None:
        self.config, self.folder, self.fabric, self.images = config, folder, fabric, images
        self.method, self.optimiser, self.metadata, self.probe = method, optimiser, metadata, probe
        self.steps_per_epoch = len(images) // config.batch_size
        self.total = self.steps_per_epoch * config.epochs
        self.step = 0
        self.best = float("-inf")  # score of the best online probe so far
        self.resume_command = f"sarl-train pretrain {config.method_name} --out {shlex.quote(str(config.out))} --resume"

    def restore(self) -> None:
        """Take over the newest readable checkpoint."""
        state = self.folder.load_checkpoint(self.fabric.device)
        if state is not None:
            try:
                self.method.load_state_dict(state["method"])
                self.optimiser.load_state_dict(state["optimiser"])
                self.step, self.best = state["step"], state["best"]
            except (KeyError, TypeError, ValueError, RuntimeError) as error:
                raise DataRefused(
                    f"{self.folder.path}: the checkpoint is not one of this method and architecture "
                    f"({str(error).splitlines()[0]}); start a new run in another --out"
                ) from error
        self.folder.forget_metrics_after(self.step)

    def train(self) -> None:
        """Run the steps that are left."""
        config, size = self.config, self.config.batch_size
        writer = SummaryWriter(self.folder.path / "tensorboard", purge_step=self.step + 1)
        progress = tqdm(
            total=self.total * size, initial=self.step * size, unit="img", unit_scale=True, desc=config.method_name
        )
        meter, saved = diagnostics.Meter(), time.monotonic()
        with writer, progress:
            while self.step < self.total:
                measure = (self.step + 1) % config.log_every == 0 or self.step + 1 == self.total
                rate = learning_rate(self.step, self.total, config.optim)
                terms, norms = self.take_step(rate, measure)
                meter.add(terms, size)
                progress.update(size)
                overdue = time.monotonic() - saved > 60 * config.checkpoint_minutes
                due = self.step % self.steps_per_epoch == 0 or overdue
                if measure or due:
                    meter.check_finite(self.step)
                if measure:
                    self.report({**meter.take(), "lr": rate, **norms, **self.watch()}, writer, progress)
                if self.probe_is_due():
                    self.log(self.measure_probe(), writer)
                if due:
                    self.save()
                    saved = time.monotonic()

    def take_step(self, rate: float, measure: bool) -> tuple[dict[str, Tensor], dict[str, float]]:
        """One batch: its terms, and if `measure` the norms of the weighted terms' gradients at the end of layer 3."""
        self.method.before_step(self.step, self.total)
        views = self.views(self.step)
        with self.fabric.autocast():
            terms = self.method(*views)
        norms = {}
        if measure:
            layer3 = self.method.encoder.layer3[-1].conv2.weight
            norms = diagnostics.gradient_norms(terms, self.method.weights(), layer3)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad()
        terms["loss"].backward()
        self.optimiser.step()
        self.method.after_step()
        self.step += 1
        return {name: term.detach() for name, term in terms.items()}, norms

    def views(self, step: int) -> list[View]:
        """The views of step `step`, whatever ran before it."""
        config = self.config
        epoch, position = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng((config.seed, epoch)).permutation(len(self.images))
        samples_B = order[position * config.batch_size : (position + 1) * config.batch_size]
        images_BHWC = self._images(samples_B)
        plan = self.method.plan(config.views, config.image_size)
        return [
            make_view(images_BHWC, samples_B, size, view_config, seed=config.seed, epoch=epoch, view=number)
            for number, (view_config, size) in enumerate(plan)
        ]

    def watch(self) -> dict[str, float]:
        """Spread of the embeddings of a fixed set of images, with an alarm when they have become one."""
        chosen = np.linspace(0, len(self.images) - 1, min(WATCHED_IMAGES, len(self.images))).astype(int)
        with self.fabric.autocast():
            embedding_BD = diagnostics.embed(self.method.encoder, self._images(chosen))
        spread = {
            "feature_std": diagnostics.feature_std(embedding_BD),
            "effective_rank": diagnostics.effective_rank(embedding_BD),
        }
        alarm = diagnostics.collapse_alarm(**spread)
        if alarm:
            logger.warning("step %d: %s", self.step, alarm)
        return {**spread, "collapsed": float(bool(alarm))}

    def probe_is_due(self) -> bool:
        """After every `probe_every` epochs and after the last one."""
        epoch, rest = divmod(self.step, self.steps_per_epoch)
        return self.probe is not None and not rest and (not epoch % self.config.probe_every or self.step == self.total)

    def measure_probe(self) -> dict[str, float]:
        """The online probe's values; keeps the encoder if its score is the best so far."""
        with self.fabric.autocast():
            values = self.probe.measure(self.method.encoder)
        if values.get(SCORE, float("-inf")) > self.best:
            self.best = values[SCORE]
            metadata = {**self.metadata, "steps": f"{self.step}/{self.total}", "probe_score": round(self.best, 6)}
            save_encoder(self.method.encoder, self.folder.path / BEST_ENCODER_FILE, metadata)
        return values

    def log(self, values: dict[str, float], writer: SummaryWriter) -> None:
        """To metrics.jsonl and TensorBoard."""
        if values:
            self.folder.log({"step": self.step, "epoch": round(self.step / self.steps_per_epoch, 3), **values})
        for name, value in values.items():
            writer.add_scalar(name, value, self.step)

    def report(self, values: dict[str, float], writer: SummaryWriter, progress: tqdm) -> None:
        """Log, and show the terms beside the progress bar."""
        self.log(values, writer)
        shown = ("loss", *self.method.weights(), "effective_rank")
        progress.set_postfix_str(" ".join(f"{name} {values[name]:.3g}" for name in shown))

    def save(self) -> None:
        """Checkpoint, then the encoder as it is now."""
        state = {
            "step": self.step,
            "best": self.best,
            "method": self.method.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        metadata = {**self.metadata, "steps": f"{self.step}/{self.total}"}
        try:
            self.folder.save_checkpoint(self.step, state)
            save_encoder(self.method.encoder, self.folder.path / ENCODER_FILE, metadata)
        except RunFailed as error:
            raise RunFailed(
                f"{error}. The checkpoint before is whole. Then continue with: {self.resume_command}"
            ) from error

    def _images(self, samples_B: np.ndarray) -> Tensor:
        return torch.from_numpy(self.images[samples_B]).to(self.fabric.device, non_blocking=True)

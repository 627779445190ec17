"""What the encoder knows while it is being pretrained: a linear probe in closed form, seconds instead of minutes.

It stands in for the linear probe of the protocol (`sarl-train probe`), which is what to report. It reads train and val
only; test images are never opened.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sarl_training.dataset import Dataset, Table, load_images
from sarl_training.diagnostics import embed
from sarl_training.ridge import decompose, fit_ridge
from sarl_training.tasks import TASKS, Task

logger = logging.getLogger(__name__)

PROBED = ("edge_pose", "shape")
TRAIN_IMAGES, VAL_IMAGES = 2000, 500  # of all tasks together
CHOOSING = 5  # every fifth train image chooses the ridge penalty instead of being fitted
SCORE = "probe/score"
_LEAST = 20  # images of a split below which its task is left out
_CHUNK = 64


class OnlineProbe:
    """Ridge regressions on frozen embeddings, fitted on train and measured on val, of the tasks in `PROBED`.

    At most 2000 train and 500 val images in all, the same in every run on the same data. Draws no random number that
    training could miss, and leaves the encoder as it was.
    """

    def __init__(self, dataset: Dataset, sensor: str, image_size: int, device: torch.device) -> None:
        """Reads labels and decodes images; a dataset without them is said so once, and `measure` is then empty."""
        self.device = device
        tasks = [] if dataset.flat else [name for name in PROBED if sensor in dataset.sensors(name)]
        most = {"train": TRAIN_IMAGES // max(len(tasks), 1), "val": VAL_IMAGES // max(len(tasks), 1)}
        tables = {name: dataset.table(name, sensor, TASKS[name].columns) for name in tasks}
        folds = [_fold(TASKS[name], table, most, image_size) for name, table in tables.items()]
        self.folds = [fold for fold in folds if fold is not None]
        if not self.folds:
            lack = f"fewer than {_LEAST} train or val images with" if tasks else "no"
            logger.info(
                "online probe: off (%s has %s labels of %s for %s)", dataset.path, lack, " or ".join(PROBED), sensor
            )

    def measure(self, encoder: nn.Module) -> dict[str, float]:
        """`probe/<task>/<axis>_<unit>` (mean absolute error), `probe/<task>/top1` (fraction) and `probe/score`, on val.

        The score is the mean over tasks of what is gained on the mean predictor: 1 - MAE / its MAE, mean over axes, or
        (top1 - its top1) / (1 - its top1). 1 is perfect, 0 no better than not looking. Empty without labels.
        """
        values: dict[str, float] = {}
        gains = []
        for fold in self.folds:
            found, gain = fold.measure(self._embed(encoder, fold.images))
            values |= {f"probe/{fold.task.name}/{name}": value for name, value in found.items()}
            gains.append(gain)
        return {**values, SCORE: float(np.mean(gains))} if gains else {}

    def _embed(self, encoder: nn.Module, images_NHWC: np.ndarray) -> Tensor:
        chunks = [images_NHWC[start : start + _CHUNK] for start in range(0, len(images_NHWC), _CHUNK)]
        return torch.cat([embed(encoder, torch.from_numpy(np.array(chunk)).to(self.device)) for chunk in chunks]).cpu()


@dataclass(frozen=True)
class _Fold:
    """One task: images of train, then of val, and their labels in that order."""

    task: Task
    images: np.ndarray
    labels_N: Tensor
    """N×D values in dataset units, or N class indices."""
    train: int
    classes: int

    def measure(self, embedding_ND: Tensor) -> tuple[dict[str, float], float]:
        """Errors on val, and what is gained on the mean predictor."""
        regression = self.task.kind == "regression"
        targets_ND = self.labels_N if regression else F.one_hot(self.labels_N, self.classes).double()
        choosing = torch.arange(self.train) % CHOOSING == 0
        x_ND, y_ND = embedding_ND[: self.train], targets_ND[: self.train]
        fitted, chosen = (x_ND[~choosing], y_ND[~choosing]), (x_ND[choosing], y_ND[choosing])
        predicted_ND = fit_ridge(decompose(fitted[0]), fitted, chosen).predict(embedding_ND[self.train :])
        true = self.labels_N[self.train :]
        if regression:
            error_D = (predicted_ND - true).abs().mean(0)
            mean_error_D = (y_ND.mean(0) - true).abs().mean(0)
            gain = float((1 - error_D / mean_error_D.clamp_min(1e-12)).mean())
            return dict(zip(self.task.columns, error_D.tolist(), strict=True)), gain
        top1 = float((predicted_ND.argmax(1) == true).double().mean())
        commonest = float((y_ND.sum(0).argmax() == true).double().mean())
        return {"top1": top1}, (top1 - commonest) / max(1 - commonest, 1e-12)


def _fold(task: Task, table: Table, most: Mapping[str, int], image_size: int) -> _Fold | None:
    train, val = (_sample(table, split, most[split]) for split in ("train", "val"))
    if min(len(train), len(val)) < _LEAST:
        return None
    rows = table.rows(np.concatenate([train, val]))
    labels = rows.targets(task.columns) if task.kind == "regression" else rows.columns["label"]
    images = load_images(rows.images, image_size)
    return _Fold(task, images, torch.from_numpy(labels), len(train), len(table.class_names))


def _sample(table: Table, split: str, most: int) -> np.ndarray:
    """Row numbers of at most so many images, drawn: even steps would beat with classes that come in turns."""
    rows = np.flatnonzero(table.split == split)
    return rows if len(rows) <= most else np.sort(np.random.default_rng(0).choice(rows, most, replace=False))

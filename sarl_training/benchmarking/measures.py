"""What is measured on a frozen encoder: linear probes, budgets of labels, readouts and what they cost."""

import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sarl_training.dataset import Dataset, Table, load_images
from sarl_training.features import extract, random_encoder, statistics_sample
from sarl_training.fine_tuning import trunk_of
from sarl_training.label_budget import with_labels
from sarl_training.labels import SPLITS
from sarl_training.networks import Encoder, normalise
from sarl_training.probe_metrics import classification_scores
from sarl_training.readouts import READOUTS
from sarl_training.ridge import decompose, fit_ridge
from sarl_training.task_probe import Fold, fit_probe, mean_prediction, score, task_labels
from sarl_training.tasks import Task

Metrics = dict[str, dict[str, float]]
"""Values by name, of `val` and of `test`."""
FITS = ("ridge", "sgd")
PROBE, HEAD = ("gap", "sgd"), ("spatial", "ridge")  # readout and fit
_SPATIAL_LAYERS = ("layer2", "layer3")
_TIMED, _WARM_UP = 30, 5


def random_start(dataset: Dataset, sensor: str, size: int, seed: int, device: torch.device) -> Encoder:
    """Random weights, with batch-norm statistics of the SSL pool."""
    return random_encoder(load_images(statistics_sample(dataset.ssl_pool(sensor)), size), seed, device)


def probe(encoder: Encoder, tables: Mapping[Task, Table], size: int, seed: int) -> Metrics:
    """The linear probe of the protocol on every task."""
    return _every_task(encoder, tables, size, seed, *PROBE)


def heads(encoder: Encoder, tables: Mapping[Task, Table], size: int, seed: int) -> Metrics:
    """Heads of the kind that `export` ships, on every task."""
    return _every_task(encoder, tables, size, seed, *HEAD)


def _every_task(
    encoder: Encoder, tables: Mapping[Task, Table], size: int, seed: int, readout: str, fit: str
) -> Metrics:
    found: Metrics = {"val": {}, "test": {}}
    for task, table in tables.items():
        folds = _folds(encoder, readout, task, table, size)
        _add(found, f"{task.name}/", task, _fit(fit, task, folds, len(table.class_names), seed), folds)
    return found


def mean_predictor(tables: Mapping[Task, Table]) -> Metrics:
    """What is reached without looking at an image."""
    found: Metrics = {"val": {}, "test": {}}
    for task, table in tables.items():
        labels = task_labels(task, table)
        train = labels[torch.from_numpy(table.split == "train")]
        for split in found:
            true = labels[torch.from_numpy(table.split == split)]
            predicted = mean_prediction(task, train, len(true), len(table.class_names))
            _put(found[split], f"{task.name}/", score(task, predicted, true))
    return found


def budget(encoder: Encoder, tables: Mapping[Task, Table], size: int, seed: int, labels: int | None) -> Metrics:
    """The linear probe, and the exported kind of head, with `labels` labelled samples (all of them when None)."""
    found: Metrics = {"val": {}, "test": {}}
    for task, table in tables.items():
        few = table if labels is None else with_labels(table, labels, seed)
        for readout, fit in (PROBE, HEAD):
            folds = _folds(encoder, readout, task, few, size)
            predict = _fit(fit, task, folds, len(table.class_names), seed)
            _add(found, f"{readout}+{fit}/{task.name}/", task, predict, folds)
    return found


def readouts(encoder: Encoder, tables: Mapping[Task, Table], size: int, seed: int) -> Metrics:
    """Every readout, fitted in closed form and by gradient steps, on every task."""
    found: Metrics = {"val": {}, "test": {}}
    for task, table in tables.items():
        for readout in READOUTS:
            folds = _folds(encoder, readout, task, table, size)
            for fit in FITS:
                predict = _fit(fit, task, folds, len(table.class_names), seed)
                _add(found, f"{readout}+{fit}/{task.name}/", task, predict, folds)
    return found


def readout_costs(encoder: Encoder, size: int) -> dict[str, float]:
    """Features, and milliseconds an image (median of 30) from pixels to the readout; `spatial` needs no layer 4."""
    device = next(encoder.parameters()).device
    image = torch.zeros(1, size, size, 3, dtype=torch.uint8, device=device)
    costs: dict[str, float] = {}
    with torch.inference_mode():
        for name in READOUTS:
            forward = (
                partial(_spatial_only, encoder, image) if name == "spatial" else partial(_whole, encoder, image, name)
            )
            costs[f"{name}/features"] = float(forward().shape[1])
            costs[f"{name}/ms"] = _median_ms(forward, device)
    return costs


def edge_points(encoder: Encoder, task: Task, table: Table, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted test values [N, D] of the linear probe."""
    readout, fit = PROBE
    folds = _folds(encoder, readout, task, table, size)
    predict = _fit(fit, task, folds, len(table.class_names), seed)
    return folds["test"][1].cpu().numpy(), predict(folds["test"][0]).cpu().numpy()


def _folds(encoder: Encoder, readout: str, task: Task, table: Table, size: int) -> dict[str, Fold]:
    images = load_images(table.images, size)
    device = next(encoder.parameters()).device
    features = extract(encoder, READOUTS[readout], images, f"embed {task.name}")
    labels = task_labels(task, table)
    rows = {split: torch.from_numpy(np.flatnonzero(table.split == split)) for split in SPLITS}
    return {split: (features[index].to(device), labels[index].to(device)) for split, index in rows.items()}


def _fit(fit: str, task: Task, folds: Mapping[str, Fold], classes: int, seed: int) -> Callable[[Tensor], Tensor]:
    """Features [N, F] to label units [N, D] or scores [N, K]."""
    if fit == "sgd":
        probe = fit_probe(task, folds, classes, (seed,))
        return lambda x_NF: probe.predict(x_NF)[0]
    train, val = folds["train"], folds["val"]
    if task.kind == "classification":
        train, val = ((x, F.one_hot(label, classes).double()) for x, label in (train, val))
    return fit_ridge(decompose(train[0]), train, val).predict


def _add(
    found: Metrics, prefix: str, task: Task, predict: Callable[[Tensor], Tensor], folds: Mapping[str, Fold]
) -> None:
    for split in found:
        features, true = folds[split]
        _put(found[split], prefix, score(task, predict(features).float().cpu()[None], true.cpu()))


def _put(values: dict[str, float], prefix: str, scores: Mapping[str, float]) -> None:
    """One seed has no spread: the names that end in _std are left out."""
    values |= {prefix + name: value for name, value in scores.items() if not name.endswith("_std")}


def _whole(encoder: Encoder, image_BHWC: Tensor, readout: str) -> Tensor:
    return READOUTS[readout](encoder(normalise(image_BHWC)))


def _spatial_only(encoder: Encoder, image_BHWC: Tensor) -> Tensor:
    trunk = trunk_of(encoder)
    layer2 = trunk[:-1](normalise(image_BHWC))
    maps = dict(zip(_SPATIAL_LAYERS, (layer2, trunk[-1](layer2)), strict=True))
    return READOUTS["spatial"](_Maps(maps))


class _Maps:
    def __init__(self, maps: dict[str, Tensor]) -> None:
        self.maps, self.embedding_BD = maps, maps["layer3"].mean((2, 3))


def _median_ms(work: Callable[[], object], device: torch.device) -> float:
    times = []
    for _ in range(_WARM_UP + _TIMED):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times[_WARM_UP:]))


def class_scores(logits_NK: Tensor, true_N: Tensor) -> dict[str, float]:
    """Top-1 and Top-5 without spread."""
    scores: dict[str, float] = {}
    _put(scores, "", classification_scores(logits_NK[None], true_N))
    return scores

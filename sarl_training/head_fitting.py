"""Fits all that sits on a trunk: the heads, the sense for unfamiliar images, and how fast covariances grow with it.

Heads are fitted in closed form on train; lambda, uncertainty and thresholds come from val.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sarl_training.dataset import Table, load_images
from sarl_training.deployed_model import Heads, TrunkFeatures
from sarl_training.deployment_heads import fit_classification, fit_contact, fit_regression
from sarl_training.errors import DataRefused
from sarl_training.familiarity import Familiarity, fit_familiarity, fit_growth
from sarl_training.task_answers import errors, labels
from sarl_training.tasks import TASKS, Task
from sarl_training.unlike_frames import SAME_CONTACT

GROWTH_IMAGES = 60  # of val, per task and kind of frame

Reader = Callable[[np.ndarray, str], TrunkFeatures]
"""Trunk features (CPU) of uint8 images [N, H, W, 3]; the text names the work in the progress bar."""


@dataclass(frozen=True)
class Fitted:
    """Heads on one trunk, and their errors on val."""

    heads: Heads
    validation: Mapping[Task, list[float]]


@dataclass(frozen=True)
class Rounding:
    """What a trunk's rounding of activations does: it differs from image to image, so it must not be fitted."""

    exact: Reader
    """The trunk without it."""
    noise_F: Tensor
    """The variance it adds to each feature."""


def fit(
    read: Reader,
    tables: Mapping[Task, Table],
    familiar: Mapping[str, Table],
    size: int,
    rounding: Rounding | None = None,
) -> Fitted:
    """Heads for `tables`; `familiar` holds every labelled table of the sensor: its frames are what is not strange.

    With `rounding`, the train split is read without it; lambda, uncertainty and thresholds see it on val.
    """
    heads: dict[Task, nn.Module] = {}
    validation: dict[Task, list[float]] = {}
    channels: dict[str, list[Tensor]] = {"train": [], "val": []}
    by_name = {task.name: task for task in tables}
    for name, table in familiar.items():
        folds = {}
        for split, rows in channels.items():
            part = table.part(split)
            reader = rounding.exact if rounding is not None and split == "train" else read
            features = reader(load_images(part.images, size), f"{name} {split}")
            rows.append(features.channels_BC)
            folds[split] = features.phi_BF
        if name in by_name:
            noise_F = 0.0 if rounding is None else rounding.noise_F
            heads[by_name[name]], validation[by_name[name]] = _fit_head(by_name[name], table, folds, noise_F)
    familiarity = fit_familiarity(torch.cat(channels["train"]), torch.cat(channels["val"]))
    slopes = _fit_slopes(read, heads, tables, familiarity, size)
    in_order = {task.output: heads[task] for task in tables}
    return Fitted(Heads(in_order, familiarity.with_growth(slopes)), {task: validation[task] for task in tables})


def _fit_head(
    task: Task, table: Table, phi_NF: Mapping[str, Tensor], noise_F: Tensor | float
) -> tuple[nn.Module, list[float]]:
    """The task's head and its error on val."""
    folds = {split: (phi_NF[split], labels(task, table.part(split))) for split in ("train", "val")}
    if task.message == "contact":
        if set(table.columns["label"]) != {0, 1}:
            raise DataRefused(f"{table.path}: labels of {task.name} must be 0 and 1, both present; label both kinds")
        if table.class_names not in (TASKS["contact"].class_names, ("0", "1")):
            raise DataRefused(
                f"{table.path}: classes.json of {task.name} has {', '.join(table.class_names)}; allowed is "
                f"{', '.join(TASKS['contact'].class_names)}, in this order: 0 is no contact"
            )
        head: nn.Module = fit_contact(folds["train"], folds["val"], noise_F)
    elif task.kind == "classification":
        head = fit_classification(folds["train"], folds["val"], len(table.class_names), noise_F)
    else:
        head = fit_regression(folds["train"], folds["val"], noise_F)
    found = head(folds["val"][0])
    values = found[0] if task.kind == "regression" else found
    return head, errors(task, {task.output: values.numpy()}, table.part("val"))


def _fit_slopes(
    read: Reader, heads: Mapping[Task, nn.Module], tables: Mapping[Task, Table], familiarity: Familiarity, size: int
) -> dict[str, float]:
    """How fast each covariance must grow to cover the errors on spoilt frames of val whose labels still hold."""
    slopes = {}
    for task, head in heads.items():
        if task.kind != "regression":
            continue
        val = tables[task].part("val")
        rows = np.linspace(0, len(val) - 1, min(GROWTH_IMAGES, len(val))).astype(int)
        images = np.array(load_images(val.images, size)[rows])
        truth_ND = labels(task, val)[rows]
        rng = np.random.default_rng(0)
        spoilt = np.concatenate([spoil(images, rng) for spoil in SAME_CONTACT.values()])
        features = read(spoilt, f"{task.name} spoilt")
        value_ND, covariance_NDD = head(features.phi_BF)
        error_ND1 = (value_ND - truth_ND.repeat(len(SAME_CONTACT), 1)).double()[..., None]
        nees_N = (error_ND1 * torch.linalg.solve(covariance_NDD.double(), error_ND1)).sum((1, 2))
        ratio_N = familiarity(features.channels_BC) / familiarity.threshold
        slopes[task.output] = fit_growth(nees_N, len(task.axes), ratio_N)
    return slopes

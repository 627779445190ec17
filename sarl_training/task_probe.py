"""A task's labels as tensors, the linear probe that fits them, and the scores of what it predicts.

Shapes: S seeds, N samples, D axes, K classes.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from sarl_training.dataset import Table
from sarl_training.linear_probe import LinearProbe, fit_classification_probe, fit_regression_probe
from sarl_training.probe_metrics import Scores, classification_scores, prior, regression_scores
from sarl_training.tasks import Task

Fold = tuple[Tensor, Tensor]
"""Features [N, F] and labels."""


def task_labels(task: Task, table: Table) -> Tensor:
    """float32 [N, D] in the dataset's units, or class indices [N]."""
    if task.kind == "regression":
        return torch.from_numpy(table.targets(task.columns)).float()
    return torch.from_numpy(table.columns["label"])


def fit_probe(task: Task, folds: Mapping[str, Fold], classes: int, seeds: Sequence[int]) -> LinearProbe:
    """Trained on `train`, its epoch chosen on `val`."""
    if task.kind == "regression":
        return fit_regression_probe(folds["train"], folds["val"], seeds)
    return fit_classification_probe(folds["train"], folds["val"], classes, seeds)


def mean_prediction(task: Task, train: Tensor, count: int, classes: int) -> Tensor:
    """[1, count, D or K]: the mean of train, or how often each class occurs in it."""
    if task.kind == "regression":
        return train.mean(0).expand(1, count, -1)
    return prior(train, classes, count)


def said(task: Task, predicted: Tensor) -> Tensor:
    """Of predictions [N, D or K]: labels [N, D], or the likeliest classes [N]."""
    return predicted if task.kind == "regression" else predicted.argmax(1)


def score(task: Task, predicted: Tensor, true: Tensor) -> Scores:
    """Of predictions [S, N, D or K]: per axis or per rank, with the spread over seeds."""
    if task.kind == "regression":
        return regression_scores(predicted, true, task.columns)
    return classification_scores(predicted, true)

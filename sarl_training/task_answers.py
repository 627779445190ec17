"""What a model file's outputs say about a task, and how far that is from the labels. SI units.

Shapes: N samples, D axes, K classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sarl_training.dataset import Table
from sarl_training.deployed_model import covariance_name
from sarl_training.tasks import Task


@dataclass(frozen=True)
class Calibration:
    """How honest the covariances are."""

    nees: float
    """Mean normalised error squared `e' C^-1 e`: the number of axes when the covariances are right."""
    coverage_90: float
    """Share of samples inside their 90 % ellipsoid."""


def labels(task: Task, table: Table) -> Tensor:
    """float32 [N, D] in SI units, or class indices [N]."""
    if task.kind == "regression":
        return torch.from_numpy(table.targets(task.columns) * task.si_scale).float()
    return torch.from_numpy(table.columns["label"])


def answers(task: Task, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Values [N, D] in SI units, or the chosen classes [N]."""
    values = outputs[task.output]
    if task.message == "contact":
        return (values[:, 0] > 0.5).astype(np.int64)
    return values.argmax(1) if task.kind == "classification" else values


def errors(task: Task, outputs: Mapping[str, np.ndarray], table: Table) -> list[float]:
    """Mean absolute error per axis in SI units, or [1 - Top-1]."""
    found, true = answers(task, outputs), labels(task, table).numpy()
    if task.kind == "classification":
        return [float((found != true).mean())]
    return np.abs(found - true).mean(0, dtype=np.float64).tolist()


def calibration(task: Task, outputs: Mapping[str, np.ndarray], table: Table) -> Calibration | None:
    """Of a regression task's covariances; None for classes."""
    if task.kind == "classification":
        return None
    error_ND1 = (outputs[task.output] - labels(task, table).numpy()).astype(np.float64)[..., None]
    covariance_NDD = outputs[covariance_name(task.output)].astype(np.float64)
    nees_N = (error_ND1 * np.linalg.solve(covariance_NDD, error_ND1)).sum((1, 2))
    half_axes = torch.full((len(nees_N),), error_ND1.shape[1] / 2, dtype=torch.float64)
    within_N = torch.special.gammainc(half_axes, torch.from_numpy(nees_N / 2))  # chi-square distribution function
    return Calibration(float(nees_N.mean()), float((within_N < 0.9).double().mean()))

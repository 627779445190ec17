"""Pictures of predictions: predicted against true (the paper's Fig. 4) and confusion matrices."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from sarl_training.atomic_file import write_atomically

_DPI = 110


def predicted_against_true(
    path: Path, title: str, axes: Sequence[str], true_ND: np.ndarray, predicted: Mapping[str, np.ndarray]
) -> None:
    """One row per model in `predicted` ([N, D] each), one column per axis, named like `x (mm)`; written as PNG."""
    figure = Figure(figsize=(3.2 * len(axes), 3.2 * len(predicted) + 0.5), layout="constrained")
    figure.suptitle(title)
    grid = figure.subplots(len(predicted), len(axes), squeeze=False)
    for row, (model, values_ND) in zip(grid, predicted.items(), strict=True):
        for d, (axis, name) in enumerate(zip(row, axes, strict=True)):
            true_N, value_N = true_ND[:, d], values_ND[:, d]
            ends = [min(true_N.min(), value_N.min()), max(true_N.max(), value_N.max())]
            axis.plot(ends, ends, color="0.6", linewidth=1)
            axis.scatter(true_N, value_N, s=6, alpha=0.5, linewidths=0)
            axis.set_title(f"{model}: MAE {np.abs(value_N - true_N).mean():.3g}", fontsize=9)
            axis.set_xlabel(f"true {name}")
            axis.set_ylabel(f"predicted {name}")
    _save(figure, path)


def before_and_after(path: Path, title: str, axes: Sequence[str], before_ND: np.ndarray, after_ND: np.ndarray) -> None:
    """What a model answers to the same frames before and after a change, one panel per axis; written as PNG."""
    figure = Figure(figsize=(3.2 * len(axes), 3.7), layout="constrained")
    figure.suptitle(title)
    for d, (axis, name) in enumerate(zip(figure.subplots(1, len(axes), squeeze=False)[0], axes, strict=True)):
        before_N, after_N = before_ND[:, d], after_ND[:, d]
        ends = [min(before_N.min(), after_N.min()), max(before_N.max(), after_N.max())]
        axis.plot(ends, ends, color="0.6", linewidth=1)
        axis.scatter(before_N, after_N, s=10, alpha=0.6, linewidths=0)
        axis.set_title(f"moved by {(after_N - before_N).mean():+.3g} on average", fontsize=9)
        axis.set_xlabel(f"{name} as it was")
        axis.set_ylabel(f"{name} after")
    _save(figure, path)


def confusion_matrices(
    path: Path, title: str, class_names: Sequence[str], true_N: np.ndarray, predicted: Mapping[str, np.ndarray]
) -> None:
    """One panel per model in `predicted` (class indices [N]), each matrix row divided by its count; written as PNG."""
    classes = len(class_names)
    side = 2.2 + 0.25 * classes
    figure = Figure(figsize=(side * len(predicted), side + 0.5), layout="constrained")
    figure.suptitle(title)
    for axis, (model, value_N) in zip(
        figure.subplots(1, len(predicted), squeeze=False)[0], predicted.items(), strict=True
    ):
        counts = np.zeros((classes, classes))
        np.add.at(counts, (true_N, value_N), 1)
        axis.imshow(counts / counts.sum(1, keepdims=True).clip(1), cmap="Blues", vmin=0, vmax=1)
        axis.set_title(f"{model}: Top-1 {(true_N == value_N).mean():.1%}", fontsize=9)
        axis.set_xticks(range(classes), class_names, rotation=90, fontsize=7)
        axis.set_yticks(range(classes), class_names, fontsize=7)
        axis.set_xlabel("predicted")
        axis.set_ylabel("true")
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    write_atomically(path, buffer.getvalue())

"""Pictures of predictions: predicted against true (the paper's Fig. 4), confusion matrices, Top-1 of several sets."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from sarl_training.atomic_file import write_atomically
from sarl_training.tasks import Task

_DPI = 110


def predictions(
    path: Path,
    title: str,
    task: Task,
    class_names: Sequence[str],
    true: np.ndarray,
    predicted: Mapping[str, np.ndarray],
) -> None:
    """A task's picture, written as PNG: labels in the dataset's units [N, D], or class indices [N], by model."""
    if task.kind == "classification":
        confusion_matrices(path, title, class_names, true, predicted)
    else:
        axes = [f"{axis} ({unit})" for axis, unit in zip(task.axes, task.units, strict=True)]
        predicted_against_true(path, title, axes, true, predicted)


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
            axis.locator_params(axis="x", nbins=4)
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
        axis.locator_params(axis="x", nbins=4)
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


def top1_of_sets(
    path: Path, title: str, chances: Mapping[str, float], top1: Mapping[str, Mapping[str, tuple[float, float]]]
) -> None:
    """Top-1 of every model in `top1` by the set's name, mean and standard deviation of 0 to 1; written as PNG.

    `chances` has the sets in their order, with what guessing gets.
    """
    figure = Figure(figsize=(2.2 + (0.4 + 0.35 * len(top1)) * len(chances), 4), layout="constrained")
    figure.suptitle(title, wrap=True, fontsize=9)
    axis = figure.subplots()
    places, width = np.arange(len(chances)), 0.8 / len(top1)
    for number, (model, by_set) in enumerate(top1.items()):
        means, spreads = (100 * np.array(values) for values in zip(*(by_set[name] for name in chances), strict=True))
        offset = (number - (len(top1) - 1) / 2) * width
        axis.bar(places + offset, means, width, yerr=spreads, capsize=2, label=model)
    axis.hlines(
        [100 * chance for chance in chances.values()], places - 0.45, places + 0.45,
        colors="black", linestyles="dotted", label="guessing",
    )  # fmt: skip
    axis.set_xticks(places, chances, rotation=30, ha="right", rotation_mode="anchor", fontsize=8)
    axis.set_ylim(0, 100)
    axis.set_ylabel("Top-1 (%)")
    figure.legend(loc="outside lower center", ncols=4, fontsize=8)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    write_atomically(path, buffer.getvalue())

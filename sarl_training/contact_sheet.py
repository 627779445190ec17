"""One picture per task that shows what was made: a row of samples per sensor with their labels."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np

from sarl_training.atomic_file import write_atomically
from sarl_training.tasks import Task

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402  (the backend must be chosen first)

_COLUMNS = 8


def write_contact_sheet(
    path: Path, task: Task, images: Mapping[str, Sequence[np.ndarray]], rows: Sequence[Mapping[str, object]]
) -> None:
    """PNG of up to three lines of eight samples per sensor, uint8 RGB images, labels above."""
    lines = [(sensor, start) for start in range(0, min(24, len(rows)), _COLUMNS) for sensor in images]
    figure, axes = plt.subplots(len(lines), _COLUMNS, figsize=(_COLUMNS * 1.9, len(lines) * 2.2), squeeze=False)
    for (sensor, start), axes_row in zip(lines, axes, strict=True):
        for column, axis in enumerate(axes_row):
            axis.set_axis_off()
            if start + column < len(images[sensor]):
                axis.imshow(images[sensor][start + column])
                axis.set_title(f"{sensor}\n{_caption(task, rows[start + column])}", fontsize=7)
    figure.suptitle(f"{task.name} (simulated)")
    figure.tight_layout()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    plt.close(figure)
    write_atomically(path, buffer.getvalue())


def _caption(task: Task, row: Mapping[str, object]) -> str:
    if task.kind == "classification":
        return task.class_names[int(row["label"])]
    return "  ".join(f"{axis} {row[column]:.2f}" for axis, column in zip(task.axes, task.columns, strict=True))

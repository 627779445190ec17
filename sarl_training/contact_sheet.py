"""One picture per task that shows what was made: lines of samples, sensor under sensor, with their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from sarl_training.atomic_file import write_atomically
from sarl_training.tasks import SimulatedTask

COLUMNS, LINES = 8, 3
_TILE_PX, _CAPTION_PX = 168, 18
_FONT, _FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.36


def write_contact_sheet(
    path: Path, task: SimulatedTask, images: Mapping[str, Sequence[np.ndarray]], rows: Sequence[Mapping[str, object]]
) -> None:
    """PNG of up to three lines of eight samples; within a line the same contacts as every sensor sees them (uint8
    RGB).
    """
    labels = ", ".join(f"{axis} in {unit}" for axis, unit in zip(task.axes, task.units, strict=True))
    strips = [_caption_strip(f"{task.name} (simulated): {' / '.join(images)}" + (labels and f"; {labels}"))]
    for start in range(0, min(COLUMNS * LINES, len(rows)), COLUMNS):
        strips.append(_caption_strip(*(_caption(task, row) for row in rows[start : start + COLUMNS])))
        strips.extend(_image_strip(pictures[start : start + COLUMNS]) for pictures in images.values())
    sheet = cv2.cvtColor(np.concatenate(strips), cv2.COLOR_RGB2BGR)
    write_atomically(path, cv2.imencode(".png", sheet)[1].tobytes())


def _image_strip(pictures: Sequence[np.ndarray]) -> np.ndarray:
    strip = np.full((_TILE_PX, COLUMNS * _TILE_PX, 3), 255, np.uint8)
    for column, picture in enumerate(pictures):
        tile = cv2.resize(picture, (_TILE_PX - 4, _TILE_PX - 4), interpolation=cv2.INTER_AREA)
        left = column * _TILE_PX + 2
        strip[2 : 2 + tile.shape[0], left : left + tile.shape[1]] = tile
    return strip


def _caption_strip(*captions: str) -> np.ndarray:
    strip = np.full((_CAPTION_PX, COLUMNS * _TILE_PX, 3), 255, np.uint8)
    for column, caption in enumerate(captions):
        cv2.putText(strip, caption, (column * _TILE_PX + 4, 13), _FONT, _FONT_SCALE, (20, 20, 20), 1, cv2.LINE_AA)
    return strip


def _caption(task: SimulatedTask, row: Mapping[str, object]) -> str:
    if task.kind == "classification":
        return task.class_names[int(row["label"])]
    named = zip(task.axes, task.units, (float(row[column]) for column in task.columns), strict=True)
    return " ".join(f"{axis} {value:z.{2 if unit == 'N' else 1}f}" for axis, unit, value in named)

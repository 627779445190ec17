"""Where the simulated camera's frames come from: the images and labels of a dataset folder."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np


class SourceRefused(ValueError):
    """The frames cannot be had; one line that says what is missing and where."""


@dataclass(frozen=True)
class Frame:
    """One camera frame and the truth about it, in the dataset's columns and units (mm, degree, newton)."""

    rgb: np.ndarray
    truth: dict[str, float]


class DatasetFrames:
    """Frames of one split of a dataset folder, decoded and laid out at camera size when opened."""

    def __init__(
        self, dataset: Path, *, task: str, sensor: str, split: str, width: int, height: int, limit: int
    ) -> None:
        folder = dataset / task / sensor
        self._frames = [
            Frame(place_on_frame(read_rgb(folder / row["image"]), width, height), truth_of(row))
            for row in read_rows(folder / "labels.csv", split)[:limit]
        ]

    def __len__(self) -> int:
        return len(self._frames)

    def frame(self, index: int) -> Frame:
        """Ready to publish."""
        return self._frames[index]


def read_rows(labels: Path, split: str) -> list[dict[str, str]]:
    """Rows of one split of a `labels.csv`; `SourceRefused` when there are none."""
    try:
        with labels.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["split"] == split]
    except (OSError, KeyError) as error:
        raise SourceRefused(f"{labels}: not a labels file of a dataset folder ({error})") from error
    if not rows:
        raise SourceRefused(f"{labels}: no rows of split {split!r}")
    return rows


def read_rgb(path: Path) -> np.ndarray:
    """uint8 [H, W, 3] RGB image file."""
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise SourceRefused(f"{path}: missing, or not an image")
    return np.ascontiguousarray(bgr[..., ::-1])


def truth_of(row: dict[str, str]) -> dict[str, float]:
    """The numeric columns of a row of labels."""
    truth = {}
    for column, text in row.items():
        try:
            truth[column] = float(text)
        except (TypeError, ValueError):
            continue
    return truth


def place_on_frame(rgb: np.ndarray, width: int, height: int) -> np.ndarray:
    """The sensor's image as the largest centred square of a [height, width, 3] frame; black around it."""
    side = min(width, height)
    frame = np.zeros((height, width, 3), np.uint8)
    x, y = (width - side) // 2, (height - side) // 2
    # By area also when growing: the node's area average then gives back the image the model was
    # measured on. A smoother kernel changes the sharpness that press depth is read from: cubic
    # doubled its error.
    frame[y : y + side, x : x + side] = cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA)
    return frame


def dataset_name(dataset: Path) -> str:
    """Name in `dataset.json`, for messages."""
    try:
        return json.loads((dataset / "dataset.json").read_text(encoding="utf-8"))["name"]
    except (OSError, ValueError, KeyError):
        return dataset.name

"""Real frames of one unit: an ingested dataset, or a plain folder with a region. Only as many as asked for are read."""

from pathlib import Path

import numpy as np

from sarl_training.adapters.base import natural
from sarl_training.dataset import Dataset
from sarl_training.errors import DataRefused
from sarl_training.image_file import decode_image, find_images, square_and_resize

Region = tuple[int, int, int, int]
FEWEST = 3


def list_frames(path: Path, sensor: str) -> list[Path]:
    """Frames of a sensor in natural order of their names, of every task and split; a plain folder has one sensor only.

    Raises DataRefused when there are fewer than FEWEST or they were simulated, UsageError when the dataset lacks the
    sensor.
    """
    if (path / "dataset.json").exists():
        dataset = Dataset.open(path)
        if dataset.simulated:
            raise DataRefused(f"{path}: simulated frames; --realism needs frames of a real sensor")
        tasks = [task for task in dataset.tasks() if sensor in dataset.sensors(task)]
        found = {image for task in tasks for image in dataset.table(task, sensor).images}
        if not tasks:
            known = sorted({name for task in dataset.tasks() for name in dataset.sensors(task)})
            raise DataRefused(f"{path}: no frames of {sensor}; there are {', '.join(known)}: choose with --sensor")
    elif path.is_dir():
        found = set(find_images(path)[0])
    else:
        raise DataRefused(f"{path}: no such folder; give a folder of frames or one that `sarl-train ingest` wrote")
    if len(found) < FEWEST:
        raise DataRefused(f"{path}: {len(found)} frames, at least {FEWEST} are needed")
    return sorted(found, key=lambda frame: natural(frame.relative_to(path).as_posix()))


def spread(frames: list[Path], most: int) -> list[Path]:
    """At most so many of them, evenly over the whole."""
    return [frames[i] for i in np.unique(np.linspace(0, len(frames) - 1, min(most, len(frames))).round().astype(int))]


def read_frame(path: Path, region: Region | None, size: int) -> np.ndarray:
    """One frame, uint8 RGB [size, size, 3]; DataRefused when it does not decode or the region leads out of it."""
    rgb_HWC = decode_image(path)
    if region is not None:
        x, y, width, height = region
        if x + width > rgb_HWC.shape[1] or y + height > rgb_HWC.shape[0]:
            raise DataRefused(
                f"{path}: {rgb_HWC.shape[1]}x{rgb_HWC.shape[0]} pixels, --region {x} {y} {width} {height} leads out; "
                "give x y width height inside the image"
            )
        rgb_HWC = rgb_HWC[y : y + height, x : x + width]
    return square_and_resize(rgb_HWC, size)

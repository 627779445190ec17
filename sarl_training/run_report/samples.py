"""The few images that a run keeps beside its numbers, so that its pictures need nothing but the run folder."""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sarl_training.atomic_file import write_atomically

SAMPLES_FILE = "samples.npz"
KEPT = 64


class Samples(NamedTuple):
    """Images of the pool, evenly over it."""

    images_NHWC: np.ndarray
    """uint8 RGB."""
    numbers_N: np.ndarray
    """Their numbers in the pool."""


def keep_samples(run: Path, images_NHWC: np.ndarray) -> None:
    """Write at most 64 images of the pool into the run folder."""
    numbers_N = np.linspace(0, len(images_NHWC) - 1, min(KEPT, len(images_NHWC))).astype(np.int64)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=np.stack([images_NHWC[i] for i in numbers_N]), numbers=numbers_N)
    write_atomically(run / SAMPLES_FILE, buffer.getvalue())


def read_samples(run: Path) -> Samples | None:
    """The images kept; None if the run kept none."""
    file = run / SAMPLES_FILE
    if not file.exists():
        return None
    with np.load(file, allow_pickle=False) as arrays:
        return Samples(arrays["images"], arrays["numbers"])

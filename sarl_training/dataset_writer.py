"""Write a dataset folder so that a crash or a full disk never leaves something that looks finished."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from sarl_training.atomic_file import write_atomically
from sarl_training.errors import UsageError
from sarl_training.labels import write_table
from sarl_training.output_place import check_writable

JPEG_QUALITY = 95
STORED_SUFFIXES = (".jpg", ".png")


class DatasetWriter:
    """Writes `<out>.partial` and renames it to `out` on a clean exit.

    After an error or Ctrl-C the partial folder stays; `resume` goes on in it and refuses other settings (`info`).
    """

    SUFFIX = ".partial"

    def __init__(self, out: Path, info: Mapping[str, object], resume: bool = False) -> None:
        self.out, self.folder = Path(out), Path(out).with_name(Path(out).name + self.SUFFIX)
        self._info = json.dumps(dict(info), indent=1, sort_keys=True)
        self._resume = resume

    def __enter__(self) -> "DatasetWriter":
        if self.out.exists():
            raise UsageError(f"{self.out}: already exists; give another --out or remove it")
        check_writable(self.out.parent)
        file = self.folder / "dataset.json"
        if self.folder.exists() and not self._resume:
            raise UsageError(f"{self.folder}: an unfinished dataset is there; add --resume to finish it or remove it")
        if file.exists() and json.loads(file.read_text(encoding="utf-8")) != json.loads(self._info):
            raise UsageError(f"{self.folder}: was begun with other settings; repeat those with --resume, or remove it")
        write_atomically(file, self._info.encode())
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        if error_type is None:
            os.replace(self.folder, self.out)

    def has_image(self, task: str, sensor: str, index: int) -> bool:
        """Whether an earlier, interrupted run wrote this image in full."""
        return (self.folder / task / sensor / self._image_name(index)).exists()

    def add_image(self, task: str, sensor: str, index: int, rgb_HWC: np.ndarray) -> str:
        """Write one uint8 RGB image as JPEG; returns its name for the `image` column. Thread-safe."""
        name = self._image_name(index)
        bgr = cv2.cvtColor(rgb_HWC, cv2.COLOR_RGB2BGR)
        encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
        write_atomically(self.folder / task / sensor / name, encoded.tobytes())
        return name

    def stored_image(self, task: str, sensor: str, index: int) -> str | None:
        """Name of an image that an earlier, interrupted run stored with `add_encoded`, or None."""
        names = [f"images/{index:06d}{suffix}" for suffix in STORED_SUFFIXES]
        return next((name for name in names if (self.folder / task / sensor / name).exists()), None)

    def add_encoded(self, task: str, sensor: str, index: int, data: bytes, suffix: str) -> str:
        """Store the bytes of an image file as they are; `suffix` is one of STORED_SUFFIXES. Returns its name."""
        name = f"images/{index:06d}{suffix}"
        write_atomically(self.folder / task / sensor / name, data)
        return name

    def discard(self) -> None:
        """Remove the unfinished folder: nothing in it is worth resuming."""
        shutil.rmtree(self.folder)

    def write_labels(
        self, task: str, sensor: str, rows: Sequence[Mapping[str, object]], class_names: Sequence[str] = ()
    ) -> None:
        """Write labels.csv, and classes.json when the task has classes."""
        write_table(self.folder / task / sensor / "labels.csv", rows, class_names)

    @staticmethod
    def _image_name(index: int) -> str:
        return f"images/{index:06d}.jpg"

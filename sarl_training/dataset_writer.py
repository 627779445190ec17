"""Write a dataset folder so that a crash or a full disk never leaves something that looks finished."""

import json
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from sarl_training.atomic_file import write_atomically
from sarl_training.errors import UsageError
from sarl_training.labels import write_table
from sarl_training.output_place import check_writable

JPEG_QUALITY = 95


class DatasetWriter:
    """Writes `<out>.partial` and renames it to `out` on a clean exit.

    After an error or Ctrl-C the partial folder stays; `resume` goes on in it and refuses other settings (`info` without
    its commit). Images that are there already are compared, and written where they differ.
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
        if file.exists() and _settings(file.read_text(encoding="utf-8")) != _settings(self._info):
            raise UsageError(f"{self.folder}: was begun with other settings; repeat those with --resume, or remove it")
        write_atomically(file, self._info.encode())
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        if error_type is None:
            os.replace(self.folder, self.out)

    def add_image(self, task: str, sensor: str, index: int, rgb_HWC: np.ndarray) -> str:
        """Write one uint8 RGB image as JPEG; returns its name for the `image` column. Thread-safe."""
        bgr = cv2.cvtColor(rgb_HWC, cv2.COLOR_RGB2BGR)
        encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
        return self.add_encoded(task, sensor, index, encoded.tobytes(), ".jpg")

    def add_encoded(self, task: str, sensor: str, index: int, data: bytes, suffix: str) -> str:
        """Store the bytes of an image file as they are; returns its name for the `image` column. Thread-safe."""
        name = f"images/{index:06d}{suffix}"
        file = self.folder / task / sensor / name
        # what an interrupted run stored under this name is another picture where the source has changed since
        if not (file.exists() and file.read_bytes() == data):
            write_atomically(file, data)
        return name

    def keep_only(self, images: Collection[Path]) -> None:
        """Remove every file but dataset.json and these: an interrupted run may have read a source that has changed."""
        for file in [file for file in self.folder.rglob("*") if file.is_file()]:
            if file not in images and file != self.folder / "dataset.json":
                file.unlink()

    def discard(self) -> None:
        """Remove the unfinished folder: nothing in it is worth resuming."""
        shutil.rmtree(self.folder)

    def write_labels(
        self, task: str, sensor: str, rows: Sequence[Mapping[str, object]], class_names: Sequence[str] = ()
    ) -> None:
        """Write labels.csv, and classes.json when the task has classes."""
        write_table(self.folder / task / sensor / "labels.csv", rows, class_names)


def _settings(info: str) -> object:
    """dataset.json without the commit, which another version of this software, or an edit to it, changes."""
    return json.loads(info, object_hook=lambda part: {key: part[key] for key in part if key != "commit"})

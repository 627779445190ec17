"""The dataset folder: `dataset.json`, `<task>/<sensor>/{images, labels.csv}`; or a flat folder of unlabelled images.

`latent_id` names one contact in the whole dataset: every render of it, by any sensor and for any task, carries it.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sarl_training.census import Census, take_images
from sarl_training.dataset_writer import DatasetWriter
from sarl_training.errors import DataRefused, UsageError
from sarl_training.file_hashes import content_hashes
from sarl_training.image_file import decode_image, find_images, square_and_resize
from sarl_training.image_store import load_images
from sarl_training.labels import Table, read_table

__all__ = ["Dataset", "DatasetWriter", "Pool", "Table", "decode_image", "load_images", "square_and_resize"]


class Pool(NamedTuple):
    """Images to pretrain on."""

    images: np.ndarray
    """uint8 [N, size, size, 3] RGB, read-only and memory-mapped."""
    census: Census | None
    """What of a flat folder was taken; a labelled dataset is taken whole or refused."""


class Dataset:
    """A folder opened for reading. `info` is its dataset.json; a flat folder of images has `flat` True and no tasks."""

    def __init__(self, path: Path, info: dict, flat_images: Sequence[Path] = ()) -> None:
        self.path, self.info, self._flat_images = path, info, list(flat_images)
        self.flat = bool(flat_images)

    @classmethod
    def open(cls, path: Path | str) -> "Dataset":
        """Raises DataRefused when the folder is missing, empty, unfinished or not a dataset."""
        path = Path(path)
        if not path.is_dir():
            what = "a file, not a folder" if path.exists() else "no such folder"
            raise DataRefused(f"{path}: {what}; give a dataset folder or a folder of images")
        if (path / "dataset.json").exists():
            return cls._open_labelled(path)
        return cls._open_flat(path)

    @classmethod
    def _open_labelled(cls, path: Path) -> "Dataset":
        if path.suffix == DatasetWriter.SUFFIX:
            raise DataRefused(f"{path}: unfinished dataset; run the command that wrote it again with --resume")
        file = path / "dataset.json"
        try:
            info = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataRefused(f"{file}: cannot be read as JSON ({error}); write the dataset again") from error
        if not isinstance(info, dict):
            raise DataRefused(f"{file}: found a {type(info).__name__}, an object is needed; write the dataset again")
        dataset = cls(path, info)
        if not dataset.tasks():
            raise DataRefused(f"{path}: no <task>/<sensor>/labels.csv below dataset.json; write the dataset again")
        return dataset

    @classmethod
    def _open_flat(cls, path: Path) -> "Dataset":
        images, others = find_images(path)
        if not images:
            raise DataRefused(
                f"{path}: no images found; give a dataset folder or a folder of jpg, png, bmp, tif or webp"
            )
        labels = [file for file in others if file.name == "labels.csv"]
        if labels:
            raise DataRefused(
                f"{path}: {labels[0]} marks part of a dataset with test images; give the folder with dataset.json"
            )
        return cls(path, {"name": path.resolve().name, "simulated": False}, images)

    @property
    def simulated(self) -> bool:
        """Whether the images were rendered."""
        return bool(self.info.get("simulated", False))

    def tasks(self) -> list[str]:
        """Tasks with labels, in name order."""
        return sorted({file.parent.parent.name for file in self._label_files()})

    def sensors(self, task: str) -> list[str]:
        """Sensors that have labels for `task`, in name order."""
        return [file.parent.name for file in self._label_files() if file.parent.parent.name == task]

    def table(self, task: str, sensor: str, required: Iterable[str] = ()) -> Table:
        """Labels of one task and sensor; `required` are columns that must be there with finite numbers.

        Raises UsageError for a task or sensor that the dataset lacks, DataRefused for bad labels.
        """
        if task not in self.tasks():
            raise UsageError(f"{self.path}: no task {task!r}; the dataset has {', '.join(self.tasks()) or 'no labels'}")
        if sensor not in self.sensors(task):
            raise UsageError(f"{self.path}: no sensor {sensor!r} for {task}; there is {', '.join(self.sensors(task))}")
        return read_table(self.path / task / sensor / "labels.csv", required)

    def ssl_pool(self, sensor: str) -> list[Path]:
        """Train and val images of all tasks for one sensor (a flat folder: all images).

        Raises DataRefused when a test image, by content, or any render of a test contact is among them.
        """
        if self.flat:
            return list(self._flat_images)
        known = sorted({name for task in self.tasks() for name in self.sensors(task)})
        if sensor not in known:
            raise UsageError(f"{self.path}: no sensor {sensor!r}; choose with --sensor from {', '.join(known)}")
        tables = [read_table(file) for file in self._label_files()]
        _check_contacts(tables)
        pool = [
            image for table in tables if table.path.parent.name == sensor for image in table.part("train", "val").images
        ]
        self._check_contents(pool, [image for table in tables for image in table.part("test").images])
        if not pool:
            raise DataRefused(f"{self.path}: no train or val image for sensor {sensor}; write the dataset again")
        return pool

    def load_pool(self, sensor: str, size: int) -> Pool:
        """The SSL pool decoded at `size`. Of a flat folder what cannot be used is left out and said in the census.

        After it the flat folder's pool and hash are those of the images taken. Raises what `ssl_pool` and `load_images`
        raise, DataRefused when nothing of a flat folder can be used.
        """
        if not self.flat:
            return Pool(load_images(self.ssl_pool(sensor), size), None)
        self._flat_images, images, census = take_images(self.path, size)
        return Pool(images, census)

    def data_hash(self) -> str:
        """SHA-256 over names and contents of labels and images, and over dataset.json but the commit that wrote it:
        the same data written by another version of this software is the same data."""
        digest = hashlib.sha256()
        images = self._flat_images or find_images(self.path)[0]
        if not self.flat:
            digest.update(f"dataset.json\0{json.dumps(_without_commit(self.info), sort_keys=True)}\n".encode())
        for file in self._label_files():
            digest.update(f"{file.relative_to(self.path)}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
        for image, content in zip(images, content_hashes(images), strict=True):
            digest.update(f"{image.relative_to(self.path)}\0{content}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def _label_files(self) -> list[Path]:
        return [] if self.flat else sorted(self.path.glob("*/*/labels.csv"))

    def _check_contents(self, pool: list[Path], test: list[Path]) -> None:
        hashes = content_hashes([*pool, *test])
        in_test = dict(zip(hashes[len(pool) :], test, strict=True))
        for image, content in zip(pool, hashes[: len(pool)], strict=True):
            if content in in_test:
                raise DataRefused(f"{image}: same content as test image {in_test[content]}; keep it out of pretraining")


def _without_commit(info: dict) -> dict:
    """dataset.json without the commit of `simulate` or `ingest`."""
    return {
        key: {name: part for name, part in value.items() if name != "commit"} if isinstance(value, dict) else value
        for key, value in info.items()
    }


def _check_contacts(tables: Sequence[Table]) -> None:
    """A contact is in test or not, whatever sensor renders it; so is a group within its task."""
    test_latents = {latent: table.path for table in tables for latent in table.part("test").latent_id}
    for table in tables:
        pool = table.part("train", "val")
        for sample, latent, split in zip(pool.sample_id, pool.latent_id, pool.split, strict=True):
            if latent in test_latents:
                raise DataRefused(
                    f"{table.path}: sample {sample} ({split}) renders contact {latent}, which is test in "
                    f"{test_latents[latent]}; split by group_id again"
                )
        shared = set(pool.group_id) & set(table.part("test").group_id)
        if shared:
            raise DataRefused(
                f"{table.path}: group {min(shared)} is in test and in train or val; split by group_id again"
            )

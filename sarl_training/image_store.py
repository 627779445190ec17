"""Many image files as one memory-mapped array, each content decoded once and kept in a cache.

A pool (a list of images at one size) is one file of raw pixels, read in place; an index beside it says which content
each row holds. Contents alone name a pool, and one that is not there yet is filled from the others' rows, so renamed,
copied and added files cost no second decoding.
"""

import contextlib
import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from sarl_training.errors import DataRefused, RunFailed
from sarl_training.file_hashes import cache_folder, content_hashes, hash_bytes, threads, write_cached
from sarl_training.image_file import Facts, decode_bytes, square_and_resize

logger = logging.getLogger(__name__)

CACHE_LIMIT_BYTES = 64 * 2**30
_FORMAT = 4  # raise it when decoding or resizing changes, so that old caches are not read
_CHUNK = 256  # images decoded between two writes: bounds the memory


class Readable(NamedTuple):
    """The images of a list that could be used, and why the others could not."""

    images: np.ndarray
    """uint8 [N, size, size, 3] RGB, read-only and memory-mapped."""
    facts: dict[str, Facts]
    """By content hash, in the order of the rows."""
    refused: dict[str, str]
    """Reason by content hash."""


def load_images(paths: Sequence[Path], size: int) -> np.ndarray:
    """uint8 [N, size, size, 3] RGB, read-only and memory-mapped. Decoded on first use, then read from the cache.

    Raises DataRefused naming the file that does not decode, RunFailed when the cache cannot be written.
    """
    hashes = content_hashes(paths)
    pool = _Pool(paths, hashes, size, least=0)
    images, _, refused = pool.open() or pool.build(strict=True)
    for path, content in zip(paths, hashes, strict=True):
        if content in refused:
            raise DataRefused(f"{path}: {refused[content]}; remove or replace the file")
    return images


def load_readable(paths: Sequence[Path], hashes: Sequence[str], size: int, least: int) -> Readable:
    """The images that decode and have no side under `least` px; `hashes` are the contents of `paths`, all different."""
    pool = _Pool(paths, hashes, size, least)
    return pool.open() or pool.build(strict=False)


class _Pool:
    """`<key>.rgb`: the rows; `<key>.json`, written after it: what they hold."""

    def __init__(self, paths: Sequence[Path], hashes: Sequence[str], size: int, least: int) -> None:
        self.paths, self.hashes, self.size, self.least = paths, hashes, size, least
        self.row_bytes = size * size * 3
        self.folder = cache_folder() / "images"
        key = hash_bytes(json.dumps([_FORMAT, size, least, *hashes]).encode())
        self.pixels, self.index = self.folder / f"{key}.rgb", self.folder / f"{key}.json"

    def open(self) -> Readable | None:
        """What is in the cache, None when that is nothing or not whole."""
        record = _read_index(self.index)
        images = _map(self.pixels, record, self.size)
        if record is None or images is None:
            return None
        for file in (self.pixels, self.index):  # least recently used goes first when room is made
            with contextlib.suppress(OSError):
                os.utime(file)
        facts = {content: Facts(*facts) for content, *facts in record["rows"]}
        return Readable(images, facts, record["refused"])

    def build(self, *, strict: bool) -> Readable:
        """Decode what no other pool holds. `strict` raises DataRefused at the first image that is refused."""
        _make_room(self.folder, self.row_bytes * len(self.paths))
        record: dict[str, Any] = {"format": _FORMAT, "size": self.size, "least": self.least, "rows": [], "refused": {}}
        write_cached(self.pixels, self._rows(record, strict))
        write_cached(self.index, json.dumps(record).encode())
        built = self.open()
        if built is None:
            raise RunFailed(f"{self.pixels}: gone or cut as soon as it was written; check the disk, then start again")
        return built

    def _rows(self, record: dict[str, Any], strict: bool) -> Iterator[bytes]:
        """Pixels of one image after another; says in `record` what was made of each."""
        known = _known_rows(self.folder, self.size)
        bar = tqdm(total=len(self.paths), desc=f"decode to {self.size} px", unit="img", delay=1)
        with bar, ThreadPoolExecutor(threads()) as workers:
            for start in range(0, len(self.paths), _CHUNK):
                part = slice(start, start + _CHUNK)
                made = workers.map(lambda path, content: self._row(path, content, known), self.paths[part],
                                   self.hashes[part])  # fmt: skip
                for path, content, row in zip(self.paths[part], self.hashes[part], made, strict=True):
                    bar.update()
                    if isinstance(row, str):
                        if strict:
                            raise DataRefused(f"{path}: {row}; remove or replace the file")
                        record["refused"][content] = row
                    else:
                        pixels, facts = row
                        record["rows"].append([content, *facts])
                        yield pixels

    def _row(self, path: Path, content: str, known: dict[str, "_Known"]) -> tuple[bytes, Facts] | str:
        """Pixels and facts of one file, or why it is refused."""
        if content in known:
            source = known[content]
            return self._refusal(source.facts) or (source.images[source.row].tobytes(), source.facts)
        data = _read_again(path, content)
        try:
            image, facts = decode_bytes(data)
        except ValueError as error:
            return str(error)
        return self._refusal(facts) or (square_and_resize(image, self.size).tobytes(), facts)

    def _refusal(self, facts: Facts) -> str:
        small = min(facts.width, facts.height) < self.least
        return f"smaller than {self.least} px ({facts.width}×{facts.height})" if small else ""


def _read_again(path: Path, content: str) -> bytes:
    """The bytes that were hashed; DataRefused when they are no longer there, so that no row has another's name."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataRefused(f"{path}: cannot be read any more ({error.strerror}); restore it and start again") from error
    if hash_bytes(data) != content:
        raise DataRefused(f"{path}: changed while it was read; start again when nothing writes to it")
    return data


class _Known(NamedTuple):
    images: np.ndarray
    row: int
    facts: Facts


def _known_rows(folder: Path, size: int) -> dict[str, _Known]:
    """Where in the cache each content lies at this size."""
    known: dict[str, _Known] = {}
    for index in folder.glob("[!.]*.json"):
        record = _read_index(index)
        images = _map(index.with_suffix(".rgb"), record, size)
        if record is not None and images is not None:
            for row, (content, *facts) in enumerate(record["rows"]):
                known[content] = _Known(images, row, Facts(*facts))
    return known


def _read_index(path: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("format") == _FORMAT else None


def _map(pixels: Path, record: dict[str, Any] | None, size: int) -> np.ndarray | None:
    """The rows of a pool of this size; None when the file is not there or not as long as its index says."""
    if record is None or record["size"] != size:
        return None
    shape = (len(record["rows"]), size, size, 3)
    try:
        found = pixels.stat().st_size
        if found == np.prod(shape):
            return np.memmap(pixels, np.uint8, "r", shape=shape) if found else np.empty(shape, np.uint8)
    except FileNotFoundError:
        return None
    logger.warning("%s: %d bytes, %d are needed; its images are decoded again", pixels, found, np.prod(shape))
    return None


def _make_room(folder: Path, needed: int) -> None:
    """Drop the least recently used files beyond CACHE_LIMIT_BYTES, and what a killed run left behind a day ago."""
    if not folder.exists():
        return
    files = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process makes room too
            files.append((path.stat(), path))
    total = needed
    for status, path in sorted(files, key=lambda pair: pair[0].st_mtime, reverse=True):
        total += status.st_size
        abandoned = path.name.startswith(".") and time.time() - status.st_mtime > 86400
        if abandoned or total > CACHE_LIMIT_BYTES:
            path.unlink(missing_ok=True)

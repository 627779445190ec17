"""Hashes of files' contents, remembered by name, size and times so that an unchanged file is not read again."""

import hashlib
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from sarl_training.atomic_file import write_atomically
from sarl_training.errors import DataRefused, RunFailed

_FORMAT = 2  # of the remembered hashes
_SETTLED_NS = 2_000_000_000  # a file touched so short before it was hashed could change again within one clock tick


def cache_folder() -> Path:
    """`$SARL_CACHE`, else `sarl` in the user's cache folder."""
    if "SARL_CACHE" in os.environ:
        return Path(os.environ["SARL_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sarl"


def write_cached(path: Path, chunks: bytes | Iterable[bytes]) -> None:
    """Write a file of the cache; RunFailed says how to have the cache elsewhere."""
    try:
        write_atomically(path, chunks)
    except RunFailed as error:
        raise RunFailed(f"{error} (the cache of decoded images; SARL_CACHE=DIR moves it)") from error


def threads() -> int:
    """How many files to read or decode at once."""
    return min(16, os.cpu_count() or 1)


def hash_bytes(data: bytes) -> str:
    """BLAKE2b-128, hex."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def content_hashes(paths: Sequence[Path]) -> list[str]:
    """Hash of each file's bytes. Raises DataRefused naming the first file that cannot be read."""
    hashes = hashes_or_errors(paths)
    for path, found in zip(paths, hashes, strict=True):
        if isinstance(found, OSError):
            raise DataRefused(
                f"{path}: cannot be read ({found.strerror}); restore the file or remove its row"
            ) from found
    return hashes


def hashes_or_errors(paths: Sequence[Path]) -> list[str | OSError]:
    """Hash of each file's bytes, or the error that reading it gave."""
    by_folder: dict[Path, list[int]] = defaultdict(list)
    for index, path in enumerate(paths):
        by_folder[path.absolute().parent].append(index)
    found: list[str | OSError] = [""] * len(paths)
    bar = tqdm(total=len(paths), desc="hash images", unit="img", delay=1, leave=False)
    with bar, ThreadPoolExecutor(threads()) as pool:
        for folder, indices in by_folder.items():
            hashes = _hash_folder(folder, [paths[index].name for index in indices], pool, bar)
            for index, value in zip(indices, hashes, strict=True):
                found[index] = value
    return found


def _hash_folder(folder: Path, names: list[str], pool: ThreadPoolExecutor, bar: tqdm) -> list[str | OSError]:
    cached = cache_folder() / "hashes" / f"{hash_bytes(os.fsencode(folder))}.json"
    known = _read_known(cached)
    stamps = [_stamp(folder / name) for name in names]
    new = {
        name: stamp
        for name, stamp in zip(names, stamps, strict=True)
        if isinstance(stamp, list) and known.get(name, [None])[1:] != stamp
    }
    fresh: dict[str, str | OSError] = {}
    now = time.time_ns()
    for name, found in zip(new, pool.map(lambda name: _hash_file(folder / name), new), strict=True):
        fresh[name] = found
        if isinstance(found, str) and max(new[name][1:]) < now - _SETTLED_NS:
            known[name] = [found, *new[name]]
        bar.update()
    if fresh:
        write_cached(cached, json.dumps({"format": _FORMAT, "files": known}).encode())
    bar.update(len(names) - len(new))
    return [
        stamp if isinstance(stamp, OSError) else fresh[name] if name in fresh else known[name][0]
        for name, stamp in zip(names, stamps, strict=True)
    ]


def _read_known(cached: Path) -> dict[str, list]:
    """Name -> [hash, size, changed, status changed]; empty when there is none that can be read."""
    try:
        record = json.loads(cached.read_bytes())
    except (OSError, ValueError):
        return {}
    return record["files"] if isinstance(record, dict) and record.get("format") == _FORMAT else {}


def _stamp(path: Path) -> list[int] | OSError:
    """Size and times; the time of the last status change also moves when another file is renamed to this name."""
    try:
        status = path.stat()
    except OSError as error:
        return error
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _hash_file(path: Path) -> str | OSError:
    try:
        return hash_bytes(path.read_bytes())
    except OSError as error:
        return error

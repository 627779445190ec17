"""Image files in, uint8 RGB arrays out, each file decoded once: `load_images` keeps what it decoded in a cache.

Pillow decodes rather than OpenCV: it refuses a truncated file, which `cv2.imread` returns half grey, and it knows CMYK,
palettes and 16 bit. Cropping and resizing use OpenCV so that the robot side does bit for bit the same.
"""

import hashlib
import io
import json
import os
import struct
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from sarl_training.atomic_file import write_atomically
from sarl_training.errors import DataRefused, RunFailed

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
CACHE_LIMIT_BYTES = 64 * 2**30
_CACHE_FORMAT = 1  # raise it when decoding or resizing changes, so that old caches are not read
_CHUNK = 256  # images decoded between two writes: bounds the memory
_DECODE_ERRORS = (
    UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError,
)  # fmt: skip


def decode_image(path: Path) -> np.ndarray:
    """Decode to HxWx3 uint8 RGB: upright by EXIF, 16-bit grey scaled to 8, transparency shown on black.

    Raises DataRefused naming the file when it is missing, truncated or not an image.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return _to_rgb(ImageOps.exif_transpose(image))
    except _DECODE_ERRORS as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"does not decode ({error})"
        raise DataRefused(f"{path}: {' '.join(reason.split())}; remove or replace the file") from error


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.int64)
        if grey.min() < 0 or grey.max() > 65535:
            raise ValueError(f"grey values {grey.min()}..{grey.max()}, allowed are 8 and 16 bit")
        return np.repeat(np.round(grey / 257).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range, allowed are 8 and 16 bit")
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", seen.size, (0, 0, 0, 255)), seen)
    return np.array(image.convert("RGB"))


def square_and_resize(rgb_HWC: np.ndarray, size: int) -> np.ndarray:
    """Centre square crop, then size x size x 3: area averaging when shrinking, bilinear when growing."""
    height, width = rgb_HWC.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = rgb_HWC[top : top + side, left : left + side]
    if side != size:
        square = cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_LINEAR)
    return np.ascontiguousarray(square)


def find_images(folder: Path) -> tuple[list[Path], list[Path]]:
    """All images under `folder` in name order, and the other files; hidden files and folders are not looked at."""
    images, others, seen = [], [], set()
    for here, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:  # a link back up the tree
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith("."):
                path = Path(here, name)
                (images if path.suffix.lower() in IMAGE_SUFFIXES else others).append(path)
    return sorted(images), sorted(others)


def cache_folder() -> Path:
    """`$SARL_CACHE`, else `sarl` in the user's cache folder."""
    if "SARL_CACHE" in os.environ:
        return Path(os.environ["SARL_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sarl"


def load_images(paths: Sequence[Path], size: int) -> np.memmap:
    """uint8 [N, size, size, 3] RGB, read-only and memory-mapped. Decoded on first use, then read from the cache.

    The cache is keyed by names, file sizes, modification times and `size`.
    Raises DataRefused naming the file that does not decode, RunFailed when the cache cannot be written.
    """
    key = hashlib.blake2b(json.dumps([_CACHE_FORMAT, size]).encode(), digest_size=16)
    for path in paths:
        key.update(json.dumps(_identity(path)).encode())
    cached = cache_folder() / "images" / f"{key.hexdigest()}.npy"
    if not cached.exists():
        _make_room(cached.parent)
        header = _npy_header((len(paths), size, size, 3))
        try:
            write_atomically(cached, chain([header], _decode_all(paths, size)))
        except RunFailed as error:
            raise RunFailed(f"{error} (the decoded-image cache; SARL_CACHE moves it)") from error
    os.utime(cached)  # least recently used goes first when room is made
    return np.load(cached, mmap_mode="r")


def content_hashes(paths: Sequence[Path], root: Path) -> list[str]:
    """Hash of each file's bytes; files unchanged since the last call for `root` are not read again."""
    key = hashlib.blake2b(str(root.resolve()).encode(), digest_size=16).hexdigest()
    cached = cache_folder() / "hashes" / f"{key}.json"
    known: dict[str, list] = json.loads(cached.read_text()) if cached.exists() else {}
    identities = [_identity(path) for path in paths]
    new = [(name, stamp) for name, *stamp in identities if known.get(name, [None])[1:] != stamp]
    if new:
        with ThreadPoolExecutor(_threads()) as pool:
            digests = tqdm(
                pool.map(_hash_file, [name for name, _ in new]), "hash images", len(new), delay=1, leave=False
            )
            for (name, stamp), digest in zip(new, digests, strict=True):
                known[name] = [digest, *stamp]
        write_atomically(cached, json.dumps(known).encode())
    return [known[name][0] for name, *_ in identities]


def _hash_file(name: str) -> str:
    return hashlib.blake2b(Path(name).read_bytes(), digest_size=16).hexdigest()


def _identity(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise DataRefused(f"{path}: cannot be read ({error.strerror}); restore the file or remove its row") from error
    return str(path.absolute()), status.st_size, status.st_mtime_ns


def _threads() -> int:
    return min(16, os.cpu_count() or 1)


def _decode_all(paths: Sequence[Path], size: int) -> Iterator[bytes]:
    def decode(path: Path) -> bytes:
        return square_and_resize(decode_image(path), size).tobytes()

    bar = tqdm(total=len(paths), desc=f"decode to {size} px", unit="img", delay=1)
    with bar, ThreadPoolExecutor(_threads()) as pool:
        for start in range(0, len(paths), _CHUNK):
            for pixels in pool.map(decode, paths[start : start + _CHUNK]):
                yield pixels
                bar.update()


def _npy_header(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def _make_room(folder: Path) -> None:
    """Drop the least recently used arrays beyond CACHE_LIMIT_BYTES, and what a killed run left behind a day ago."""
    if not folder.exists():
        return
    files = sorted(((path.stat(), path) for path in folder.iterdir()), key=lambda pair: pair[0].st_mtime, reverse=True)
    total = 0
    for status, path in files:
        total += status.st_size
        abandoned = path.name.startswith(".") and time.time() - status.st_mtime > 86400
        if abandoned or total > CACHE_LIMIT_BYTES:
            path.unlink(missing_ok=True)

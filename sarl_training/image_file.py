"""One image file in, RGB bytes out; and which files of a folder are images.

Pillow decodes rather than OpenCV: it refuses a truncated file, which `cv2.imread` returns half grey, and it knows CMYK,
palettes and 16 bit. Cropping and resizing use OpenCV so that the robot side does bit for bit the same.
"""

import io
import os
import stat
import struct
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from sarl_training.errors import DataRefused

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
_ORIENTATION = 0x0112
# What Pillow raises on damaged files. An arithmetic, look-up, type or attribute error: a tag of another kind than its
# reader takes for granted.
_DECODE_ERRORS = (
    UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError,
    ArithmeticError, LookupError, TypeError, AttributeError,
)  # fmt: skip


class Facts(NamedTuple):
    """What an image file holds, before it is brought to one format."""

    kind: str
    width: int
    height: int


def decode_image(path: Path) -> np.ndarray:
    """Decode to HxWx3 uint8 RGB: upright by EXIF, 16-bit grey scaled to 8, transparency shown on black.

    32-bit grey is taken for 8 bit up to a value of 255, for 16 bit above. Raises DataRefused naming the file when it is
    missing, truncated or not an image.
    """
    try:
        return decode_bytes(path.read_bytes())[0]
    except OSError as error:
        raise DataRefused(f"{path}: cannot be read ({error.strerror}); restore or remove the file") from error
    except ValueError as error:
        raise DataRefused(f"{path}: {error}; remove or replace the file") from error


def decode_bytes(data: bytes) -> tuple[np.ndarray, Facts]:
    """As `decode_image`, from the bytes of a file; ValueError says in one line why they do not decode."""
    if not data:
        raise ValueError("empty file")
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            facts = Facts(_kind(image), *image.size)
            return _to_rgb(ImageOps.exif_transpose(image)), facts
    except UnidentifiedImageError as error:
        raise ValueError("not an image") from error
    except _DECODE_ERRORS as error:
        raise ValueError(f"does not decode ({' '.join(str(error).split())})") from error


def _kind(image: Image.Image) -> str:
    """The first of the properties that something had to be done about, else `RGB`."""
    if image.getexif().get(_ORIENTATION, 1) != 1:
        return "turned by EXIF"
    if image.mode.startswith("I"):
        return "16-bit grey"
    if image.has_transparency_data:
        return "with transparency"
    if image.mode in ("1", "L"):
        return "grey"
    return {"P": "palette"}.get(image.mode, image.mode)


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.int64)
        if grey.min() < 0 or grey.max() > 65535:
            raise ValueError(f"grey values {grey.min()}..{grey.max()}, allowed are 8 and 16 bit")
        if image.mode == "I" and grey.max() <= 255:  # 32 bits say nothing about the range
            return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
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


def find_images(folder: Path) -> tuple[list[Path], dict[Path, str]]:
    """All images under `folder` by their names, sorted, and everything else with why it is none.

    Hidden folders and links back up the tree are named as one and not looked into.
    """
    images: list[Path] = []
    others: dict[Path, str] = {}

    def unreadable(error: OSError) -> None:
        others[Path(error.filename)] = f"cannot be read: {error.strerror}"

    seen = set()
    for here, folders, names in os.walk(folder, followlinks=True, onerror=unreadable):
        real = os.path.realpath(here)
        if real in seen:
            others[Path(here)] = "link to a folder that is here already"
            folders.clear()
            continue
        seen.add(real)
        others |= {Path(here, name): "hidden" for name in (*folders, *names) if name.startswith(".")}
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(here, name) for name in names if not name.startswith(".")):
            if path.suffix.lower() not in IMAGE_SUFFIXES:
                others[path] = "not an image by its name"
            elif _is_special(path):
                others[path] = "not a file"
            else:
                images.append(path)
    return sorted(images), dict(sorted(others.items()))


def _is_special(path: Path) -> bool:
    """A pipe or a device, which would be waited for; what cannot be looked at is left to whoever reads it."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False

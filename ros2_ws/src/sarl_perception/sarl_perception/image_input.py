"""Camera messages to RGB arrays, from the fields of sensor_msgs/Image and CompressedImage and without ROS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from sarl_perception.encodings import ENCODINGS, Buffer
from sarl_perception.error_text import one_line

# Compressed payloads: first bytes, and bytes that stand near the end of a complete one.
COMPRESSED = {"jpeg": (b"\xff\xd8", b"\xff\xd9"), "png": (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82")}
TAIL_BYTES = 64
MAX_PIXELS = 1 << 26  # a few hundred compressed bytes may claim gigabytes
JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers of the segment that holds the size
JPEG_BARE = {0x01, *range(0xD0, 0xD9)}  # markers without a segment


class ImageRefused(ValueError):
    """The image message is malformed; `reason` is a short name of the fault, the message one line with the values."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


Converter = Callable[[Any], np.ndarray]
"""Turns a whole message into uint8 [H, W, 3] RGB, or raises `ImageRefused`."""


def message_to_rgb(message: Any, convert_other: Converter | None = None) -> np.ndarray:
    """RGB array of a sensor_msgs Image or CompressedImage. Raises `ImageRefused`.

    `convert_other` is asked for encodings that are not in `ENCODINGS`.
    """
    if not hasattr(message, "encoding"):
        return compressed_to_rgb(format=message.format, data=message.data)
    if convert_other is not None and message.encoding not in ENCODINGS:
        return convert_other(message)
    return image_to_rgb(
        height=message.height,
        width=message.width,
        encoding=message.encoding,
        step=message.step,
        data=message.data,
        is_bigendian=bool(message.is_bigendian),
    )


def image_to_rgb(
    *, height: int, width: int, encoding: str, step: int, data: Buffer, is_bigendian: bool = False
) -> np.ndarray:
    """uint8 [height, width, 3] RGB from the fields of sensor_msgs/Image; a view of `data` where nothing is converted.

    `step` is the length of a row in bytes, padding included. Raises `ImageRefused`.
    """
    layout = ENCODINGS.get(encoding)
    if layout is None:
        known = ", ".join(ENCODINGS)
        raise ImageRefused("encoding", f"encoding {encoding!r} is not supported without cv_bridge; use one of {known}")
    if height < 1 or width < 1:
        raise ImageRefused("size", f"image is {width}x{height} pixels; both must be at least 1")
    if (layout.even_width and width % 2) or (layout.even_height and height % 2):
        sides = "width and height" if layout.even_height else "width"
        raise ImageRefused("size", f"{encoding} image is {width}x{height} pixels; {sides} must be even")
    if step < layout.row_bytes(width):
        raise ImageRefused("step", f"step is {step} bytes; {width} pixels of {encoding} need {layout.row_bytes(width)}")
    needed = layout.bytes_needed(height, width, step)
    if len(data) < needed:
        raise ImageRefused(
            "data", f"data is {len(data)} bytes; {width}x{height} {encoding}, step {step}, needs {needed}"
        )
    try:
        return layout.to_rgb(*layout.planes(height, width, step, data, is_bigendian))
    except cv2.error as error:
        raise ImageRefused("data", f"{width}x{height} {encoding} does not convert: {one_line(error)}") from error


def compressed_to_rgb(*, format: str, data: Buffer) -> np.ndarray:
    """uint8 [H, W, 3] RGB from the fields of sensor_msgs/CompressedImage holding JPEG or PNG. Raises `ImageRefused`."""
    words = format.lower().replace("jpg", "jpeg")
    kind = next((name for name in COMPRESSED if name in words), None)
    if kind is None:
        raise ImageRefused("format", f"compressed format {format!r} is not supported; use jpeg or png")
    payload = np.frombuffer(bytes(data).rstrip(b"\0"), np.uint8)  # some cameras send their whole buffer
    start, end = COMPRESSED[kind]
    if payload[: len(start)].tobytes() != start or end not in payload[-TAIL_BYTES:].tobytes():
        raise ImageRefused("data", f"{kind} data of {len(payload)} bytes is incomplete or something else")
    width, height = _png_size(payload) if kind == "png" else _jpeg_size(payload)
    if not 1 <= width * height <= MAX_PIXELS:
        raise ImageRefused("size", f"{kind} image is {width}x{height} pixels; allowed: 1 to {MAX_PIXELS} in all")
    try:
        rgb = cv2.imdecode(payload, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise ImageRefused("data", f"{kind} data does not decode: {one_line(error)}") from error
    if rgb is None:
        raise ImageRefused("data", f"{kind} data of {len(payload)} bytes does not decode")
    return rgb[..., ::-1]


def orient(
    rgb: np.ndarray, *, mirror_horizontal: bool = False, mirror_vertical: bool = False, swap_red_blue: bool = False
) -> np.ndarray:
    """View of an image, mirrored left to right, top to bottom, and with red and blue exchanged, as asked."""
    turns = (mirror_vertical, mirror_horizontal, swap_red_blue)
    return rgb[tuple(slice(None, None, -1 if turn else 1) for turn in turns)]


def _png_size(payload: np.ndarray) -> tuple[int, int]:
    """(width, height) that a PNG claims; (0, 0) when it is too short to say."""
    if len(payload) < 24:
        return 0, 0
    width, height = payload[16:24].view(">u4").tolist()
    return width, height


def _jpeg_size(payload: np.ndarray) -> tuple[int, int]:
    """(width, height) that a JPEG claims; (0, 0) when no segment says."""
    at = 2
    while at + 9 <= len(payload):
        marker = int(payload[at + 1])
        if payload[at] != 0xFF:
            return 0, 0
        if marker in JPEG_FRAMES:
            height, width = (int(payload[at + offset]) << 8 | int(payload[at + offset + 1]) for offset in (5, 7))
            return width, height
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in JPEG_BARE:
            at += 2
        else:
            at += 2 + (int(payload[at + 2]) << 8 | int(payload[at + 3]))
    return 0, 0

"""Camera messages to RGB arrays, from the fields of sensor_msgs/Image and CompressedImage and without ROS.

Encodings are those of sensor_msgs/image_encodings; 8UC1 is read as mono8 and 8UC3 as bgr8, as cv_bridge does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

Buffer = Any  # anything np.frombuffer takes: bytes, array.array, memoryview


class ImageRefused(ValueError):
    """The image message is malformed; `reason` is a short name of the fault, the message one line with the values."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Layout:
    """How one encoding lies in memory, and what turns it into RGB.

    `to_rgb` maps [H, W, channels] (or [H, W] for one channel) to uint8 [H, W, 3].
    """

    channels: int
    to_rgb: Callable[[np.ndarray], np.ndarray]
    bytes_per_channel: int = 1
    even_width: bool = False


def _colour(code: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda pixels: cv2.cvtColor(pixels, code)


def _mono16_to_rgb(pixels: np.ndarray) -> np.ndarray:
    return cv2.cvtColor((pixels >> 8).astype(np.uint8), cv2.COLOR_GRAY2RGB)


_MONO = Layout(1, _colour(cv2.COLOR_GRAY2RGB))
_BGR = Layout(3, lambda pixels: pixels[..., ::-1])
_UYVY = Layout(2, _colour(cv2.COLOR_YUV2RGB_UYVY), even_width=True)
_YUYV = Layout(2, _colour(cv2.COLOR_YUV2RGB_YUY2), even_width=True)

LAYOUTS: dict[str, Layout] = {
    "rgb8": Layout(3, lambda pixels: pixels),
    "bgr8": _BGR,
    "8UC3": _BGR,
    "rgba8": Layout(4, lambda pixels: pixels[..., :3]),
    "bgra8": Layout(4, lambda pixels: pixels[..., 2::-1]),
    "mono8": _MONO,
    "8UC1": _MONO,
    "mono16": Layout(1, _mono16_to_rgb, bytes_per_channel=2),
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUYV,
    "yuyv": _YUYV,
    "bayer_rggb8": Layout(1, _colour(cv2.COLOR_BayerRGGB2RGB)),
    "bayer_bggr8": Layout(1, _colour(cv2.COLOR_BayerBGGR2RGB)),
    "bayer_gbrg8": Layout(1, _colour(cv2.COLOR_BayerGBRG2RGB)),
    "bayer_grbg8": Layout(1, _colour(cv2.COLOR_BayerGRBG2RGB)),
}

# Compressed payloads: first bytes, and bytes that stand near the end of a complete one.
COMPRESSED = {"jpeg": (b"\xff\xd8", b"\xff\xd9"), "png": (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82")}
TAIL_BYTES = 64


def image_to_rgb(
    *, height: int, width: int, encoding: str, step: int, data: Buffer, is_bigendian: bool = False
) -> np.ndarray:
    """uint8 [height, width, 3] RGB from the fields of sensor_msgs/Image; a view of `data` where nothing is converted.

    `step` is the length of a row in bytes, padding included. Raises `ImageRefused`.
    """
    layout = LAYOUTS.get(encoding)
    if layout is None:
        raise ImageRefused("encoding", f"encoding {encoding!r} is not supported; use one of {', '.join(LAYOUTS)}")
    if height < 1 or width < 1:
        raise ImageRefused("size", f"image is {width}x{height} pixels; both must be at least 1")
    if layout.even_width and width % 2:
        raise ImageRefused("size", f"{encoding} image is {width} pixels wide; the width must be even")
    row_bytes = width * layout.channels * layout.bytes_per_channel
    if step < row_bytes:
        raise ImageRefused("step", f"step is {step} bytes; {width} pixels of {encoding} need {row_bytes}")
    needed = step * (height - 1) + row_bytes  # the last row may come without its padding
    if len(data) < needed:
        raise ImageRefused(
            "data", f"data is {len(data)} bytes; {width}x{height} {encoding}, step {step}, needs {needed}"
        )
    try:
        return layout.to_rgb(_pixels(layout, height, width, step, data, is_bigendian))
    except cv2.error as error:
        raise ImageRefused("data", f"{width}x{height} {encoding} does not convert: {_one_line(error)}") from error


def _pixels(layout: Layout, height: int, width: int, step: int, data: Buffer, is_bigendian: bool) -> np.ndarray:
    """View of `data` as [H, W, channels], or [H, W] for one channel, in the host's byte order for 16 bit."""
    dtype = np.dtype(np.uint8 if layout.bytes_per_channel == 1 else ">u2" if is_bigendian else "<u2")
    shape: tuple[int, ...] = (height, width, layout.channels)
    strides: tuple[int, ...] = (step, layout.channels * dtype.itemsize, dtype.itemsize)
    if layout.channels == 1:
        shape, strides = shape[:2], strides[:2]
    return np.ndarray(shape, dtype, buffer=memoryview(data), strides=strides)


def compressed_to_rgb(*, format: str, data: Buffer) -> np.ndarray:
    """uint8 [H, W, 3] RGB from the fields of sensor_msgs/CompressedImage holding JPEG or PNG. Raises `ImageRefused`."""
    words = format.lower().replace("jpg", "jpeg")
    kind = next((name for name in COMPRESSED if name in words), None)
    if kind is None:
        raise ImageRefused("format", f"compressed format {format!r} is not supported; use jpeg or png")
    payload = bytes(data)
    start, end = COMPRESSED[kind]
    if not payload.startswith(start) or end not in payload[-TAIL_BYTES:]:
        raise ImageRefused("data", f"{kind} data of {len(payload)} bytes is incomplete or something else")
    try:
        rgb = cv2.imdecode(np.frombuffer(payload, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise ImageRefused("data", f"{kind} data does not decode: {_one_line(error)}") from error
    if rgb is None:
        raise ImageRefused("data", f"{kind} data of {len(payload)} bytes does not decode")
    return rgb[..., ::-1]


def message_to_rgb(message: Any) -> np.ndarray:
    """RGB array of a sensor_msgs Image or CompressedImage. Raises `ImageRefused`."""
    if hasattr(message, "encoding"):
        return image_to_rgb(
            height=message.height,
            width=message.width,
            encoding=message.encoding,
            step=message.step,
            data=message.data,
            is_bigendian=bool(message.is_bigendian),
        )
    return compressed_to_rgb(format=message.format, data=message.data)


def _one_line(error: cv2.error) -> str:
    return " ".join(str(error).split())

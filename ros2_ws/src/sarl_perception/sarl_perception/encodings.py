"""How each encoding of sensor_msgs/image_encodings lies in memory, and what turns it into RGB; without ROS.

Of 16-bit channels the high byte is kept. Encodings that name no colours are read as cv_bridge does: 8UC1 and 16UC1 as
grey, 8UC3 and 16UC3 as BGR, 8UC4 and 16UC4 as BGRA. YUV is BT.601 with video range, as cameras send it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

Buffer = Any  # anything np.frombuffer takes: bytes, array.array, memoryview

# (Y, U, V) to RGB: BT.601, luma 16 to 235, chroma 16 to 240 around 128.
_LUMA, _RED_V, _GREEN_U, _GREEN_V, _BLUE_U = 255 / 219, 1.596027, -0.391762, -0.812968, 2.017232
_YUV_TO_RGB = np.array(
    [
        [_LUMA, 0, _RED_V, -16 * _LUMA - 128 * _RED_V],
        [_LUMA, _GREEN_U, _GREEN_V, -16 * _LUMA - 128 * (_GREEN_U + _GREEN_V)],
        [_LUMA, _BLUE_U, 0, -16 * _LUMA - 128 * _BLUE_U],
    ]
)


@dataclass(frozen=True)
class Encoding:
    """Memory layout of one encoding; `to_rgb` maps its plane, or its planes, to uint8 [H, W, 3].

    The first plane is [H, W, channels] ([H, W] for one channel). `chroma` is 2 or 1 for a second plane of interleaved
    chroma pairs, [H / chroma, W / chroma, 2], with rows of 2 / chroma steps.
    """

    channels: int
    to_rgb: Callable[..., np.ndarray]
    bytes_per_channel: int = 1
    even_width: bool = False
    even_height: bool = False
    chroma: int = 0

    def row_bytes(self, width: int) -> int:
        """Bytes of one row of the first plane without padding."""
        return width * self.channels * self.bytes_per_channel

    def bytes_needed(self, height: int, width: int, step: int) -> int:
        """Bytes of the whole image; its last row may come without padding."""
        if not self.chroma:
            return step * (height - 1) + self.row_bytes(width)
        rows, row_step = height // self.chroma, 2 * step // self.chroma
        return step * height + row_step * (rows - 1) + 2 * (width // self.chroma)

    def planes(self, height: int, width: int, step: int, data: Buffer, is_bigendian: bool) -> list[np.ndarray]:
        """Views of `data`, one per plane."""
        size = self.bytes_per_channel
        raw = np.frombuffer(data, np.uint8)
        high_byte = 0 if is_bigendian else size - 1
        shape = (height, width) if self.channels == 1 else (height, width, self.channels)
        strides = (step, self.channels * size, size)[: len(shape)]
        first = np.ndarray(shape, np.uint8, buffer=raw, offset=high_byte, strides=strides)
        if not self.chroma:
            return [first]
        shape = (height // self.chroma, width // self.chroma, 2)
        strides = (2 * step // self.chroma, 2, 1)
        return [first, np.ndarray(shape, np.uint8, buffer=raw, offset=step * height, strides=strides)]


def _convert(code: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda pixels: cv2.cvtColor(np.ascontiguousarray(pixels) if pixels.strides[-1] > 1 else pixels, code)


def _two_planes(code: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda luma, chroma: cv2.cvtColorTwoPlane(luma, chroma, code)


def _nv24_to_rgb(luma: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    return cv2.transform(np.dstack([luma, chroma]), _YUV_TO_RGB)


def _same(pixels: np.ndarray) -> np.ndarray:
    return pixels


def _backwards(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., ::-1]


def _family(depth: int) -> dict[str, Encoding]:
    """The encodings with `depth` bytes per channel."""
    bits = 8 * depth
    grey = Encoding(1, _convert(cv2.COLOR_GRAY2RGB), depth)
    bgr = Encoding(3, _backwards, depth)
    bgra = Encoding(4, _convert(cv2.COLOR_BGRA2RGB), depth)
    return {
        f"rgb{bits}": Encoding(3, _same, depth),
        f"bgr{bits}": bgr,
        f"rgba{bits}": Encoding(4, _convert(cv2.COLOR_RGBA2RGB), depth),
        f"bgra{bits}": bgra,
        f"mono{bits}": grey,
        f"{bits}UC1": grey,
        f"{bits}UC3": bgr,
        f"{bits}UC4": bgra,
        f"bayer_rggb{bits}": Encoding(1, _convert(cv2.COLOR_BayerRGGB2RGB), depth),
        f"bayer_bggr{bits}": Encoding(1, _convert(cv2.COLOR_BayerBGGR2RGB), depth),
        f"bayer_gbrg{bits}": Encoding(1, _convert(cv2.COLOR_BayerGBRG2RGB), depth),
        f"bayer_grbg{bits}": Encoding(1, _convert(cv2.COLOR_BayerGRBG2RGB), depth),
    }


_UYVY = Encoding(2, _convert(cv2.COLOR_YUV2RGB_UYVY), even_width=True)
_YUYV = Encoding(2, _convert(cv2.COLOR_YUV2RGB_YUY2), even_width=True)
_NV12 = Encoding(1, _two_planes(cv2.COLOR_YUV2RGB_NV12), even_width=True, even_height=True, chroma=2)
_NV21 = Encoding(1, _two_planes(cv2.COLOR_YUV2RGB_NV21), even_width=True, even_height=True, chroma=2)

ENCODINGS: dict[str, Encoding] = {
    **_family(1),
    **_family(2),
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUYV,
    "yuyv": _YUYV,
    "nv12": _NV12,
    "nv21": _NV21,
    "nv24": Encoding(1, _nv24_to_rgb, chroma=1),
}

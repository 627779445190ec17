"""Random fields of sensor_msgs/Image, mostly malformed, and whether they are well formed."""

from __future__ import annotations

from typing import Any

import numpy as np

BYTES_PER_PIXEL = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "mono8": 1, "mono16": 2, "bayer_rggb8": 1, "yuv422": 2, "uyvy": 2}


def fuzzed(rng: np.random.Generator) -> tuple[dict[str, Any], bool]:
    """Fields of an image, mostly malformed, and whether they are well formed, judged without the code under test."""
    encodings = [*BYTES_PER_PIXEL, "nv12", "32FC1", "", "\N{SNOWMAN}", "rgb8 "]
    encoding = str(rng.choice(encodings, p=[0.09] * 8 + [0.28 / 5] * 5))
    height, width = (
        int(rng.choice([0, 1, 2, 3, 8, 17, 2**31], p=[0.04, 0.06, 0.2, 0.2, 0.3, 0.18, 0.02])) for _ in "hw"
    )
    row = width * BYTES_PER_PIXEL.get(encoding, 1)
    step = min(max(0, row + int(rng.choice([-1, 0, 0, 0, 0, 7]))), 2**32 - 1)
    size = min(step * height, 4000) + int(rng.choice([-9, -1, 0, 0, 0, 5]))
    fields = {
        "height": height,
        "width": width,
        "encoding": encoding,
        "step": step,
        "is_bigendian": int(rng.integers(0, 256)),
        "data": rng.bytes(max(0, size)),
    }
    if encoding == "nv12":
        needed = step * height + step * (height // 2 - 1) + width
        return fields, min(height, width) > 0 == height % 2 == width % 2 and step >= width and size >= needed
    is_known = encoding in BYTES_PER_PIXEL and not (encoding in ("yuv422", "uyvy") and width % 2)
    return fields, is_known and min(height, width) > 0 and step >= row and size >= step * (height - 1) + row

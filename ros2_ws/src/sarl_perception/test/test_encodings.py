"""Encodings against independent references: slow NumPy versions of the formulas, random sizes, padding, byte order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sarl_perception.encodings import ENCODINGS
from sarl_perception.image_input import ImageRefused, image_to_rgb, orient

BAYER = {"bayer_rggb": "RGGB", "bayer_bggr": "BGGR", "bayer_gbrg": "GBRG", "bayer_grbg": "GRBG"}
PACKED_YUV = {"yuv422": "UYVY", "uyvy": "UYVY", "yuv422_yuy2": "YUYV", "yuyv": "YUYV"}
# Channels of each plain encoding in memory; X is ignored.
PLAIN = {
    "rgb": "RGB",
    "bgr": "BGR",
    "rgba": "RGBX",
    "bgra": "BGRX",
    "mono": "M",
    "UC1": "M",
    "UC3": "BGR",
    "UC4": "BGRX",
}


def plain_name(family: str, bits: int) -> str:
    return f"{bits}{family}" if family.startswith("UC") else f"{family}{bits}"


def video_rgb(y: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """BT.601, video range: the textbook formula, in floating point."""
    luma, blue, red = (y - 16.0) / 219, (u - 128.0) / 224, (v - 128.0) / 224
    r = luma + 1.402 * red
    b = luma + 1.772 * blue
    g = (luma - 0.299 * r - 0.114 * b) / 0.587
    return np.clip(255 * np.stack([r, g, b], axis=-1), 0, 255)


def slow_demosaic(mosaic: np.ndarray, pattern: str) -> np.ndarray:
    """Bilinear: what a pixel did not measure is the mean of the 3x3 neighbours that did. Without the border."""
    height, width = mosaic.shape
    letters = np.tile(np.array(list(pattern)).reshape(2, 2), (height // 2 + 1, width // 2 + 1))[:height, :width]
    result = np.zeros((height, width, 3))
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            near = (slice(row - 1, row + 2), slice(column - 1, column + 2))
            for channel, letter in enumerate("RGB"):
                own = letters[row, column] == letter
                samples = mosaic[row, column] if own else mosaic[near][letters[near] == letter]
                result[row, column, channel] = np.mean(samples)
    return result[1:-1, 1:-1]


def padded_bytes(rows: np.ndarray, padding: int) -> tuple[bytes, int]:
    """A 2-D array with junk after each row, and the step."""
    rows = np.ascontiguousarray(rows).view(np.uint8)
    wide = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    return wide.tobytes(), wide.shape[1]


@settings(max_examples=150, deadline=None)
@given(
    family=st.sampled_from(list(PLAIN)),
    bits=st.sampled_from([8, 16]),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    padding=st.integers(0, 7),
    is_bigendian=st.booleans(),
    drops_last_padding=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_plain_encodings_of_any_layout_are_exact(
    family: str,
    bits: int,
    height: int,
    width: int,
    padding: int,
    is_bigendian: bool,
    drops_last_padding: bool,
    seed: int,
) -> None:
    channels = PLAIN[family]
    dtype = np.dtype(np.uint8 if bits == 8 else ">u2" if is_bigendian else "<u2")
    values = np.random.default_rng(seed).integers(0, 1 << bits, (height, width, len(channels))).astype(dtype)
    data, step = padded_bytes(values.reshape(height, -1), padding)
    if drops_last_padding and padding:
        data = data[:-padding]
    rgb = image_to_rgb(
        height=height,
        width=width,
        encoding=plain_name(family, bits),
        step=step,
        data=data,
        is_bigendian=is_bigendian,
    )
    picked = [channels.find(letter) if letter in channels else 0 for letter in "RGB"]
    assert np.array_equal(rgb, values[..., picked].astype(int) >> (bits - 8))


@pytest.mark.parametrize("encoding", PACKED_YUV)
def test_packed_yuv_is_the_textbook_formula(encoding: str) -> None:
    rng = np.random.default_rng(3)
    y, pair = rng.integers(16, 236, (6, 8)), rng.integers(16, 241, (6, 4, 2))
    rows = np.zeros((6, 16), np.uint8)
    order = PACKED_YUV[encoding]
    rows[:, order.index("Y") :: 2] = y
    rows[:, order.index("U") :: 4], rows[:, order.index("V") :: 4] = pair[..., 0], pair[..., 1]
    data, step = padded_bytes(rows, 5)
    rgb = image_to_rgb(height=6, width=8, encoding=encoding, step=step, data=data)
    u, v = (np.repeat(pair[..., index], 2, axis=1) for index in (0, 1))
    assert np.abs(rgb - video_rgb(y, u, v)).max() <= 2


@pytest.mark.parametrize(("encoding", "first"), [("nv12", "U"), ("nv21", "V"), ("nv24", "U")])
@pytest.mark.parametrize("padding", [0, 6])
def test_two_planes_are_the_textbook_formula(encoding: str, first: str, padding: int) -> None:
    """Luma rows, then rows of chroma pairs with the same step (nv24: twice the step)."""
    rng = np.random.default_rng(4)
    height, width, share = 6, 8, 1 if encoding == "nv24" else 2
    y = rng.integers(16, 236, (height, width)).astype(np.uint8)
    pairs = rng.integers(16, 241, (height // share, width // share, 2)).astype(np.uint8)
    luma, step = padded_bytes(y, padding)
    chroma_padding = padding * 2 // share
    chroma, chroma_step = padded_bytes(pairs.reshape(height // share, -1), chroma_padding)
    assert chroma_step == step * 2 // share
    u, v = (np.repeat(np.repeat(pairs[..., index], share, 0), share, 1) for index in (0, 1))
    if first == "V":
        u, v = v, u
    fields = {"height": height, "width": width, "encoding": encoding, "step": step}
    assert np.abs(image_to_rgb(**fields, data=luma + chroma) - video_rgb(y, u, v)).max() <= 2
    with pytest.raises(ImageRefused, match="needs"):
        image_to_rgb(**fields, data=(luma + chroma)[: -chroma_padding - 1])


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", BAYER)
def test_bayer_is_bilinear(pattern: str, bits: int) -> None:
    mosaic = np.random.default_rng(6).integers(0, 1 << bits, (9, 12)).astype(f"<u{bits // 8}")
    data, step = padded_bytes(mosaic, 3)
    rgb = image_to_rgb(height=9, width=12, encoding=f"{pattern}{bits}", step=step, data=data)
    expected = slow_demosaic(mosaic >> (bits - 8), BAYER[pattern])
    assert np.abs(rgb[1:-1, 1:-1] - expected).max() <= 1


@pytest.mark.parametrize("change", [{"height": 3}, {"width": 3}])
def test_two_planes_need_even_sides(change: dict[str, int]) -> None:
    fields = {"height": 4, "width": 4, "step": 4, "data": bytes(64), **change}
    with pytest.raises(ImageRefused, match="must be even"):
        image_to_rgb(encoding="nv12", **fields)


@settings(max_examples=300, deadline=None)
@given(
    encoding=st.sampled_from(list(ENCODINGS)),
    height=st.integers(0, 8),
    width=st.integers(0, 8),
    step=st.integers(0, 70),
    size=st.integers(0, 900),
    is_bigendian=st.booleans(),
)
def test_any_fields_decode_or_are_refused(
    encoding: str, height: int, width: int, step: int, size: int, is_bigendian: bool
) -> None:
    fields = {"height": height, "width": width, "encoding": encoding, "step": step, "is_bigendian": is_bigendian}
    try:
        rgb = image_to_rgb(**fields, data=bytes(size))
    except ImageRefused as refusal:
        assert refusal.reason in ("size", "step", "data")
        return
    assert rgb.shape == (height, width, 3) and rgb.dtype == np.uint8
    assert size >= ENCODINGS[encoding].bytes_needed(height, width, step)


def test_mirrors_and_swaps_are_views() -> None:
    rgb = np.random.default_rng(7).integers(0, 256, (4, 5, 3), np.uint8)
    assert np.array_equal(orient(rgb, mirror_horizontal=True), np.flip(rgb, 1))
    assert np.array_equal(orient(rgb, mirror_vertical=True), np.flip(rgb, 0))
    assert np.array_equal(orient(rgb, swap_red_blue=True), rgb[..., [2, 1, 0]])
    turned = orient(rgb, mirror_horizontal=True, mirror_vertical=True, swap_red_blue=True)
    assert np.array_equal(turned, np.flip(rgb)) and np.shares_memory(turned, rgb)

"""Every encoding to RGB, padded and byte-swapped, and every malformed message refused by name."""

from __future__ import annotations

import array
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from sarl_perception.encodings import ENCODINGS
from sarl_perception.estimator import resize
from sarl_perception.image_input import ImageRefused, compressed_to_rgb, image_to_rgb, message_to_rgb, orient

HEIGHT, WIDTH = 6, 8
RNG = np.random.default_rng(5)
RGB = RNG.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
ALPHA = np.full((HEIGHT, WIDTH, 1), 9, np.uint8)
GREY = RGB[..., 0]
BAYER = {"rggb": "RGGB", "bggr": "BGGR", "gbrg": "GBRG", "grbg": "GRBG"}


def decode(pixels: np.ndarray, encoding: str, *, padding: int = 0, is_bigendian: bool = False) -> np.ndarray:
    """RGB of an image sent as a driver would, with `padding` junk bytes after each row."""
    rows = pixels.reshape(HEIGHT, -1).view(np.uint8)
    padded = np.concatenate([rows, np.full((HEIGHT, padding), 77, np.uint8)], axis=1)
    data = array.array("B", padded.tobytes())
    return image_to_rgb(
        height=HEIGHT, width=WIDTH, encoding=encoding, step=padded.shape[1], data=data, is_bigendian=is_bigendian
    )


EXACT = {
    "rgb8": (RGB, RGB),
    "bgr8": (RGB[..., ::-1], RGB),
    "8UC3": (RGB[..., ::-1], RGB),
    "rgba8": (np.concatenate([RGB, ALPHA], axis=2), RGB),
    "bgra8": (np.concatenate([RGB[..., ::-1], ALPHA], axis=2), RGB),
    "mono8": (GREY, np.repeat(GREY[..., None], 3, axis=2)),
    "8UC1": (GREY, np.repeat(GREY[..., None], 3, axis=2)),
}


@pytest.mark.parametrize("padding", [0, 1, 5])
@pytest.mark.parametrize("encoding", EXACT)
def test_plain_encodings_are_exact(encoding: str, padding: int) -> None:
    sent, expected = EXACT[encoding]
    assert np.array_equal(decode(np.ascontiguousarray(sent), encoding, padding=padding), expected)


@pytest.mark.parametrize("is_bigendian", [False, True])
def test_mono16_keeps_the_high_byte(is_bigendian: bool) -> None:
    values = RNG.integers(0, 65536, (HEIGHT, WIDTH)).astype(">u2" if is_bigendian else "<u2")
    rgb = decode(values, "mono16", padding=3, is_bigendian=is_bigendian)
    assert np.array_equal(rgb, np.repeat((values.astype(int) // 256)[..., None], 3, axis=2))


@pytest.mark.parametrize("pattern", BAYER)
def test_bayer_patterns_recover_a_plain_colour(pattern: str) -> None:
    colour = dict(zip("RGB", (200, 120, 40), strict=True))
    letters = np.array(list(BAYER[pattern])).reshape(2, 2)
    mosaic = np.vectorize(colour.get)(np.tile(letters, (HEIGHT // 2, WIDTH // 2))).astype(np.uint8)
    rgb = decode(mosaic, f"bayer_{pattern}8", padding=2)
    assert np.array_equal(rgb, np.broadcast_to(np.array([200, 120, 40], np.uint8), rgb.shape))


@pytest.mark.parametrize(
    ("encoding", "order"), [("yuv422", "UYVY"), ("uyvy", "UYVY"), ("yuv422_yuy2", "YUYV"), ("yuyv", "YUYV")]
)
def test_yuv422_follows_bt601(encoding: str, order: str) -> None:
    red, green, blue = 180, 90, 60
    sample = {
        "Y": 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255,
        "U": 128 + (-37.797 * red - 74.203 * green + 112.0 * blue) / 255,
        "V": 128 + (112.0 * red - 93.786 * green - 18.214 * blue) / 255,
    }
    pair = np.array([round(sample[letter]) for letter in order], np.uint8)
    rgb = decode(np.tile(pair, (HEIGHT, WIDTH // 2)), encoding, padding=4)
    assert np.abs(rgb.astype(int) - (red, green, blue)).max() <= 3


def test_rgb8_is_a_view_of_the_message() -> None:
    data = array.array("B", RGB.tobytes())
    rgb = image_to_rgb(height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH, data=data)
    assert np.shares_memory(rgb, np.frombuffer(data, np.uint8))


@pytest.mark.parametrize(
    ("extension", "form"), [(".png", "png"), (".png", "rgb8; png compressed bgr8"), (".jpg", "jpeg")]
)
def test_compressed_images(extension: str, form: str) -> None:
    smooth = cv2.resize(RGB, (64, 48), interpolation=cv2.INTER_LINEAR)
    payload = cv2.imencode(extension, smooth[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    rgb = compressed_to_rgb(format=form, data=array.array("B", payload))
    assert np.abs(rgb.astype(int) - smooth).mean() < (1e-9 if extension == ".png" else 4)
    assert np.array_equal(compressed_to_rgb(format=form, data=payload + bytes(1000)), rgb), "a camera's whole buffer"
    for cut in (0, 1, len(payload) // 2, len(payload) - 20):
        with pytest.raises(ImageRefused, match="incomplete"):
            compressed_to_rgb(format=form, data=payload[:cut])


GOOD = {"height": 4, "width": 4, "encoding": "rgb8", "step": 12, "data": bytes(48)}


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({"height": 0}, "size", "4x0"),
        ({"width": 0}, "size", "0x4"),
        ({"encoding": "32FC1"}, "encoding", "'32FC1'.*rgb8"),
        ({"encoding": ""}, "encoding", "rgb8"),
        ({"step": 11}, "step", "11 bytes.*12"),
        ({"step": 0}, "step", "0 bytes"),
        ({"data": bytes(47)}, "data", "47 bytes.*48"),
        ({"data": b""}, "data", "0 bytes"),
        ({"encoding": "yuyv", "width": 3}, "size", "even"),
        ({"height": 2**31, "width": 2**31}, "step", "12 bytes"),
    ],
)
def test_malformed_images_are_refused_by_name(change: dict[str, object], reason: str, words: str) -> None:
    with pytest.raises(ImageRefused, match=words) as refusal:
        image_to_rgb(**{**GOOD, **change})
    assert refusal.value.reason == reason
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("size", [(4, 3), (40, 30), (8, 6)])
def test_a_view_seen_backwards_is_resized_like_its_copy(size: tuple[int, int]) -> None:
    turned = orient(RGB, mirror_horizontal=True, mirror_vertical=True, swap_red_blue=True)
    found, expected = resize(turned, *size), resize(np.ascontiguousarray(turned), *size)
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert found.flags.c_contiguous


def test_other_compressed_formats_are_refused() -> None:
    with pytest.raises(ImageRefused, match="h264"):
        compressed_to_rgb(format="h264", data=b"x")


def test_random_messages_never_do_anything_but_decode_or_be_refused() -> None:
    rng = np.random.default_rng(1)
    encodings = [*ENCODINGS, "", "32FC1"]
    decoded = 0
    for _ in range(3000):
        height, width = (int(side) for side in rng.integers(0, 12, 2))
        message = SimpleNamespace(
            height=height,
            width=width,
            encoding=encodings[rng.integers(len(encodings))],
            step=int(rng.integers(0, 60)),
            is_bigendian=int(rng.integers(0, 3)),
            data=array.array("B", rng.bytes(int(rng.integers(0, 700)))),
        )
        try:
            rgb = message_to_rgb(message)
        except ImageRefused:
            continue
        assert rgb.shape == (height, width, 3) and rgb.dtype == np.uint8
        decoded += 1
    assert decoded > 100


@pytest.mark.parametrize(("extension", "form", "at"), [(".png", "png", 16), (".jpg", "jpeg", None)])
def test_a_compressed_image_that_claims_to_be_huge_is_refused(extension: str, form: str, at: int | None) -> None:
    payload = bytearray(cv2.imencode(extension, np.zeros((16, 16, 3), np.uint8))[1].tobytes())
    if at is None:
        at = payload.index(b"\xff\xc0") + 5
        payload[at : at + 4] = b"\xff\xff\xff\xff"
    else:
        payload[at : at + 8] = b"\x00\x00\x80\x00" * 2
    with pytest.raises(ImageRefused, match=r"65535x65535|32768x32768"):
        compressed_to_rgb(format=form, data=bytes(payload))


def test_random_compressed_payloads() -> None:
    rng = np.random.default_rng(2)
    payload = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    for _ in range(300):
        broken = bytearray(payload)
        for position in rng.integers(0, len(payload), 5):
            broken[position] = rng.integers(256)
        try:
            rgb = message_to_rgb(SimpleNamespace(format="jpeg", data=bytes(broken)))
        except ImageRefused:
            continue
        assert rgb.ndim == 3

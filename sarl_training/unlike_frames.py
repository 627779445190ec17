"""Frames that a model must not trust, made from frames that it may: UNLIKE[name](images_NHWC, rng) -> images_NHWC.

uint8 RGB in and out. They fit how fast covariances grow, and measure how often a model calls such frames unfamiliar.
"""

from collections.abc import Callable

import cv2
import numpy as np

Images = np.ndarray
Corruption = Callable[[Images, np.random.Generator], Images]


def _noisy(images: Images, rng: np.random.Generator, std: float) -> Images:
    return np.clip(images + rng.normal(0, std, images.shape), 0, 255).astype(np.uint8)


def _brighter(factor: float) -> Corruption:
    return lambda images, rng: _noisy(images * np.float32(factor), rng, 2.0)


def _blurred(share_of_width: float) -> Corruption:
    def blur(images: Images, rng: np.random.Generator) -> Images:
        return np.stack([cv2.GaussianBlur(image, (0, 0), share_of_width * images.shape[2]) for image in images])

    return blur


def _covered(images: Images, rng: np.random.Generator) -> Images:
    """One colour all over: the frame's mean."""
    return _noisy(np.broadcast_to(images.mean((1, 2), keepdims=True), images.shape), rng, 2.0)


def _shifted(share_of_width: float) -> Corruption:
    """The region of interest put beside the sensor, in any direction; what lies outside is black."""

    def shift(images: Images, rng: np.random.Generator) -> Images:
        side = images.shape[2]
        angles = rng.uniform(0, 2 * np.pi, len(images))
        moves = share_of_width * side * np.stack([np.cos(angles), np.sin(angles)], 1)
        matrices = [np.array([[1, 0, x], [0, 1, y]], np.float32) for x, y in moves]
        return np.stack([cv2.warpAffine(image, m, (side, side)) for image, m in zip(images, matrices, strict=True)])

    return shift


def _zoomed(images: Images, rng: np.random.Generator) -> Images:
    """The middle 60 % of the region."""
    side = images.shape[2]
    low, high = round(0.2 * side), round(0.8 * side)
    return np.stack([cv2.resize(image[low:high, low:high], (side, side)) for image in images])


# the contact is still the labelled one; what can be seen of it is less
SAME_CONTACT: dict[str, Corruption] = {
    "lens covered, dark": lambda images, rng: _noisy(np.full(images.shape, 4.0), rng, 2.0),
    "lens covered, one colour": _covered,
    "lights off (10 %)": _brighter(0.1),
    "lights half": _brighter(0.5),
    "saturated (3 x)": _brighter(3.0),
    "bright (1.7 x)": _brighter(1.7),
    "out of focus (5 % of the width)": _blurred(0.05),
    "out of focus (2 %)": _blurred(0.02),
    "noise (20 levels)": lambda images, rng: _noisy(images, rng, 20.0),
    "red and blue swapped": lambda images, rng: np.ascontiguousarray(images[..., ::-1]),
}
UNLIKE: dict[str, Corruption] = {
    **SAME_CONTACT,
    "region shifted by 25 %": _shifted(0.25),
    "region shifted by 10 %": _shifted(0.1),
    "region shifted by 3 %": _shifted(0.03),
    "region too small (60 %)": _zoomed,
    "turned by 90 deg": lambda images, rng: np.ascontiguousarray(np.rot90(images, 1, (1, 2))),
}

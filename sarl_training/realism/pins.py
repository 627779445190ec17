"""Pins in an image: where they are at rest, and how far each has moved in another frame. Pixels, x right and y down."""

import cv2
import numpy as np

FIELD_PX = 95.0  # pins lie inside this radius of a 224 px image; beyond it are the rim's scratches
_BLOB_SIGMA_PX = 1.4  # pins are about 4 px wide
_STRONG_PINS = 60
_SHARE_OF_STRONG = 0.35
_WINDOW_PX = 4
_REACH_PX = 3.5  # a pin is found again within so much of where the smooth motion says
_ROUNDS = 8


def detect_pins(image_HWC: np.ndarray, bright: bool) -> np.ndarray:
    """Centres [P, 2] of dark (or bright) round blobs of about 4 px in a 224 px RGB image, to a fraction of a pixel.

    A blob curves the same way along both axes, an edge along one: what counts is the smaller eigenvalue of the Hessian
    of the logarithm, relative to that of the strongest blobs.
    """
    curvature = _curvature(image_HWC, bright)
    size = len(curvature)
    axis = np.arange(size) + 0.5 - size / 2
    inside = np.hypot(axis[None], axis[:, None]) < FIELD_PX * size / 224
    peaks = inside & (curvature > 0) & (curvature >= cv2.dilate(curvature, np.ones((5, 5), np.uint8)))
    strength = np.sort(curvature[peaks])[::-1][:_STRONG_PINS]
    if len(strength) == 0:
        return np.zeros((0, 2))
    rows, columns = np.nonzero(peaks & (curvature > _SHARE_OF_STRONG * np.median(strength)))
    return np.stack(
        [
            columns + 0.5 + _vertex(*(curvature[rows, columns + step] for step in (-1, 0, 1))),
            rows + 0.5 + _vertex(*(curvature[rows + step, columns] for step in (-1, 0, 1))),
        ],
        axis=1,
    )


def _curvature(image_HWC: np.ndarray, bright: bool) -> np.ndarray:
    """Smaller eigenvalue of the Hessian of the smoothed logarithm; its sign is such that pins are positive."""
    grey = np.log(image_HWC.mean(2, dtype=np.float32) + 16)
    smooth = cv2.GaussianBlur(-grey if bright else grey, (0, 0), _BLOB_SIGMA_PX)
    xx, yy, xy = (cv2.Sobel(smooth, cv2.CV_32F, *order, ksize=3) / 4 for order in ((2, 0), (0, 2), (1, 1)))
    return (xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy**2)


def _vertex(before: np.ndarray, here: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Offset of the top of the parabola through three neighbours."""
    bend = before - 2 * here + after
    return np.where(bend < 0, (before - after) / (2 * np.where(bend < 0, bend, -1)), 0.0).clip(-0.5, 0.5)


def pin_looks(image_HWC: np.ndarray, pins_P2: np.ndarray, bright: bool) -> tuple[float, float]:
    """Median diameter (px, of a disc as dark in all as the blob) and median shade over surroundings."""
    grey = image_HWC.mean(2, dtype=np.float32)
    diameters, shades = [], []
    for column, row in pins_P2.astype(int):
        patch = grey[row - _WINDOW_PX : row + _WINDOW_PX + 1, column - _WINDOW_PX : column + _WINDOW_PX + 1]
        around = float(np.percentile(patch, 20 if bright else 80))
        pin = float(np.percentile(patch, 97 if bright else 3))
        cover = ((patch - around) / (pin - around)).clip(0, 1) if pin != around else np.zeros_like(patch)
        diameters.append(2 * np.sqrt(cover.sum() / np.pi))
        shades.append(pin / max(around, 1.0))
    return float(np.median(diameters)), float(np.median(shades))


def pin_motion(reference_P2: np.ndarray, found_Q2: np.ndarray) -> np.ndarray:
    """Motion [P, 2] of each reference pin to a found one; NaN where none fits.

    The skin moves smoothly: a cubic map is fitted and nearest pins within it found in turn, from no motion and from the
    motion that makes centre and width equal; the start that finds more pins again wins.
    """
    if min(len(reference_P2), len(found_Q2)) < 20:
        return np.full_like(reference_P2, np.nan)
    centre, width = reference_P2.mean(0), reference_P2.std()
    moved = (reference_P2 - centre) * (found_Q2.std() / width) + found_Q2.mean(0)
    tries = [_follow(reference_P2, found_Q2, start) for start in (reference_P2, moved)]
    return max(tries, key=lambda motion: np.isfinite(motion[:, 0]).sum())


def _follow(reference_P2: np.ndarray, found_Q2: np.ndarray, start_P2: np.ndarray) -> np.ndarray:
    x, y = ((reference_P2 - reference_P2.mean(0)) / reference_P2.std()).T
    terms_PT = np.stack([x**a * y**b for a in range(4) for b in range(4 - a)], 1)
    predicted_P2 = start_P2
    matched = np.zeros(len(reference_P2), bool)
    nearest_P = np.zeros(len(reference_P2), int)
    for number in range(_ROUNDS):
        distance_PQ = np.linalg.norm(predicted_P2[:, None] - found_Q2[None], axis=2)
        nearest_P = distance_PQ.argmin(1)
        mutual = distance_PQ.argmin(0)[nearest_P] == np.arange(len(reference_P2))
        matched = mutual & (distance_PQ.min(1) < _REACH_PX * (2 if number < _ROUNDS // 2 else 1))
        kept = terms_PT if matched.sum() > 3 * terms_PT.shape[1] else terms_PT[:, :1]
        if matched.sum() < 10:
            break
        weights = np.linalg.lstsq(kept[matched], found_Q2[nearest_P[matched]] - reference_P2[matched], rcond=None)[0]
        predicted_P2 = reference_P2 + kept @ weights
    return np.where(matched[:, None], found_Q2[nearest_P] - reference_P2, np.nan)

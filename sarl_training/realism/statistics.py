"""The figures of one unit of a sensor, from its frames alone: the same code for real and for simulated ones.

Frames are square, 224 px, the visible circle filling 97 % of them. A figure is about the `unit` (optics, pins, light)
or about the `press` as well, which a comparison can only make alike in kind.
"""

from typing import Literal, NamedTuple

import cv2
import numpy as np

from sarl_training.realism.pins import detect_pins, pin_looks, pin_motion

SIZE_PX = 224
BRIGHT_PINS: dict[str, bool | None] = {"vitactip": False, "tactip": True, "vitac": None}
"""Sensors that can be compared: whether their pins are bright, dark, or not there."""
ZONES_PX = {"centre": (0, 27), "inner": (27, 54), "outer": (54, 81), "rim": (81, 104)}
BORDER_PX = (116, 160)
_PROFILE_PX = np.arange(0, 128, 4)
_FACE_PX = 81


class Figure(NamedTuple):
    """One measured figure."""

    value: float
    unit: str
    about: Literal["unit", "press"]


class Measured(NamedTuple):
    """Everything measured on one unit."""

    figures: dict[str, Figure]
    brightness_R: np.ndarray
    """Mean grey value by radius, at `PROFILE_PX`."""
    sharpness_R: np.ndarray
    """Mean gradient by radius, share of the brightness there per px, pins left out."""
    rest_pins_P2: np.ndarray
    """Pins without contact, or their median places where no such frame is given."""
    moved_pins_FP2: np.ndarray
    """Motion of each of these pins in each frame, px; NaN where it is not found."""


PROFILE_PX = (_PROFILE_PX[:-1] + _PROFILE_PX[1:]) / 2


def measure(frames_NHWC: np.ndarray, rest_HWC: np.ndarray | None, sensor: str) -> Measured:
    """Figures of frames in contact, uint8 RGB, and of a frame without contact where there is one."""
    bright = BRIGHT_PINS[sensor]
    found = [np.zeros((0, 2)) if bright is None else detect_pins(frame, bright) for frame in frames_NHWC]
    figures: dict[str, Figure] = {}
    rest_P2, motion_FP2 = np.zeros((0, 2)), np.zeros((len(frames_NHWC), 0, 2))
    if bright is not None:
        rest_P2 = _median_layout(found) if rest_HWC is None else detect_pins(rest_HWC, bright)
        motion_FP2 = np.stack([pin_motion(rest_P2, pins) for pins in found])
        count = len(rest_P2) if rest_HWC is not None else float(np.median([len(pins) for pins in found]))
        figures |= _layout(rest_P2, count)
        looks = [pin_looks(frame, pins, bright) for frame, pins in zip(frames_NHWC, found, strict=True) if len(pins)]
        diameter, shade = np.median(looks, axis=0) if looks else (np.nan, np.nan)
        figures["pin diameter"] = Figure(float(diameter), "px", "unit")
        figures["pin shade over surroundings"] = Figure(float(shade), "ratio", "unit")
        figures |= _motion(rest_P2, motion_FP2)
    clear = [_clear_of(pins) for pins in found]
    sharp = np.stack([_gradient(frame) for frame in frames_NHWC])
    figures |= _light(frames_NHWC)
    figures |= _sharpness("in contact", sharp, clear, "press")
    if rest_HWC is not None:
        mask = _clear_of(rest_P2)
        figures |= _sharpness("at rest", _gradient(rest_HWC)[None], [mask], "unit")
    figures["noise of the grey value"] = Figure(_noise(frames_NHWC, clear), "grey levels", "unit")
    weighted = np.where(np.stack(clear), sharp, np.nan)
    return Measured(figures, _profile(frames_NHWC.mean((0, 3))), _profile_nan(weighted), rest_P2, motion_FP2)


def radius_px() -> np.ndarray:
    """Distance of each pixel of a frame from its centre."""
    axis = np.arange(SIZE_PX) + 0.5 - SIZE_PX / 2
    return np.hypot(axis[None], axis[:, None])


def _median_layout(found: list[np.ndarray]) -> np.ndarray:
    """Median place of each pin of the frame with most pins."""
    first = max(found, key=len)
    motion = np.stack([pin_motion(first, pins) for pins in found])
    seen = np.isfinite(motion[..., 0]).mean(0) > 0.5
    return first[seen] + np.nanmedian(motion[:, seen], axis=0) if seen.any() else first[:0]


def _layout(pins_P2: np.ndarray, count: float) -> dict[str, Figure]:
    values = dict.fromkeys(("spacing", "uneven", "quarter", "half", "outer", "shift"), float("nan"))
    if len(pins_P2) > 1:
        distance = np.linalg.norm(pins_P2[:, None] - pins_P2[None], axis=2) + 1e6 * np.eye(len(pins_P2))
        nearest = distance.min(1)
        radii = np.linalg.norm(pins_P2 - pins_P2.mean(0), axis=1)
        values = {
            "spacing": np.median(nearest),
            "uneven": (np.percentile(nearest, 90) - np.percentile(nearest, 10)) / np.median(nearest),
            "quarter": np.percentile(radii, 25),
            "half": np.percentile(radii, 50),
            "outer": np.percentile(radii, 95),
            "shift": np.linalg.norm(pins_P2.mean(0) - SIZE_PX / 2),
        }
    return {
        "pins found": Figure(float(count), "", "unit"),
        "pin spacing (nearest neighbour, median)": Figure(float(values["spacing"]), "px", "unit"),
        "pin spacing, 10 to 90 % over median": Figure(float(values["uneven"]), "ratio", "unit"),
        "radius with a quarter of the pins": Figure(float(values["quarter"]), "px", "unit"),
        "radius with half of the pins": Figure(float(values["half"]), "px", "unit"),
        "radius with 95 % of the pins": Figure(float(values["outer"]), "px", "unit"),
        "pins off the image centre": Figure(float(values["shift"]), "px", "unit"),
    }


def _motion(rest_P2: np.ndarray, motion_FP2: np.ndarray) -> dict[str, Figure]:
    seen = np.isfinite(motion_FP2[..., 0])
    if not seen.any():
        return {}
    length = np.linalg.norm(motion_FP2, axis=2)
    outward_P2 = rest_P2 - rest_P2.mean(0)
    outward_P2 = outward_P2 / np.linalg.norm(outward_P2, axis=1, keepdims=True).clip(1e-6)
    own = motion_FP2 - np.nanmean(motion_FP2, axis=1, keepdims=True)
    return {
        "pin motion, mean": Figure(float(np.nanmean(length)), "px", "press"),
        "pin motion, 95th percentile": Figure(float(np.nanpercentile(length, 95)), "px", "press"),
        "pin motion against each other, mean": Figure(float(np.nanmean(np.linalg.norm(own, axis=2))), "px", "press"),
        "pin motion outward, mean": Figure(float(np.nanmean((motion_FP2 * outward_P2).sum(2))), "px", "press"),
        "pins followed": Figure(float(seen.mean()), "share", "press"),
    }


def _light(frames_NHWC: np.ndarray) -> dict[str, Figure]:
    mean_HWC = frames_NHWC.mean(0)
    radius = radius_px()
    figures = {}
    for name, (low, high) in ZONES_PX.items():
        zone = (radius >= low) & (radius < high)
        red, green, blue = mean_HWC[zone].mean(0)
        figures[f"brightness, {name}"] = Figure(float((red + green + blue) / 3), "grey levels", "unit")
        figures[f"red less blue, {name}"] = Figure(float(red - blue), "grey levels", "unit")
    border = (radius >= BORDER_PX[0]) & (radius < BORDER_PX[1])
    figures["brightness, border"] = Figure(float(mean_HWC[border].mean()), "grey levels", "unit")
    face = frames_NHWC[:, radius < ZONES_PX["rim"][1]].mean(2)
    clipped = (face > face.max(1, keepdims=True) - 1).mean()
    figures["pixels at a frame's brightest level"] = Figure(float(clipped), "share", "unit")
    return figures


def _gradient(image_HWC: np.ndarray) -> np.ndarray:
    """Length of the gradient per px, as a share of the brightness around (so that gain does not count)."""
    grey = image_HWC.mean(2, dtype=np.float32)
    dx, dy = (cv2.Sobel(grey, cv2.CV_32F, *order, ksize=3) / 8 for order in ((1, 0), (0, 1)))
    return np.hypot(dx, dy) / (cv2.GaussianBlur(grey, (0, 0), 6) + 8)


def _clear_of(pins_P2: np.ndarray) -> np.ndarray:
    """Where no pin is near."""
    mask = np.ones((SIZE_PX, SIZE_PX), np.uint8)
    for x, y in pins_P2:
        cv2.circle(mask, (int(x), int(y)), 5, 0, -1)
    return mask.astype(bool)


def _sharpness(
    when: str, sharp_NHW: np.ndarray, clear: list[np.ndarray], about: Literal["unit", "press"]
) -> dict[str, Figure]:
    radius = radius_px()
    figures = {}
    for name, (low, high) in ZONES_PX.items():
        zone = (radius >= low) & (radius < high)
        values = np.concatenate([sharp[zone & mask] for sharp, mask in zip(sharp_NHW, clear, strict=True)])
        figures[f"sharpness {when}, {name} (median)"] = Figure(100 * float(np.median(values)), "% per px", about)
    face = radius < _FACE_PX
    crisp = [float(np.percentile(sharp[face & mask], 99)) for sharp, mask in zip(sharp_NHW, clear, strict=True)]
    figures[f"sharpness {when}, crispest 1 %"] = Figure(100 * float(np.median(crisp)), "% per px", about)
    return figures


def _noise(frames_NHWC: np.ndarray, clear: list[np.ndarray]) -> float:
    """Standard deviation of the grey value's noise: median of Immerkaer's Laplacian difference where no pin is near."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    face = radius_px() < ZONES_PX["rim"][1]
    found = []
    for frame, mask in zip(frames_NHWC, clear, strict=True):
        residual = np.abs(cv2.filter2D(frame.mean(2, dtype=np.float32), cv2.CV_32F, kernel))
        found.append(1.4826 * float(np.median(residual[face & mask])) / 6)
    return float(np.median(found))


def _profile(image_HW: np.ndarray) -> np.ndarray:
    return _profile_nan(image_HW[None])


def _profile_nan(images_NHW: np.ndarray) -> np.ndarray:
    bins = np.digitize(radius_px(), _PROFILE_PX) - 1
    return np.array([np.nanmean(images_NHW[:, bins == number]) for number in range(len(PROFILE_PX))])

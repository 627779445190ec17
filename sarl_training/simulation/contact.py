"""The latent draws: a contact (what touches, where, how hard) and a unit (which copy of the sensor, in which light).

Everything random is drawn here on the host, one generator per sample, so sample i of seed s is the same whatever the
batch size or the device. Rendering is a deterministic function of these rows.
"""

from __future__ import annotations

import copy
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

RIGID_N_PER_MM3 = 1e3
PIN_SLOTS = 137

# Ring radii (mm) and counts of the 137-pin ViTacTip: what the camera model maps to the measured 0 12.3 23.4 34 44.4
# 55 66.2 px.
_RINGS_MM = ((0.0, 1), (1.51, 8), (2.87, 16), (4.16, 16), (5.42, 32), (6.69, 32), (8.0, 32))
_HEXAGON_PITCH_MM = 1.35


@dataclass(frozen=True)
class Contact:
    """One press. Pose in the tip frame (x right, y down in the image); `depth_mm` is the height of the object's
    highest face above the apex of the skin at rest, negative when it hovers. Travel is tangential, after first
    touch."""

    object_name: str
    depth_mm: float
    size_mm: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    x_mm: float = 0.0
    y_mm: float = 0.0
    yaw_rad: float = 0.0
    tilt: tuple[float, float] = (0.0, 0.0)
    travel_mm: tuple[float, float] = (0.0, 0.0)
    twist_rad: float = 0.0
    stiffness_N_per_mm3: float = RIGID_N_PER_MM3
    friction: float = 0.7
    texture: str = "smooth"
    texture_pitch_mm: float = 1.0
    texture_depth_mm: float = 0.0
    texture_phase: tuple[float, float] = (0.0, 0.0)
    albedo_rgb: tuple[float, float, float] = (0.92, 0.96, 0.97)


@dataclass(frozen=True)
class Unit:
    """One copy of the sensor: optics, pins, gel and light. Pixels are those of a 224 px image."""

    pins_mm: tuple[tuple[float, float], ...]
    pin_radius_px: float
    pin_shade: float
    focal_px: float
    refraction: float
    centre_px: tuple[float, float]
    roll_rad: float
    tension_scale: float
    bed_scale: float
    glow_gain: float
    glow_width: float
    lamp_weights: tuple[float, ...]
    lamp_roll_rad: float
    tint_rgb: tuple[float, float, float]
    saturation: float
    gamma: float
    dust_phase: tuple[float, float]


@dataclass(frozen=True)
class Exposure:
    """What changes from frame to frame of one unit: gain, and where in the noise bank this frame reads."""

    gain: float
    noise_offset: tuple[int, int]


class Columns:
    """Stacked fields of B rows of one dataclass: numbers as float32 tensors [B, ...], names as lists."""

    def __init__(self, rows: Sequence[Any], device: torch.device) -> None:
        for field in fields(rows[0]):
            values = [getattr(row, field.name) for row in rows]
            named = isinstance(values[0], str)
            setattr(
                self, field.name, values if named else torch.as_tensor(np.asarray(values, np.float32), device=device)
            )

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def replaced(self, **columns: torch.Tensor) -> Columns:
        """The same rows with other values in these columns."""
        other = copy.copy(self)
        vars(other).update(columns)
        return other


def sample_generator(seed: int, *path: str | int) -> np.random.Generator:
    """The generator of one sample, addressed by words and numbers (task, index): independent of every other sample."""
    return np.random.default_rng([seed, *(zlib.crc32(str(word).encode()) for word in path)])


def pin_layout(name: str) -> np.ndarray:
    """Nominal pin positions [P, 2] in mm: `rings` (137 pins, 1+8+16+16+32+32+32) or `hexagonal` (127 pins)."""
    if name == "rings":
        angles = [np.arange(count) * (2 * math.pi / count) + 0.5 * ring for ring, (_, count) in enumerate(_RINGS_MM)]
        return np.concatenate(
            [radius * np.stack([np.cos(a), np.sin(a)], 1) for a, (radius, _) in zip(angles, _RINGS_MM, strict=True)]
        )
    steps = range(-6, 7)
    cells = [(q, r) for q in steps for r in steps if abs(q + r) <= 6]
    return _HEXAGON_PITCH_MM * np.array([(q + r / 2, r * math.sqrt(3) / 2) for q, r in cells])


def draw_unit(seed: int, index: int) -> Unit:
    """Unit `index` of the family with this seed. Three units in four carry the ring layout, the others the
    hexagonal one.
    """
    rng = sample_generator(seed, "unit", index)
    pins = pin_layout("hexagonal" if rng.random() < 0.25 else "rings")
    roll = rng.uniform(-math.pi, math.pi)
    turn = np.array([[math.cos(roll), -math.sin(roll)], [math.sin(roll), math.cos(roll)]])
    pins = (pins @ turn.T) * rng.uniform(0.98, 1.02) + rng.normal(0, 0.03, pins.shape) + rng.normal(0, 0.08, 2)
    pins = np.concatenate([pins, np.full((PIN_SLOTS - len(pins), 2), 1e3)])
    return Unit(
        pins_mm=tuple(map(tuple, pins)),
        pin_radius_px=rng.uniform(1.9, 2.3),
        pin_shade=rng.uniform(24, 45),
        focal_px=110.8 * rng.uniform(0.985, 1.015),
        refraction=rng.uniform(1.38, 1.41),
        centre_px=tuple(rng.normal(0, 1.0, 2)),
        roll_rad=rng.normal(0, math.radians(0.7)),
        tension_scale=rng.uniform(0.93, 1.07),
        bed_scale=rng.uniform(0.95, 1.05),
        glow_gain=rng.uniform(0.85, 1.12),
        glow_width=rng.uniform(0.9, 1.15),
        lamp_weights=tuple(rng.uniform(0.6, 1.4, 8)),
        lamp_roll_rad=rng.uniform(0, 2 * math.pi),
        tint_rgb=tuple(rng.normal(1.0, 0.03, 3)),
        saturation=1.0 if rng.random() < 0.85 else 0.0,
        gamma=rng.uniform(0.9, 1.1),
        dust_phase=tuple(rng.uniform(0, 1, 2)),
    )


def draw_exposure(rng: np.random.Generator) -> Exposure:
    """Frame-to-frame light and noise."""
    return Exposure(gain=rng.uniform(0.95, 1.05), noise_offset=tuple(int(v) for v in rng.integers(0, 4096, 2)))

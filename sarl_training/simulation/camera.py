"""The camera inside the tip: an equidistant fisheye that looks through gel, refracted at its window.

A point at distance rho from the axis and Z from the lens appears at radius `r = f asin(n sin(atan2(rho, Z)))`.
Without refraction (n = 1) the scale would be 5.8 instead of the measured 7.9 px/mm. Pixels are those of a 224 px
image, from its centre, x right, y down.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sarl_training.simulation.contact import Columns
from sarl_training.simulation.skin import CAP_RADIUS_MM, dome_sag

REFERENCE_PX = 224
VIEW_MM = 28.4  # width of the image near the axis
SKIN_TO_LENS_MM = 19.6
PIN_DEPTH_MM = 0.6  # pins end this far inside the skin
VISIBLE_RADIUS_PX = 109.0
_MAX_RADIUS_MM2 = (0.9 * CAP_RADIUS_MM) ** 2


def project(points_BN2: Tensor, distance_BN: Tensor, unit: Columns) -> Tensor:
    """Pixels [B, N, 2] of points (mm, tip frame) at `distance` mm from the lens."""
    rho = torch.linalg.vector_norm(points_BN2, dim=-1).clamp_min(1e-6)
    sine = unit.refraction[:, None] * rho / torch.hypot(rho, distance_BN)
    radius = unit.focal_px[:, None] * torch.asin(sine.clamp(max=0.999))
    pixels = points_BN2 * (radius / rho)[..., None]
    return _rotate(pixels, unit.roll_rad) + unit.centre_px[:, None]


def pixel_grid(size: int, device: torch.device) -> Tensor:
    """Pixel centres [size * size, 2] of a square image, in 224 px units from its centre."""
    axis = (torch.arange(size, device=device, dtype=torch.float32) + 0.5) * (REFERENCE_PX / size) - REFERENCE_PX / 2
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([u, v], -1).reshape(-1, 2)


def back_project(pixels_N2: Tensor, unit: Columns) -> tuple[Tensor, Tensor]:
    """Points [B, N, 2] (mm) where pixels see the undeformed dome, and pixel radii [B, N] about the optical axis.

    `rho = (Z0 - sag(rho)) tan(asin(sin(r / f) / n))` by fixed point: four steps give 1e-3 mm inside the visible circle.
    """
    centred = _rotate(pixels_N2[None] - unit.centre_px[:, None], -unit.roll_rad)
    radius = torch.linalg.vector_norm(centred, dim=-1).clamp_min(1e-4)
    sine = torch.sin((radius / unit.focal_px[:, None]).clamp(max=1.5)) / unit.refraction[:, None]
    tangent = sine / (1 - sine * sine).sqrt()
    rho = SKIN_TO_LENS_MM * tangent
    for _ in range(4):
        rho = (SKIN_TO_LENS_MM - dome_sag((rho * rho).clamp(max=_MAX_RADIUS_MM2))) * tangent
    return centred * (rho / radius)[..., None], radius


def _rotate(points_BN2: Tensor, angle_B: Tensor) -> Tensor:
    c, s = torch.cos(angle_B)[:, None], torch.sin(angle_B)[:, None]
    x, y = points_BN2.unbind(-1)
    return torch.stack([c * x - s * y, s * x + c * y], -1)

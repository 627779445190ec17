"""The soft skin: a stiff membrane on a nearly liquid gel bed, in unilateral contact with an object.

A TacTip-like tip is a thin skin (tension T) on gel (foundation modulus K): `(-T lap + K) u = p`, `u >= w`, `p >= 0`,
`p (u - w) = 0` with u the skin's displacement towards the lens, w the object's overlap with the skin at rest and p
the contact pressure. The decay length sqrt(T / K) is about 4 mm, as measured on real TacTips. Half-space models
(Boussinesq, Hertz) do not fit such a tip.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

_FARTHEST_MM = 20.0  # from the axis: beyond is nothing that the camera sees, and the dome's formula ends
CAP_RADIUS_MM = 38.6  # dome of base radius 19 mm and height 5 mm: (19² + 5²) / 10
TENSION_N_PER_MM = 0.10
BED_N_PER_MM3 = 0.006
SHEAR_GAIN_PER_MM = 0.04  # traction / pressure per mm of tangential travel, before slip
SLIDE_GAIN = 0.7  # sets 0.047 mm of pin travel per mm of depth and mm of shear, as measured on a real TacTip
HALF_WIDTH_MM = 14.0
CELLS = 96
CELL_MM = 2 * HALF_WIDTH_MM / CELLS
ADMM_STEPS = 30


@dataclass(frozen=True)
class Skin:
    """What gives way: tension and bed stiffness as multiples of the ViTacTip's, on its dome or on a flat gel."""

    tension: float = 1.0
    bed: float = 1.0
    domed: bool = True

    def sag(self, squared_radius: Tensor) -> Tensor:
        """How far the skin at rest recedes from its highest plane, mm, at a squared distance (mm²) from the axis."""
        return dome_sag(squared_radius) if self.domed else torch.zeros_like(squared_radius)


TIP = Skin()


@lru_cache(maxsize=4)
def grid_mm(device: torch.device) -> tuple[Tensor, Tensor]:
    """Cell centres `x, y` [CELLS, CELLS] in mm, x along columns (right in the image), y along rows (down)."""
    axis = (torch.arange(CELLS, device=device, dtype=torch.float32) + 0.5) * CELL_MM - HALF_WIDTH_MM
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return x, y


@lru_cache(maxsize=4)
def _squared_wave_numbers(device: torch.device) -> Tensor:
    ky = 2 * torch.pi * torch.fft.fftfreq(CELLS, CELL_MM, device=device)
    kx = 2 * torch.pi * torch.fft.rfftfreq(CELLS, CELL_MM, device=device)
    return ky[:, None].square() + kx[None].square()


def dome_sag(squared_radius: Tensor) -> Tensor:
    """How far the undeformed skin recedes from the apex plane, mm, at a squared distance (mm²) from the axis."""
    return CAP_RADIUS_MM - (CAP_RADIUS_MM**2 - squared_radius).sqrt()


def sag_at(points_BN2: Tensor) -> Tensor:
    """How far the undeformed skin recedes from the apex plane [B, N], mm, at points (mm)."""
    return dome_sag(points_BN2.square().sum(-1).clamp(max=_FARTHEST_MM**2))


def solve_contact(
    overlap_BHW: Tensor, tension_B: Tensor, bed_B: Tensor, steps: int = ADMM_STEPS
) -> tuple[Tensor, Tensor]:
    """Displacement u (mm) and pressure p (N/mm²), both [B, H, W], by ADMM with rho = 10 K (one FFT pair a step).

    Plain projected gradient diverges on large contacts; the force error against a converged conjugate gradient is
    below 1.5 % at 25 steps.
    """
    k2 = _squared_wave_numbers(overlap_BHW.device)
    rho = 10 * bed_B[:, None, None]
    response = rho / (tension_B[:, None, None] * k2 + bed_B[:, None, None] + rho)
    v = overlap_BHW.clamp_min(0)
    y = torch.zeros_like(v)
    for _ in range(steps):
        u = torch.fft.irfft2(torch.fft.rfft2(v - y) * response, s=v.shape[-2:])
        y = y + u
        v = torch.maximum(overlap_BHW, y)
        y = y - v
    return u, (-rho * y).clamp_min(0)


def shear_traction(p_BHW: Tensor, travel_B2HW: Tensor, friction_B: Tensor) -> Tensor:
    """Tangential traction [B, 2, H, W] (N/mm²): elastic up to friction times pressure (Coulomb slip), along the
    travel (mm).
    """
    length = torch.linalg.vector_norm(travel_B2HW, dim=1, keepdim=True).clamp_min(1e-6)
    ratio = torch.minimum(SHEAR_GAIN_PER_MM * length, friction_B[:, None, None, None])
    return ratio * p_BHW[:, None] * travel_B2HW / length


def skin_slide(traction_B2HW: Tensor, tension_B: Tensor, bed_B: Tensor) -> Tensor:
    """Tangential displacement of the skin [B, 2, H, W] in mm under a traction."""
    k2 = _squared_wave_numbers(traction_B2HW.device)
    response = SLIDE_GAIN / (tension_B[:, None, None, None] * k2 + bed_B[:, None, None, None])
    return torch.fft.irfft2(torch.fft.rfft2(traction_B2HW) * response, s=traction_B2HW.shape[-2:])


def contact_force(p_BHW: Tensor, traction_B2HW: Tensor) -> Tensor:
    """Force on the sensor [B, 3] in N, tip frame (z out of the sensor, so pressing gives Fz < 0)."""
    area = CELL_MM**2
    tangential = traction_B2HW.sum((-2, -1)) * area
    return torch.cat([tangential, -p_BHW.sum((-2, -1))[:, None] * area], dim=1)


def gradient(u_BHW: Tensor) -> Tensor:
    """Slope of a grid field [B, 2, H, W] (d/dx, d/dy), central differences, periodic like the solver."""
    dx = (u_BHW.roll(-1, -1) - u_BHW.roll(1, -1)) / (2 * CELL_MM)
    dy = (u_BHW.roll(-1, -2) - u_BHW.roll(1, -2)) / (2 * CELL_MM)
    return torch.stack([dx, dy], dim=1)

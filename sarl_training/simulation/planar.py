"""Signed distances (mm, negative inside) to plane figures at points `x, y` (mm)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def disc(x: Tensor, y: Tensor, radius: float | Tensor) -> Tensor:
    return torch.hypot(x, y) - radius


def box(x: Tensor, y: Tensor, half_x: float | Tensor, half_y: float | Tensor) -> Tensor:
    return torch.maximum(x.abs() - half_x, y.abs() - half_y)


def ring(x: Tensor, y: Tensor, radius: float, half_width: float) -> Tensor:
    return disc(x, y, radius).abs() - half_width


def polygon(x: Tensor, y: Tensor, sides: int, apothem: float) -> Tensor:
    angles = [2 * math.pi * k / sides for k in range(sides)]
    return torch.stack([x * math.cos(a) + y * math.sin(a) for a in angles]).amax(0) - apothem

"""The light that a transparent skin lets through, shared by ViTac and ViTacTip."""

from __future__ import annotations

import torch
from torch import Tensor

from sarl_training.simulation import appearance
from sarl_training.simulation.camera import SKIN_TO_LENS_MM, back_project, pixel_grid
from sarl_training.simulation.contact import Columns
from sarl_training.simulation.press import Press, sample_grid
from sarl_training.simulation.skin import sag_at

_OBJECT_LIGHT = 245.0
_HIGHLIGHT = 9.0


def transparent_scene(press: Press, contact: Columns, unit: Columns, size: int) -> tuple[Tensor, Tensor]:
    """Scene light [B, 3, N] behind a transparent skin without pins, and pixel radii [B, N] (px at 224)."""
    rest, radius = back_project(pixel_grid(size, press.u_BHW.device), unit)
    grid = torch.cat([press.u_BHW[:, None], appearance.lamp_fields(press, unit)], 1)
    fields = sample_grid(grid, rest)
    distance = SKIN_TO_LENS_MM - sag_at(rest)
    points = rest * (1 - fields[:, 0] / distance)[..., None]
    share = appearance.see_through(points, fields, press, contact, size)[:, None]
    body = contact.albedo_rgb[:, :, None] * _OBJECT_LIGHT * (1 - 0.25 * (radius / 112).square())[:, None]
    scene = torch.lerp(appearance.glow(radius, unit), body, share) * fields[:, 1:2]
    return scene + _HIGHLIGHT * fields[:, 2:3], radius

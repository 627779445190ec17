"""Line grids printed at several depths in a translucent body: what the two MagicTac stand-ins have in common."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sarl_training.simulation.camera import REFERENCE_PX, SKIN_TO_LENS_MM, back_project, pixel_grid
from sarl_training.simulation.contact import Columns
from sarl_training.simulation.press import Press, sample_grid
from sarl_training.simulation.sensors.see_through import transparent_scene
from sarl_training.simulation.skin import Skin, sag_at

GRID_SKIN = Skin(tension=1.5, bed=1.5)
_LAYERS = ((0.6, 1.7, 0.6), (1.8, 1.7, 0.35), (3.0, 2.0, 0.2))  # depth mm, pitch mm, darkness
_LINE_HALF_WIDTH_MM = 0.16
_DECAY_MM = 4.0  # over which the motion of the skin dies away in the body
_LEVER_MM = 1.2
_TRANSLUCENCY = 0.5
_HAZE = 150.0


def grid_scene(press: Press, contact: Columns, unit: Columns, size: int) -> tuple[Tensor, Tensor]:
    """Scene light [B, 3, N] seen through a translucent body with line grids, and pixel radii [B, N] (px at 224)."""
    scene, radius = transparent_scene(press, contact, unit, size)
    scene = torch.lerp(torch.full_like(scene, _HAZE), scene, _TRANSLUCENCY)
    rest, _ = back_project(pixel_grid(size, press.u_BHW.device), unit)
    fields = sample_grid(torch.cat([press.u_BHW[:, None], press.slope_B2HW, press.slide_B2HW], 1), rest)
    slope, slide = fields[:, 1:3].transpose(1, 2), fields[:, 3:5].transpose(1, 2)
    seen = rest * (1 - fields[:, 0] / (SKIN_TO_LENS_MM - sag_at(rest)))[..., None]
    blur_mm = 0.5 * SKIN_TO_LENS_MM / unit.focal_px.mean() * REFERENCE_PX / size  # half a pixel
    for number, (depth, pitch, darkness) in enumerate(_LAYERS):
        moved = math.exp(-depth / _DECAY_MM)
        body = seen + moved * (_LEVER_MM * slope - slide)  # the point of the body that is seen here
        away = ((body / pitch + 0.5 * (number % 2)) % 1 - 0.5).abs() * pitch
        cover = torch.sigmoid((_LINE_HALF_WIDTH_MM - away) / blur_mm).amax(-1)
        scene = scene * (1 - darkness * cover)[:, None]
    return scene, radius

"""Stand-in for GelSight: a flat coated gel without markers under three coloured lights, seen square on."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sarl_training.simulation.appearance import expose
from sarl_training.simulation.camera import REFERENCE_PX, pixel_grid
from sarl_training.simulation.contact import Columns
from sarl_training.simulation.press import Press, sample_grid, surface_height
from sarl_training.simulation.sensors.base import Sensor
from sarl_training.simulation.skin import Skin

GEL = Skin(tension=0.3, bed=3.0, domed=False)
_VIEW_MM = 19.0
_ELEVATION_DEG = 30.0
_AMBIENT, _DIRECT, _HIGHLIGHT = 62.0, 130.0, 35.0
_VIGNETTE = 0.25


def render(press: Press, contact: Columns, unit: Columns, exposure: Columns, size: int) -> Tensor:
    points = pixel_grid(size, press.u_BHW.device) * (_VIEW_MM / REFERENCE_PX)
    normal_B3HW = _normals(_indentation(press, contact, points, size), _VIEW_MM / size)
    elevation = math.radians(_ELEVATION_DEG)
    shades = []
    for channel in range(3):
        angle = unit.lamp_roll_rad + channel * (2 * math.pi / 3)
        lamp = torch.stack([angle.cos() * math.cos(elevation), angle.sin() * math.cos(elevation),
                            torch.full_like(angle, math.sin(elevation))], 1)  # fmt: skip
        facing = (normal_B3HW * lamp[:, :, None, None]).sum(1).clamp_min(0)
        half = F.normalize(lamp + lamp.new_tensor([0.0, 0.0, 1.0]), dim=1)
        glint = (normal_B3HW * half[:, :, None, None]).sum(1).clamp_min(0) ** 40
        gain = unit.lamp_weights[:, channel, None, None]
        shades.append(_AMBIENT + gain * (_DIRECT * facing + _HIGHLIGHT * glint))
    scene = torch.stack(shades, 1).flatten(2)
    distance2 = (points / (_VIEW_MM / 2)).square().sum(-1)
    no_border = torch.zeros_like(scene[:, 0])
    return expose(scene * (1 - _VIGNETTE * distance2 / 2), no_border, unit, exposure, size)


def _indentation(press: Press, contact: Columns, points_N2: Tensor, size: int) -> Tensor:
    """Height of the coating above its rest [B, H, W] (mm): the solved skin, and the object's own relief where it is
    higher, since a coating follows finer detail than the grid of the solver."""
    coarse = sample_grid(press.u_BHW[:, None], points_N2.expand(len(press.u_BHW), -1, -1))[:, 0]
    x, y = points_N2.unbind(-1)
    fine = press.face_depth_B[:, None] + surface_height(x, y, contact, _VIEW_MM / size, 1.0)
    height = torch.maximum(coarse, fine).reshape(-1, 1, size, size)
    return F.avg_pool2d(F.pad(height, (1, 1, 1, 1), mode="replicate"), 3, stride=1)[:, 0]


def _normals(height_BHW: Tensor, pixel_mm: float) -> Tensor:
    """Unit normals [B, 3, H, W] of a height field."""
    padded = F.pad(height_BHW[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    slope_x = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / (2 * pixel_mm)
    slope_y = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / (2 * pixel_mm)
    return F.normalize(torch.stack([-slope_x, -slope_y, torch.ones_like(slope_x)], 1), dim=1)


GELSIGHT = Sensor("gelsight", render, GEL)

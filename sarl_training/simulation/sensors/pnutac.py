"""Stand-in for PnuTac: a thin inflated membrane, dark, with 7 x 7 white dots in greenish light."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sarl_training.simulation.appearance import expose, lamp_fields, pin_mask
from sarl_training.simulation.camera import back_project, pixel_grid
from sarl_training.simulation.contact import Columns
from sarl_training.simulation.press import Press, sample_grid
from sarl_training.simulation.sensors.base import Sensor
from sarl_training.simulation.skin import Skin

MEMBRANE = Skin(bed=0.2)
_MEMBRANE_RGB = (52.0, 66.0, 55.0)
_DOT_RGB = (185.0, 205.0, 188.0)
_SHEEN = 110.0
_CONTRAST = 5  # of the shading: lamps stand low around the membrane
_DOT_PITCH_MM, _DOT_RADIUS_PX = 2.4, 3.0


def render(press: Press, contact: Columns, unit: Columns, exposure: Columns, size: int) -> Tensor:
    rest, radius = back_project(pixel_grid(size, press.u_BHW.device), unit)
    diffuse, sheen = sample_grid(lamp_fields(press, unit), rest).unbind(1)
    light = (1.2 - 0.5 * (radius / 112)).clamp_min(0.4) * unit.glow_gain[:, None] * diffuse**_CONTRAST
    membrane = light[:, None] * radius.new_tensor(_MEMBRANE_RGB)[None, :, None] + _SHEEN * sheen[:, None]
    dots = pin_mask(
        press, unit.replaced(pins_mm=_dots(unit), pin_radius_px=_DOT_RADIUS_PX * unit.pin_radius_px / 2.1), size
    )
    scene = torch.lerp(membrane, light[:, None] * radius.new_tensor(_DOT_RGB)[None, :, None], dots[:, None])
    return expose(_defocus(scene, size), radius, unit, exposure, size)


def _dots(unit: Columns) -> Tensor:
    """Rest positions [B, 49, 2] in mm."""
    axis = _DOT_PITCH_MM * torch.arange(-3, 4, device=unit.focal_px.device)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y], -1).reshape(1, -1, 2).expand(len(unit.focal_px), -1, -1)


def _defocus(scene_B3N: Tensor, size: int) -> Tensor:
    padded = F.pad(scene_B3N.reshape(-1, 3, size, size), (1, 1, 1, 1), mode="replicate")
    return F.avg_pool2d(padded, 3, stride=1).flatten(2)


PNUTAC = Sensor("pnutac", render, MEMBRANE)

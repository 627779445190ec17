"""TacTip: white pins on an opaque black skin; only the deformation is seen."""

from __future__ import annotations

import torch
from torch import Tensor

from sarl_training.simulation.appearance import expose, pin_mask
from sarl_training.simulation.camera import back_project, pixel_grid
from sarl_training.simulation.contact import Columns
from sarl_training.simulation.press import Press
from sarl_training.simulation.sensors.base import Sensor

_SKIN_RGB = (16.0, 14.0, 15.0)
_PIN_LIGHT = 185.0


def render(press: Press, contact: Columns, unit: Columns, exposure: Columns, size: int) -> Tensor:
    _, radius = back_project(pixel_grid(size, press.u_BHW.device), unit)
    light = (1.4 - 0.9 * (radius / 112)).clamp_min(0.4)[:, None] * unit.glow_gain[:, None, None]
    black = light * radius.new_tensor(_SKIN_RGB)[None, :, None]
    pins = pin_mask(press, unit, size)[:, None]
    return expose(torch.lerp(black, _PIN_LIGHT * light.clamp(max=1.1), pins), radius, unit, exposure, size)


TACTIP = Sensor("tactip", render)

"""ViTacTip: a transparent skin with dark pins; sight and touch in one image (Fan et al., arXiv 2402.00199)."""

from __future__ import annotations

import torch
from torch import Tensor

from sarl_training.simulation.appearance import expose, pin_mask
from sarl_training.simulation.contact import Columns
from sarl_training.simulation.press import Press
from sarl_training.simulation.sensors.base import Sensor
from sarl_training.simulation.sensors.see_through import transparent_scene

_SKIN_DIMMING = 0.88  # measured against ViTac frames of the same unit
_PIN_OPACITY = 0.92


def render(press: Press, contact: Columns, unit: Columns, exposure: Columns, size: int) -> Tensor:
    scene, radius = transparent_scene(press, contact, unit, size)
    pins = _PIN_OPACITY * pin_mask(press, unit, size)[:, None]
    scene = torch.lerp(_SKIN_DIMMING * scene, unit.pin_shade[:, None, None], pins)
    return expose(scene, radius, unit, exposure, size)


VITACTIP = Sensor("vitactip", render)

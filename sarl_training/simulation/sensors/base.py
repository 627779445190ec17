"""What every simulated sensor is: a function from a solved press to an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from sarl_training.simulation.contact import Columns
from sarl_training.simulation.press import Press
from sarl_training.simulation.skin import TIP, Skin

RenderFunction = Callable[[Press, Columns, Columns, Columns, int], Tensor]


@dataclass(frozen=True)
class Sensor:
    """`render(press, contact, unit, exposure, size)` gives uint8 RGB images [B, size, size, 3]."""

    name: str
    render: RenderFunction
    skin: Skin = TIP

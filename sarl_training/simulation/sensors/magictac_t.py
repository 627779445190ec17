"""Stand-in for MagicTac-T: line grids in a translucent body on the TacTip's base, round field of view."""

from __future__ import annotations

from torch import Tensor

from sarl_training.simulation.appearance import expose
from sarl_training.simulation.contact import Columns
from sarl_training.simulation.press import Press
from sarl_training.simulation.sensors.base import Sensor
from sarl_training.simulation.sensors.line_grids import GRID_SKIN, grid_scene


def render(press: Press, contact: Columns, unit: Columns, exposure: Columns, size: int) -> Tensor:
    scene, radius = grid_scene(press, contact, unit, size)
    return expose(scene, radius, unit, exposure, size)


MAGICTAC_T = Sensor("magictac_t", render, GRID_SKIN)

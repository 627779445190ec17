"""ViTac: a transparent skin without pins; the camera sees the object through it."""

from __future__ import annotations

from torch import Tensor

from sarl_training.simulation.appearance import expose
from sarl_training.simulation.contact import Columns
from sarl_training.simulation.press import Press
from sarl_training.simulation.sensors.base import Sensor
from sarl_training.simulation.sensors.see_through import transparent_scene


def render(press: Press, contact: Columns, unit: Columns, exposure: Columns, size: int) -> Tensor:
    scene, radius = transparent_scene(press, contact, unit, size)
    return expose(scene, radius, unit, exposure, size)


VITAC = Sensor("vitac", render)

"""Stand-in for MagicTac-D: the same body on a DIGIT's base, nearer to the camera, lit from its sides, 3:4 view."""

from __future__ import annotations

import torch
from torch import Tensor

from sarl_training.simulation.appearance import expose
from sarl_training.simulation.camera import REFERENCE_PX, VISIBLE_RADIUS_PX, pixel_grid
from sarl_training.simulation.contact import Columns
from sarl_training.simulation.press import Press
from sarl_training.simulation.sensors.base import Sensor
from sarl_training.simulation.sensors.line_grids import GRID_SKIN, grid_scene

_ZOOM = 1.4
_HALF_VIEW_PX = (REFERENCE_PX / 2, 3 / 4 * REFERENCE_PX / 2)
_WARM, _COOL = (0.16, 0.0, -0.16), (-0.12, 0.0, 0.12)  # tint of the light from the left and from the right


def render(press: Press, contact: Columns, unit: Columns, exposure: Columns, size: int) -> Tensor:
    scene, _ = grid_scene(press, contact, unit.replaced(focal_px=_ZOOM * unit.focal_px), size)
    across, down = (pixel_grid(size, scene.device) / scene.new_tensor(_HALF_VIEW_PX)).unbind(-1)
    left = (0.5 - 0.5 * across)[None, None]
    light = 0.9 + left * scene.new_tensor(_WARM)[None, :, None] + (1 - left) * scene.new_tensor(_COOL)[None, :, None]
    window = VISIBLE_RADIUS_PX * torch.maximum(across.abs(), down.abs()).expand(len(scene), -1)
    return expose(scene * light, window, unit, exposure, size)


MAGICTAC_D = Sensor("magictac_d", render, GRID_SKIN)

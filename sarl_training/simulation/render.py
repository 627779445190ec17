"""The whole chain for rows of latents: solve each contact once, render it to every sensor asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from sarl_training.simulation.contact import Columns, Contact, Exposure, Unit
from sarl_training.simulation.press import solve_press
from sarl_training.simulation.sensors.base import Sensor


def render_contacts(
    contacts: Sequence[Contact],
    units: Sequence[Unit],
    exposures: Sequence[Exposure],
    sensors: Sequence[Sensor],
    size: int,
    device: torch.device,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Images by sensor name, uint8 RGB [B, size, size, 3], and the force on the sensor [B, 3] in N."""
    with torch.inference_mode():
        contact, unit, exposure = (Columns(rows, device) for rows in (contacts, units, exposures))
        press = solve_press(contact, unit)
        images = {sensor.name: sensor.render(press, contact, unit, exposure, size) for sensor in sensors}
        return {name: image.cpu().numpy() for name, image in images.items()}, press.force_B3.cpu().numpy()

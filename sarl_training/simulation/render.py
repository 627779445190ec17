"""The whole chain for rows of latents: solve each contact once per skin, render it to every sensor asked for."""

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
    """Images by sensor name, uint8 RGB [B, size, size, 3], and the force on the first sensor [B, 3] in N.

    Sensors that share a skin share its solved press.
    """
    with torch.inference_mode():
        contact, unit, exposure = (Columns(rows, device) for rows in (contacts, units, exposures))
        presses = {skin: solve_press(contact, unit, skin) for skin in dict.fromkeys(s.skin for s in sensors)}
        images = {s.name: s.render(presses[s.skin], contact, unit, exposure, size) for s in sensors}
        force_B3 = presses[sensors[0].skin].force_B3
        return {name: image.cpu().numpy() for name, image in images.items()}, force_B3.cpu().numpy()

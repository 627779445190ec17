"""Carbide tools: which of nine cutters lies on a GelSight, three diameters times three numbers of flutes."""

from __future__ import annotations

import math

import numpy as np

from sarl_training.simulation.contact import Contact
from sarl_training.tasks.base import Labels, SimulatedTask

DIAMETERS_MM, FLUTES = (4.0, 7.0, 11.0), (2, 3, 5)
_LEAD = 2.2  # length of one turn, in diameters
CLASSES = tuple((diameter, flutes) for diameter in DIAMETERS_MM for flutes in FLUTES)


def draw(rng: np.random.Generator, index: int) -> Contact:
    diameter, flutes = CLASSES[index % len(CLASSES)]
    x, y = rng.uniform(-4, 4, 2)
    return Contact(
        object_name="fluted_tool",
        size_mm=(diameter / 2, _LEAD * diameter, float(flutes), 0.0),
        x_mm=x,
        y_mm=y,
        yaw_rad=math.radians(rng.uniform(-90, 90)),
        depth_mm=rng.uniform(0.3, 1.2),
    )


def labels(contact: Contact, force_N: np.ndarray) -> Labels:
    return {"label": CLASSES.index((2 * contact.size_mm[0], int(contact.size_mm[2])))}


CARBIDE_TOOLS = SimulatedTask(
    "carbide_tools", "classification", ("label",), "carbide_tools_probabilities", "classification", draw, labels,
    tuple(f"{diameter:g}mm_{flutes}_flutes" for diameter, flutes in CLASSES),
    sensors=("gelsight",), shares=(0.6, 0.2, 0.2),
)  # fmt: skip

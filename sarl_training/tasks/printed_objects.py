"""Printed objects: which of ten shapes presses on a MagicTac. The real set's classes are not public; these are ours."""

from __future__ import annotations

import numpy as np

from sarl_training.simulation.contact import Contact
from sarl_training.tasks.base import Labels, SimulatedTask
from sarl_training.tasks.shape import press_of

NAMES = ("cone", "cross_lines", "cuboid", "cylinder_side", "dots", "edge_bar", "hexagon", "moon", "ring", "wave")


def draw(rng: np.random.Generator, index: int) -> Contact:
    return press_of(NAMES[index % len(NAMES)], rng)


def labels(contact: Contact, force_N: np.ndarray) -> Labels:
    return {"label": NAMES.index(contact.object_name)}


PRINTED_OBJECTS = SimulatedTask(
    "printed_objects", "classification", ("label",), "printed_objects_probabilities", "classification", draw, labels,
    NAMES, sensors=("magictac_t", "magictac_d"), shares=(0.6, 0.2, 0.2),
)  # fmt: skip

"""Contact: touching or not, over all kinds of objects, hovering ones and none at all."""

from __future__ import annotations

import math

import numpy as np

from sarl_training.simulation.contact import Contact
from sarl_training.simulation.objects import SHAPE_NAMES
from sarl_training.tasks.base import Labels, SimulatedTask, draw_albedo, draw_travel

TOUCHING_N = 0.02
_OBJECTS = (*SHAPE_NAMES, "block", "ball_tip", "plate")


def draw(rng: np.random.Generator, index: int) -> Contact:
    """Every other sample hovers (one in five of those without any object); the others press."""
    pressing = index % 2 == 0
    empty = not pressing and rng.random() < 0.2
    name = "nothing" if empty else _OBJECTS[rng.integers(len(_OBJECTS))]
    x, y = rng.uniform(-3, 3, 2)
    return Contact(
        object_name=name,
        size_mm={"block": (rng.uniform(2, 16), 20.0, 0.0, 0.0), "plate": (8.0, 0.0, 0.0, 0.0)}.get(
            name, (2.0, 0.0, 0.0, 0.0)
        ),
        x_mm=x,
        y_mm=y,
        yaw_rad=math.radians(rng.uniform(-90, 90)),
        depth_mm=rng.uniform(0.4, 3.0) if pressing else rng.uniform(-4.0, -0.1),
        travel_mm=draw_travel(rng, 1.0),
        albedo_rgb=draw_albedo(rng),
    )


def labels(contact: Contact, force_N: np.ndarray) -> Labels:
    return {"label": int(-force_N[2] > TOUCHING_N)}


CONTACT = SimulatedTask(
    "contact", "classification", ("label",), "contact_probability", "contact", draw, labels, ("no_contact", "contact")
)

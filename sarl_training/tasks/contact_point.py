"""Contact point: where a ball of 2 mm radius touches, and how deep its lowest point is."""

from __future__ import annotations

import numpy as np

from sarl_training.simulation.contact import Contact
from sarl_training.tasks.base import Labels, SimulatedTask, draw_albedo, draw_travel, touching_depth


def draw(rng: np.random.Generator, index: int) -> Contact:
    x, y = rng.uniform(-5, 5, 2)
    return Contact(
        object_name="ball_tip",
        size_mm=(2.0, 0.0, 0.0, 0.0),
        x_mm=x,
        y_mm=y,
        depth_mm=touching_depth(x, y, rng.uniform(0.2, 2.5)),
        travel_mm=draw_travel(rng, 0.5),
        albedo_rgb=draw_albedo(rng),
    )


def labels(contact: Contact, force_N: np.ndarray) -> Labels:
    return {"px_mm": contact.x_mm, "py_mm": contact.y_mm, "pz_mm": contact.depth_mm}


CONTACT_POINT = SimulatedTask(
    "contact_point", "regression", ("px_mm", "py_mm", "pz_mm"), "contact_point", "point", draw, labels
)

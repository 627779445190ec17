"""Force on the sensor from a ball of 2 mm radius pressed and then dragged sideways (newton; pressing gives Fz < 0).

The contact position is random, so the shear force can only be read from the pins, not from where the ball is.
"""

from __future__ import annotations

import numpy as np

from sarl_training.simulation.contact import Contact
from sarl_training.tasks.base import Labels, SimulatedTask, draw_albedo, draw_travel, touching_depth


def draw(rng: np.random.Generator, index: int) -> Contact:
    x, y = rng.uniform(-4, 4, 2)
    return Contact(
        object_name="ball_tip",
        size_mm=(2.0, 0.0, 0.0, 0.0),
        x_mm=x,
        y_mm=y,
        depth_mm=touching_depth(x, y, rng.uniform(0.2, 3.0)),
        travel_mm=draw_travel(rng, 6.0),
        friction=rng.uniform(0.6, 0.8),
        albedo_rgb=draw_albedo(rng),
    )


def labels(contact: Contact, force_N: np.ndarray) -> Labels:
    return {"fx_N": float(force_N[0]), "fy_N": float(force_N[1]), "fz_N": float(force_N[2])}


FORCE = SimulatedTask("force", "regression", ("fx_N", "fy_N", "fz_N"), "force", "wrench", draw, labels)

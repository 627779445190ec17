"""Grating: which of seven line periods is touched. The finest is 4.7 px wide at 224 px."""

from __future__ import annotations

import math

import numpy as np

from sarl_training.simulation.contact import Contact
from sarl_training.tasks.base import Labels, SimulatedTask, draw_albedo, draw_travel

PERIODS_MM = (0.6, 0.8, 1.0, 1.3, 1.7, 2.2, 2.9)


def draw(rng: np.random.Generator, index: int) -> Contact:
    x, y = rng.uniform(-2, 2, 2)
    return Contact(
        object_name="plate",
        size_mm=(8.0, 0.0, 0.0, 0.0),
        x_mm=x,
        y_mm=y,
        yaw_rad=math.radians(rng.uniform(-90, 90)),
        depth_mm=rng.uniform(0.6, 2.5),
        travel_mm=draw_travel(rng, 1.0),
        texture="ribbed",
        texture_pitch_mm=PERIODS_MM[index % len(PERIODS_MM)],
        texture_depth_mm=rng.uniform(0.7, 1.2),
        texture_phase=tuple(rng.uniform(0, 1, 2)),
        albedo_rgb=draw_albedo(rng),
    )


def labels(contact: Contact, force_N: np.ndarray) -> Labels:
    return {"label": PERIODS_MM.index(contact.texture_pitch_mm)}


GRATING = SimulatedTask(
    "grating", "classification", ("label",), "grating_probabilities", "classification", draw, labels,
    tuple(f"{period}mm" for period in PERIODS_MM),
)  # fmt: skip

"""Shape: which of 21 printed objects is touched, at any yaw within a half turn."""

from __future__ import annotations

import math

import numpy as np

from sarl_training.simulation.contact import Contact
from sarl_training.simulation.objects import SHAPE_NAMES
from sarl_training.tasks.base import Labels, SimulatedTask, draw_albedo, draw_travel


def draw(rng: np.random.Generator, index: int) -> Contact:
    return press_of(SHAPE_NAMES[index % len(SHAPE_NAMES)], rng)


def press_of(name: str, rng: np.random.Generator) -> Contact:
    """A press of one object, anywhere near the middle."""
    x, y = rng.uniform(-2.5, 2.5, 2)
    return Contact(
        object_name=name,
        x_mm=x,
        y_mm=y,
        yaw_rad=math.radians(rng.uniform(-90, 90)),
        depth_mm=rng.uniform(0.5, 2.5),
        tilt=tuple(rng.normal(0, 0.01, 2)),
        travel_mm=draw_travel(rng, 1.0),
        albedo_rgb=draw_albedo(rng),
    )


def labels(contact: Contact, force_N: np.ndarray) -> Labels:
    return {"label": SHAPE_NAMES.index(contact.object_name)}


SHAPE = SimulatedTask(
    "shape", "classification", ("label",), "shape_probabilities", "classification", draw, labels, SHAPE_NAMES
)

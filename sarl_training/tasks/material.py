"""Material: three hardness levels times four surface textures; colour is drawn apart, so it tells nothing.

Soft materials give way: the skin is pressed in less than the pins' field of a rigid object would need (series
compliance).
"""

from __future__ import annotations

import math

import numpy as np

from sarl_training.simulation.contact import RIGID_N_PER_MM3, Contact
from sarl_training.simulation.objects import TEXTURES
from sarl_training.tasks.base import Labels, SimulatedTask, draw_albedo, draw_travel

HARDNESS_N_PER_MM3 = {"soft": 0.006, "medium": 0.02, "hard": RIGID_N_PER_MM3}
CLASSES = tuple(f"{hardness}_{texture}" for hardness in HARDNESS_N_PER_MM3 for texture in TEXTURES)


def draw(rng: np.random.Generator, index: int) -> Contact:
    hardness, texture = CLASSES[index % len(CLASSES)].split("_")
    x, y = rng.uniform(-2, 2, 2)
    return Contact(
        object_name="plate",
        size_mm=(rng.uniform(5.0, 8.0), 0.0, 0.0, 0.0),
        x_mm=x,
        y_mm=y,
        yaw_rad=math.radians(rng.uniform(-90, 90)),
        depth_mm=rng.uniform(0.8, 2.5),
        travel_mm=draw_travel(rng, 1.0),
        stiffness_N_per_mm3=HARDNESS_N_PER_MM3[hardness],
        texture=texture,
        texture_pitch_mm=rng.uniform(1.2, 2.4),
        texture_depth_mm=rng.uniform(0.3, 0.6),
        texture_phase=tuple(rng.uniform(0, 1, 2)),
        albedo_rgb=draw_albedo(rng),
    )


def labels(contact: Contact, force_N: np.ndarray) -> Labels:
    hardness = {stiffness: name for name, stiffness in HARDNESS_N_PER_MM3.items()}[contact.stiffness_N_per_mm3]
    return {"label": CLASSES.index(f"{hardness}_{contact.texture}"), "hardness": hardness, "texture": contact.texture}


MATERIAL = SimulatedTask(
    "material", "classification", ("label",), "material_probabilities", "classification", draw, labels, CLASSES
)

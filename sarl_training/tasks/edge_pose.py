"""Edge pose: signed distance x, press depth z and angle theta of the straight edge of a solid block.

The edge is the line through `x n` along `t`, with `n = (cos theta, sin theta)` its normal and
`t = (-sin theta, cos theta)`; the material is on the side -n. As in a lab, one test piece serves the whole task: a pale
print wider than the tip.
"""

from __future__ import annotations

import math

import numpy as np

from sarl_training.simulation.contact import Contact
from sarl_training.tasks.base import Labels, SimulatedTask, draw_travel


def draw(rng: np.random.Generator, index: int) -> Contact:
    theta = math.radians(rng.uniform(-45, 45))
    offset, along = rng.uniform(-5, 5), rng.uniform(-3, 3)
    light = rng.uniform(0.85, 1.0)
    return Contact(
        object_name="block",
        size_mm=(28.0, 24.0, 0.0, 0.0),
        x_mm=offset * math.cos(theta) - along * math.sin(theta),
        y_mm=offset * math.sin(theta) + along * math.cos(theta),
        yaw_rad=theta,
        depth_mm=rng.uniform(0.5, 3.5),
        travel_mm=draw_travel(rng, 2.0),
        twist_rad=rng.normal(0, math.radians(1.5)),
        friction=rng.uniform(0.6, 0.8),
        albedo_rgb=(0.95 * light, 0.98 * light, light),
    )


def labels(contact: Contact, force_N: np.ndarray) -> Labels:
    normal_x, normal_y = math.cos(contact.yaw_rad), math.sin(contact.yaw_rad)
    return {
        "x_mm": contact.x_mm * normal_x + contact.y_mm * normal_y,
        "z_mm": contact.depth_mm,
        "theta_deg": math.degrees(contact.yaw_rad),
    }


EDGE_POSE = SimulatedTask(
    "edge_pose", "regression", ("x_mm", "z_mm", "theta_deg"), "edge_pose", "edge_pose", draw, labels
)

"""Edge pose: signed distance x, press depth z and angle theta of a straight edge.

The edge is the line through `x n` along `t`, with `n = (cos theta, sin theta)` its normal and `t = (-sin theta, cos
theta)`; the material is on the side -n. Blocks are 2 mm (a bar) to 28 mm (a half plane) wide.
"""

from __future__ import annotations

import math

import numpy as np

from sarl_training.simulation.contact import Contact
from sarl_training.tasks.base import Labels, Task, draw_albedo, draw_travel


def draw(rng: np.random.Generator, index: int) -> Contact:
    theta = math.radians(rng.uniform(-45, 45))
    offset, along = rng.uniform(-5, 5), rng.uniform(-3, 3)
    width = 28.0 if rng.random() < 0.3 else math.exp(rng.uniform(math.log(2), math.log(16)))
    return Contact(
        object_name="block",
        size_mm=(width, rng.uniform(16, 28), 0.0, 0.0),
        x_mm=offset * math.cos(theta) - along * math.sin(theta),
        y_mm=offset * math.sin(theta) + along * math.cos(theta),
        yaw_rad=theta,
        depth_mm=rng.uniform(0.5, 3.5),
        travel_mm=draw_travel(rng, 2.0),
        twist_rad=rng.normal(0, math.radians(1.5)),
        friction=rng.uniform(0.6, 0.8),
        albedo_rgb=draw_albedo(rng),
    )


def labels(contact: Contact, force_N: np.ndarray) -> Labels:
    normal_x, normal_y = math.cos(contact.yaw_rad), math.sin(contact.yaw_rad)
    return {
        "x_mm": contact.x_mm * normal_x + contact.y_mm * normal_y,
        "z_mm": contact.depth_mm,
        "theta_deg": math.degrees(contact.yaw_rad),
    }


EDGE_POSE = Task("edge_pose", "regression", ("x_mm", "z_mm", "theta_deg"), "edge_pose", "edge_pose", draw, labels)

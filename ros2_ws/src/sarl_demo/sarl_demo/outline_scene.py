"""A simulated tip over a plate with an outline: the frame its camera takes at a pose, and the truth about it. No ROS.

Rendered live by the simulation that the shipped model's data came from: the same unit of the sensor, the same kind of
pale print, as thick as the training blocks.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch

from sarl_demo.tip_motion import TipPose
from sarl_training.simulation.contact import Contact, draw_exposure, draw_unit, sample_generator
from sarl_training.simulation.objects import PLATE_PREFIX
from sarl_training.simulation.outlines import OUTLINES
from sarl_training.simulation.render import render_contacts
from sarl_training.simulation.sensors import SENSORS

SENSOR = SENSORS["vitactip"]
UNIT_SEED = 0  # the copy of the sensor that the shipped model knows
_START_OFFSET_MM, _START_YAW_RAD = 2.0, math.radians(10)


class Edge(NamedTuple):
    """The edge in the tip frame."""

    x_mm: float
    z_mm: float
    theta_rad: float


class OutlineScene:
    """One plate and one tip. `seed` draws where the tip starts, the print's shade and every frame's light and noise."""

    def __init__(self, outline: str, seed: int, *, drag_mm: float, image_size: int) -> None:
        if outline not in OUTLINES:
            raise ValueError(f"outline is {outline!r}; allowed: {', '.join(OUTLINES)}")
        self._name, self.outline = outline, OUTLINES[outline]
        self._rng = sample_generator(seed, "outline", outline)
        self._unit = draw_unit(UNIT_SEED, 0)
        light = self._rng.uniform(0.85, 1.0)
        self._albedo = (0.95 * light, 0.98 * light, light)
        self._friction = self._rng.uniform(0.6, 0.8)
        self._drag_mm, self._image_size = drag_mm, image_size
        self._travel_mm = np.zeros(2)
        self._last: TipPose | None = None

    def start(self, height_mm: float) -> TipPose:
        """A pose above the edge, somewhere round the outline, a little beside it and turned."""
        point = self.outline.point(self._rng.uniform(0, self.outline.length_mm))
        normal = self.outline.nearest(point[None]).normal[0]
        x, y = point + self._rng.uniform(-_START_OFFSET_MM, _START_OFFSET_MM) * normal
        turned = self._rng.uniform(-_START_YAW_RAD, _START_YAW_RAD)
        return TipPose(float(x), float(y), -height_mm, math.atan2(normal[1], normal[0]) + turned)

    def edge(self, pose: TipPose) -> Edge:
        """The true edge at its point nearest to the apex."""
        nearest = self.outline.nearest(pose.position_mm[None])
        normal = nearest.normal[0]
        theta = math.remainder(math.atan2(normal[1], normal[0]) - pose.yaw_rad, 2 * math.pi)
        return Edge(-float(nearest.distance_mm[0]), pose.depth_mm, theta)

    def render(self, pose: TipPose) -> np.ndarray:
        """uint8 [S, S, 3] RGB frame of the tip at a pose, having come from the pose of the frame before."""
        x, y = pose.to_tip(-pose.position_mm)
        contact = Contact(
            object_name=f"{PLATE_PREFIX}{self._name}",
            depth_mm=pose.depth_mm,
            x_mm=x,
            y_mm=y,
            yaw_rad=-pose.yaw_rad,
            travel_mm=tuple(pose.to_tip(self._dragged(pose))),
            friction=self._friction,
            albedo_rgb=self._albedo,
        )
        exposure = draw_exposure(self._rng)
        images, _ = render_contacts(
            [contact], [self._unit], [exposure], [SENSOR], self._image_size, torch.device("cpu")
        )
        return images[SENSOR.name][0]

    def _dragged(self, pose: TipPose) -> np.ndarray:
        """Travel [2] (mm, plate frame) of the plate past the tip since it last stuck; none in the air."""
        if pose.depth_mm <= 0 or self._last is None:
            self._travel_mm = np.zeros(2)
        else:
            self._travel_mm = self._travel_mm - (pose.position_mm - self._last.position_mm)
            length = float(np.linalg.norm(self._travel_mm))
            self._travel_mm *= min(1.0, self._drag_mm / max(length, 1e-9))
        self._last = pose
        return self._travel_mm

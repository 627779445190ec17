"""A followed outline against the truth: how far the tip was off, how far round it came, when it stood still. No ROS."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

import numpy as np

from sarl_demo.tip_motion import TipPose
from sarl_training.simulation.outlines import Outline

SETTLING_S = 2.0  # after touching down, before errors count
STILL_MM = 1e-3  # between two samples
DOWN = ("following", "holding")
"""States of the follower in which the tip is on the edge."""


@dataclass
class Trajectory:
    """True tip poses in order of time, each with whether the tip was down for `SETTLING_S` by then."""

    outline: Outline
    times_s: list[float] = field(default_factory=list)
    poses: list[TipPose] = field(default_factory=list)
    settled: list[bool] = field(default_factory=list)
    gone_mm: float = 0.0
    """Way round the outline since the first settled pose; negative against its walk."""
    _down_since_s: float | None = None
    _along_mm: float | None = None

    def add(self, time_s: float, pose: TipPose, state: str) -> None:
        """The tip was there while the follower said `state`."""
        if state not in DOWN:
            self._down_since_s = None
        elif self._down_since_s is None:
            self._down_since_s = time_s
        is_settled = self._down_since_s is not None and time_s >= self._down_since_s + SETTLING_S
        self.times_s.append(time_s)
        self.poses.append(pose)
        self.settled.append(is_settled)
        if is_settled or self._along_mm is not None:
            along = float(self.outline.nearest(pose.position_mm[None]).along_mm[0])
            if self._along_mm is not None:
                self.gone_mm += math.remainder(along - self._along_mm, self.outline.length_mm)
            self._along_mm = along

    @property
    def is_round(self) -> bool:
        """Once round."""
        return abs(self.gone_mm) >= self.outline.length_mm

    def still_after_s(self, since_s: float) -> float | None:
        """Time from `since_s` until the tip stands still; None when it never did."""
        samples = list(zip(self.times_s, self.poses, strict=True))
        for (time_s, pose), (_, later) in itertools.pairwise(samples):
            moved = np.linalg.norm(later.position_mm - pose.position_mm) + abs(later.depth_mm - pose.depth_mm)
            if time_s >= since_s and moved < STILL_MM:
                return time_s - since_s
        return None

    def errors(self, depth_mm: float) -> dict[str, float | None]:
        """RMS and largest distance to the outline, and of the depth to `depth_mm`, over the settled poses, in mm."""
        poses = [pose for pose, is_settled in zip(self.poses, self.settled, strict=True) if is_settled]
        if not poses:
            return dict.fromkeys(("lateral_rms_mm", "lateral_max_mm", "depth_rms_mm", "depth_max_mm"))
        lateral = self.outline.nearest(np.array([pose.position_mm for pose in poses])).distance_mm
        depth = np.array([pose.depth_mm for pose in poses]) - depth_mm
        return {
            "lateral_rms_mm": _rms(lateral),
            "lateral_max_mm": float(np.abs(lateral).max()),
            "depth_rms_mm": _rms(depth),
            "depth_max_mm": float(np.abs(depth).max()),
        }


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))

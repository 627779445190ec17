"""How a tip moves under velocity commands: poses over a plate, twists in the tip frame. No ROS.

Plate frame: x and y in its top face, z into the material. The tip's z axis stays parallel to it, so a pose is
(x, y, depth of the apex below the face, yaw about z), and a twist (vx, vy, vz, turn rate) in the tip's own axes moves
it by plane rotation only. Millimetre, radian, second.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

MM = 1e3  # per metre: messages and parameters are in SI
STILL = np.zeros(4)


@dataclass(frozen=True)
class TipPose:
    """Pose of the tip in the plate frame; a depth below zero is above the face."""

    x_mm: float
    y_mm: float
    depth_mm: float
    yaw_rad: float

    def to_plate(self, point_mm: np.ndarray) -> np.ndarray:
        """Plate coordinates [2] of a point [2] in the tip frame."""
        c, s = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        return np.array([self.x_mm + c * point_mm[0] - s * point_mm[1], self.y_mm + s * point_mm[0] + c * point_mm[1]])

    def to_tip(self, vector: np.ndarray) -> np.ndarray:
        """Tip coordinates [2] of a direction [2] in the plate frame."""
        c, s = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        return np.array([c * vector[0] + s * vector[1], c * vector[1] - s * vector[0]])

    @property
    def position_mm(self) -> np.ndarray:
        """Position [2] of the apex in the plane of the plate."""
        return np.array([self.x_mm, self.y_mm])


def advance(pose: TipPose, twist: np.ndarray, duration_s: float) -> TipPose:
    """The pose after a constant twist [4] in the tip frame: exact, an arc in the plane."""
    turn = float(twist[3]) * duration_s
    half = turn / 2
    chord = duration_s * float(np.sinc(half / math.pi))
    heading = pose.yaw_rad + half
    c, s = math.cos(heading), math.sin(heading)
    return TipPose(
        pose.x_mm + chord * (c * twist[0] - s * twist[1]),
        pose.y_mm + chord * (s * twist[0] + c * twist[1]),
        pose.depth_mm + duration_s * float(twist[2]),
        pose.yaw_rad + turn,
    )


def limited(twist: np.ndarray, speed_mm_s: float, turn_rad_s: float) -> np.ndarray:
    """The twist, its translation and its turn shortened to their limits."""
    size, turn = float(np.linalg.norm(twist[:3])), abs(float(twist[3]))
    return np.append(
        twist[:3] * min(1.0, speed_mm_s / max(size, 1e-12)), twist[3] * min(1.0, turn_rad_s / max(turn, 1e-12))
    )


def towards(pose: TipPose, goal: TipPose, duration_s: float) -> np.ndarray:
    """The twist [4] that reaches a goal within `duration_s`, were there no limits."""
    plane = pose.to_tip(goal.position_mm - pose.position_mm)
    turn = math.remainder(goal.yaw_rad - pose.yaw_rad, 2 * math.pi)
    return np.array([*plane, goal.depth_mm - pose.depth_mm, turn]) / duration_s


class MovingTip:
    """A tip that obeys twists until they are `timeout_s` old, then stands still, as MoveIt Servo does. Thread safe.

    Times are of any one clock, s; if that is set back, the next command goes on from the last pose. The past is kept
    for `memory_s`, so that a reading can be placed where its image was taken.
    """

    def __init__(
        self,
        pose: TipPose,
        now_s: float,
        *,
        speed_mm_s: float,
        turn_rad_s: float,
        timeout_s: float,
        memory_s: float = 3.0,
    ) -> None:
        self._limits = speed_mm_s, turn_rad_s
        self._timeout_s, self._memory_s = timeout_s, memory_s
        self._lock = threading.Lock()
        self._steps: deque[tuple[float, TipPose, np.ndarray]] = deque([(now_s, pose, STILL)])

    def command(self, twist: np.ndarray, now_s: float) -> None:
        """Move with this twist [4] from now on."""
        with self._lock:
            pose = self._at(max(now_s, self._steps[-1][0]))
            while self._steps and self._steps[-1][0] >= now_s:
                self._steps.pop()  # while the clock stands still they would pile up
            self._steps.append((now_s, pose, limited(twist, *self._limits)))
            self._forget(now_s)

    def pose(self, at_s: float) -> TipPose:
        """The pose at a time, remembered or yet to come if no other command comes."""
        with self._lock:
            return self._at(at_s)

    def _at(self, at_s: float) -> TipPose:
        began_s, pose, twist = next((step for step in reversed(self._steps) if step[0] <= at_s), self._steps[0])
        return advance(pose, twist, min(max(at_s - began_s, 0.0), self._timeout_s))

    def _forget(self, now_s: float) -> None:
        while len(self._steps) > 1 and self._steps[1][0] < now_s - self._memory_s:
            self._steps.popleft()

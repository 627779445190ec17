"""Where the edge runs under the tip and a little ahead, from readings that blur it. No ROS.

A model that answers with one straight line fits a line to what the pad sees: on a convex rim of radius R it lies
inside the true edge by about `reach² / 4R`, and a corner is felt `reach` before it comes. So a reading is not taken
as the edge under the apex but as what it is, a line fit whose weights grow with the distance from the apex up to
`reach`. A Kalman filter over points of the edge, `SPACING_MM` apart, from behind the tip to `reach` ahead, finds the
edge that explains the readings along the way: the part behind is known by then, so each reading tells of the part
ahead.
"""

from __future__ import annotations

import math

import numpy as np

from sarl_demo.tip_motion import TipPose

SPACING_MM = 1.0
_START_SD_MM = 2.0
_RING_SD_MM = 1.0
_NEAR_MM = 2.5  # of edge on either side of the apex that give position and direction


class EdgeTrail:
    """Points of the edge in the order of travel; `way` is +1 along the edge's direction t, -1 against it.

    `bend_rad` is the standard deviation of the edge's change of direction from one point to the next.
    """

    def __init__(self, *, ring_mm: float, bend_rad: float, way: int) -> None:
        self._ring_mm, self._bend_mm, self._way = ring_mm, bend_rad * SPACING_MM, way
        self._reach_mm = ring_mm + 2 * _RING_SD_MM
        self._points = np.empty((0, 2))
        self._covariance = np.empty((0, 0))

    def add(self, pose: TipPose, x_mm: float, theta_rad: float, x_sd_mm: float, theta_sd_rad: float) -> None:
        """Take a reading made at a pose: signed distance and angle of the line in the tip frame, and how sure it is."""
        normal = np.array([math.cos(theta_rad), math.sin(theta_rad)])
        line_point = pose.to_plate(x_mm * normal)
        normal = pose.to_plate(normal) - pose.position_mm
        ahead = self._way * np.array([-normal[1], normal[0]])
        if not len(self._points):
            start = line_point - (self._reach_mm + SPACING_MM) * ahead
            self._points = np.array([start, start + SPACING_MM * ahead])
            self._covariance = np.eye(2) * _START_SD_MM**2
        self._follow(pose.position_mm)
        along, off = (self._points - line_point) @ ahead, (self._points - line_point) @ normal
        radius = np.linalg.norm(self._points - pose.position_mm, axis=1)
        weights = np.exp(-0.5 * ((radius - self._ring_mm) / _RING_SD_MM) ** 2)
        design = np.stack([np.ones_like(along), along], 1)
        fit = np.linalg.solve(design.T @ (weights[:, None] * design), design.T * weights)
        jacobian = fit * (self._normals() @ normal)
        noise = np.diag([x_sd_mm**2, theta_sd_rad**2])
        gain = self._covariance @ jacobian.T @ np.linalg.inv(jacobian @ self._covariance @ jacobian.T + noise)
        self._points = self._points - (gain @ (fit @ off))[:, None] * self._normals()
        covariance = self._covariance - gain @ jacobian @ self._covariance
        self._covariance = (covariance + covariance.T) / 2

    def under(self, position_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(the edge's point beside a position [2], its direction of travel [2]) from a line through its neighbours."""
        distance = np.linalg.norm(self._points - position_mm, axis=1)
        nearest = self._points[distance.argmin()]
        window = self._points[np.linalg.norm(self._points - nearest, axis=1) < _NEAR_MM]
        centre = window.mean(0)
        _, _, axes = np.linalg.svd(window - centre)
        direction = axes[0] * math.copysign(1.0, float(axes[0] @ (window[-1] - window[0])))
        return centre + direction * float((position_mm - centre) @ direction), direction

    def _normals(self) -> np.ndarray:
        """Unit normals [N, 2] of the points, to the side of the material's outside."""
        tangents = np.gradient(self._points, axis=0)
        tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
        return self._way * np.stack([tangents[:, 1], -tangents[:, 0]], 1)

    def _follow(self, position_mm: np.ndarray) -> None:
        """Points straight on, ever less certain, until they reach beyond the pad; those left behind are forgotten."""
        while True:
            distance = np.linalg.norm(self._points - position_mm, axis=1)
            nearest = int(distance.argmin())
            if nearest < len(self._points) - 1 and distance[-1] > self._reach_mm + SPACING_MM:
                break
            step = self._points[-1] - self._points[-2]
            self._points = np.vstack([self._points, self._points[-1] + step * (SPACING_MM / np.linalg.norm(step))])
            onward = np.zeros((len(self._points), len(self._points) - 1))
            onward[:-1] = np.eye(len(self._points) - 1)
            onward[-1, -2:] = -1.0, 2.0
            self._covariance = onward @ self._covariance @ onward.T
            self._covariance[-1, -1] += self._bend_mm**2
        old = max(nearest - round(self._reach_mm / SPACING_MM) - 2, 0)
        self._points, self._covariance = self._points[old:], self._covariance[old:, old:]

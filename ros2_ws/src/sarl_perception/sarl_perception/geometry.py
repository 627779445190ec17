"""Geometry of the edge in the tip frame: origin at the apex, x right and y down in the image, z out of the sensor.

The edge line passes through c = x n. At angle theta its unit normal is n = (cos theta, sin theta, 0) and its direction
t = (-sin theta, cos theta, 0): at theta = 0 the edge runs along +y and x is its offset along +x. The object lies on
the side of -n.
"""

from __future__ import annotations

import math

import numpy as np

UNOBSERVED_VARIANCE = 1.0e3  # m^2 and rad^2: a metre-wide "unknown" beside a fingertip, still exact in double precision


def edge_position(x: float, z: float, theta: float) -> tuple[float, float, float]:
    """Point of the edge nearest to the apex, at press depth z (m)."""
    return x * math.cos(theta), x * math.sin(theta), z


def yaw_quaternion(theta: float) -> tuple[float, float, float, float]:
    """Quaternion (x, y, z, w) of a rotation by theta (rad) about z."""
    return 0.0, 0.0, math.sin(theta / 2), math.cos(theta / 2)


def edge_from_pose(
    position: tuple[float, float, float], quaternion: tuple[float, float, float, float]
) -> tuple[float, float, float]:
    """(x, z, theta) of an edge pose: the inverse of `edge_position` and `yaw_quaternion`."""
    theta = 2 * math.atan2(quaternion[2], quaternion[3])
    theta = math.remainder(theta, 2 * math.pi)
    return position[0] * math.cos(theta) + position[1] * math.sin(theta), position[2], theta


def edge_pose_covariance(x: float, theta: float, covariance: np.ndarray) -> np.ndarray:
    """6x6 covariance (x y z, rotation about x y z) of the edge pose from that of (x, z, theta).

    First order: J C J^T. The position along the edge and the rotations about x and y are not observed and get
    `UNOBSERVED_VARIANCE`.
    """
    cos, sin = math.cos(theta), math.sin(theta)
    jacobian = np.zeros((6, 3))
    jacobian[0] = cos, 0.0, -x * sin
    jacobian[1] = sin, 0.0, x * cos
    jacobian[2, 1] = 1.0
    jacobian[5, 2] = 1.0
    along_edge = np.array([-sin, cos, 0.0, 0.0, 0.0, 0.0])
    tilt = np.diag([0.0, 0.0, 0.0, 1.0, 1.0, 0.0])
    return jacobian @ covariance @ jacobian.T + UNOBSERVED_VARIANCE * (np.outer(along_edge, along_edge) + tilt)

"""Ground truth as messages, in the tip frame and SI units, and back."""

from __future__ import annotations

import math
from typing import Any

from geometry_msgs.msg import Point, PointStamped, PoseStamped, Vector3, WrenchStamped
from sarl_perception.geometry import edge_from_pose
from sarl_perception.publishers.edge_pose import edge_pose
from std_msgs.msg import Header

from sarl_demo.tip_motion import MM


def _edge_pose(header: Header, truth: dict[str, float]) -> PoseStamped:
    pose = edge_pose(truth["x_mm"] / MM, truth["z_mm"] / MM, math.radians(truth["theta_deg"]))
    return PoseStamped(header=header, pose=pose)


def _contact_point(header: Header, truth: dict[str, float]) -> PointStamped:
    point = Point(x=truth["px_mm"] / MM, y=truth["py_mm"] / MM, z=truth["pz_mm"] / MM)
    return PointStamped(header=header, point=point)


def _force(header: Header, truth: dict[str, float]) -> WrenchStamped:
    message = WrenchStamped(header=header)
    message.wrench.force = Vector3(x=truth["fx_N"], y=truth["fy_N"], z=truth["fz_N"])
    return message


TRUTHS: dict[str, tuple[type, Any]] = {
    "edge_pose": (PoseStamped, _edge_pose),
    "contact_point": (PointStamped, _contact_point),
    "force": (WrenchStamped, _force),
}
"""Task -> message type of `ground_truth/<task>`, and the function (header, truth) -> message."""


def edge_in_mm_and_degrees(message: PoseStamped) -> tuple[float, float, float]:
    """(x mm, z mm, theta degree) of an edge pose message."""
    position, turn = message.pose.position, message.pose.orientation
    x, z, theta = edge_from_pose((position.x, position.y, position.z), (turn.x, turn.y, turn.z, turn.w))
    return x * MM, z * MM, math.degrees(theta)

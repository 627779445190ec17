"""Tip poses, twists and edges as messages in SI units, and back."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import Point, Pose, PoseStamped, PoseWithCovarianceStamped, Quaternion, TwistStamped, Vector3
from rclpy.time import Time
from sarl_perception.geometry import edge_from_pose, yaw_quaternion
from std_msgs.msg import Header

from sarl_demo.edge_servo import Reading
from sarl_demo.tip_motion import MM, TipPose


def seconds(stamp: object) -> float:
    """A stamp of a message as a number of the same clock."""
    return Time.from_msg(stamp).nanoseconds * 1e-9


def pose_message(header: Header, pose: TipPose) -> PoseStamped:
    """A tip pose in the plate frame."""
    x, y, z, w = yaw_quaternion(pose.yaw_rad)
    position = Point(x=pose.x_mm / MM, y=pose.y_mm / MM, z=pose.depth_mm / MM)
    return PoseStamped(header=header, pose=Pose(position=position, orientation=Quaternion(x=x, y=y, z=z, w=w)))


def tip_pose(message: PoseStamped) -> TipPose:
    """The tip pose of a message in the plate frame; tilt is ignored."""
    position, turn = message.pose.position, message.pose.orientation
    _, _, yaw = edge_from_pose((0.0, 0.0, 0.0), (turn.x, turn.y, turn.z, turn.w))
    return TipPose(position.x * MM, position.y * MM, position.z * MM, yaw)


def twist_message(header: Header, twist: np.ndarray) -> TwistStamped:
    """A twist [4] (mm/s, rad/s) in the tip frame."""
    message = TwistStamped(header=header)
    x, y, z, turn = twist.tolist()
    message.twist.linear = Vector3(x=x / MM, y=y / MM, z=z / MM)
    message.twist.angular = Vector3(x=0.0, y=0.0, z=turn)
    return message


def twist_of(message: TwistStamped) -> np.ndarray:
    """Twist [4] (mm/s, rad/s) of a message in the tip frame; what would tilt the tip is ignored."""
    linear = message.twist.linear
    return np.array([linear.x * MM, linear.y * MM, linear.z * MM, message.twist.angular.z])


def reading_of(message: PoseWithCovarianceStamped) -> Reading:
    """The edge and its standard deviations: x along the edge's normal, z, theta."""
    pose = message.pose.pose
    position = (pose.position.x, pose.position.y, pose.position.z)
    turn = (pose.orientation.x, pose.orientation.y, pose.orientation.z, pose.orientation.w)
    x, z, theta = edge_from_pose(position, turn)
    covariance = np.asarray(message.pose.covariance).reshape(6, 6)
    normal = np.array([np.cos(theta), np.sin(theta)])
    variances = np.array([normal @ covariance[:2, :2] @ normal, covariance[2, 2], covariance[5, 5]])
    return Reading(
        taken_s=seconds(message.header.stamp),
        pose=np.array([x * MM, z * MM, theta]),
        sd=np.sqrt(variances.clip(min=0.0)) * (MM, MM, 1.0),
    )

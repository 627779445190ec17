"""Edge pose: PoseStamped for controllers, and PoseWithCovarianceStamped beside it."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import Point, Pose, PoseStamped, PoseWithCovarianceStamped, Quaternion

from sarl_perception.geometry import edge_pose_covariance, edge_position, yaw_quaternion
from sarl_perception.publishers.base import OutputPublisher, Reading


class EdgePosePublisher(OutputPublisher):
    """The edge in the tip frame: x axis along its normal, y axis along the edge, at its point nearest to the apex.

    Position (x cos theta, x sin theta, z) in metres, rotation by theta about z; see `geometry`. What the model does
    not predict is zero, with a large variance.
    """

    needs_contact = True

    def topics(self) -> dict[str, type]:
        return {self.output.name: PoseStamped, f"{self.output.name}_with_covariance": PoseWithCovarianceStamped}

    def messages(self, reading: Reading) -> dict[str, Any]:
        x, z, theta = reading.estimate[self.output.name].tolist()
        pose = edge_pose(x, z, theta)
        with_covariance = PoseWithCovarianceStamped(header=reading.header)
        with_covariance.pose.pose = pose
        covariance = edge_pose_covariance(x, theta, reading.estimate.covariance(self.output.name))
        with_covariance.pose.covariance = covariance.ravel()
        plain, uncertain = self.topics()
        return {plain: PoseStamped(header=reading.header, pose=pose), uncertain: with_covariance}


def edge_pose(x: float, z: float, theta: float) -> Pose:
    """Pose of the edge (m, m, rad) in the tip frame."""
    px, py, pz = edge_position(x, z, theta)
    qx, qy, qz, qw = yaw_quaternion(theta)
    return Pose(position=Point(x=px, y=py, z=pz), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))

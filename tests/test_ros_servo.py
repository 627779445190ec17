"""The moving camera and the follower as processes over DDS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import robot_side

pytest.importorskip("rclpy", reason=robot_side.NOT_BUILT)
pytest.importorskip("sarl_msgs.msg", reason=robot_side.NOT_BUILT)

from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped, TwistStamped
from rclpy.qos import qos_profile_sensor_data
from ros_peer import Peer, running, stamp_of
from sarl_demo.tip_messages import tip_pose
from sarl_msgs.msg import ContactStamped
from sarl_perception.publishers.edge_pose import edge_pose
from sensor_msgs.msg import Image

pytestmark = pytest.mark.ros


def test_the_camera_moves_as_commanded_and_shows_it(peer: Peer, log: Path) -> None:
    peer.node.create_subscription(Image, "image_raw", peer.heard["image_raw"].append, qos_profile_sensor_data)
    peer.listen(PoseStamped, "ground_truth/tip_pose")
    peer.listen(PoseStamped, "ground_truth/edge_pose")
    commands = peer.node.create_publisher(TwistStamped, "cmd_vel", 1)
    goals = peer.node.create_publisher(PoseStamped, "cmd_pose", 1)
    words = ["--ros-args", "-p", "image_size:=64", "-p", "rate:=5.0"]
    with running("sarl_demo.outline_camera", log, *words):
        poses = peer.heard["ground_truth/tip_pose"]
        topics = (commands, goals)
        peer.spin_until(lambda: all(topic.get_subscription_count() for topic in topics), "the camera listens")
        peer.spin_until(lambda: peer.heard["image_raw"] and poses, "frames")
        start = tip_pose(poses[-1])
        down = TwistStamped()
        down.twist.linear.z = 0.01

        def is_pressed() -> bool:
            commands.publish(down)
            peer.spin_for(0.05)
            return tip_pose(poses[-1]).depth_mm - start.depth_mm > 2.0

        peer.spin_until(is_pressed, "the tip goes down")
        before = len(poses)
        peer.spin_until(
            lambda: len(poses) > before + 3 and tip_pose(poses[-3]) == tip_pose(poses[-1]), "it stands without commands"
        )
        pressed = tip_pose(poses[-1])
        assert (pressed.x_mm, pressed.y_mm) == (start.x_mm, start.y_mm)
        goals.publish(PoseStamped())
        peer.spin_until(lambda: abs(tip_pose(poses[-1]).x_mm) + abs(tip_pose(poses[-1]).y_mm) < 0.01, "the goal")
        image = peer.heard["image_raw"][-1]
        assert (image.height, image.encoding, image.header.frame_id) == (64, "rgb8", "vitactip_camera")
        assert peer.answer("ground_truth/edge_pose", stamp_of(image)).header.frame_id == "vitactip_tip"


def test_the_follower_presses_follows_stops_and_lifts(peer: Peer, log: Path) -> None:
    peer.listen(TwistStamped, "cmd_vel")
    contacts = peer.node.create_publisher(ContactStamped, "contact", 1)
    edges = peer.node.create_publisher(PoseWithCovarianceStamped, "edge_pose_with_covariance", 1)

    def answer(depth_m: float | None) -> None:
        """One answer of perception: an edge under the apex at this depth, or no contact."""
        stamp = peer.node.get_clock().now().to_msg()
        touches = depth_m is not None
        contact = ContactStamped(in_contact=touches, probability=float(touches))
        contact.header.stamp = stamp
        contacts.publish(contact)
        if touches:
            edge = PoseWithCovarianceStamped()
            edge.header.stamp, edge.pose.pose = stamp, edge_pose(0.0, depth_m, 0.0)
            edge.pose.covariance = [1e-9 if row == column else 0.0 for row in range(6) for column in range(6)]
            edges.publish(edge)

    def last() -> tuple[float, float, float, float]:
        twist = peer.heard["cmd_vel"][-1].twist
        return twist.linear.x, twist.linear.y, twist.linear.z, twist.angular.z

    def answered_until(is_commanded: Callable[[float, float, float, float], bool], depth_m: float | None) -> None:
        def is_done() -> bool:
            answer(depth_m)
            peer.spin_for(0.02)
            return is_commanded(*last())

        peer.spin_until(is_done, f"the command for depth {depth_m} m")

    with running("sarl_demo.edge_follower", log):
        peer.spin_until(lambda: peer.heard["cmd_vel"] and contacts.get_subscription_count(), "commands")
        assert last() == (0, 0, 0, 0)
        answered_until(lambda x, y, z, turn: z > 0, None)  # no contact: down
        answered_until(  # along the edge, and deeper
            lambda x, y, z, turn: y > 0.002 and z > 0 and abs(x) < 1e-3 and abs(turn) < 0.1, 0.0012
        )
        peer.spin_until(lambda: last() == (0, 0, 0, 0), "a stop in silence")
        peer.spin_until(lambda: last()[2] < 0, "a lift in long silence")
        peer.status(lambda status, values: values.get("state") == "retracting", "diagnostics of the follower")

"""The moving camera and the follower as processes over DDS."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import robot_side

pytestmark = pytest.mark.ros


@pytest.fixture
def ros(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """ROS on a domain of this test's own."""
    pytest.importorskip("sarl_msgs.msg", reason=robot_side.NOT_BUILT)
    import rclpy
    from sarl_demo.processes import free_domain

    monkeypatch.setenv("ROS_DOMAIN_ID", str(free_domain()))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    rclpy.init()
    yield
    rclpy.utilities.try_shutdown()


def test_the_camera_moves_as_commanded_and_shows_it(ros: None, tmp_path: Path) -> None:
    from geometry_msgs.msg import PoseStamped, TwistStamped
    from rclpy.qos import qos_profile_sensor_data
    from ros_peer import Peer, running
    from sarl_demo.tip_messages import tip_pose
    from sensor_msgs.msg import Image

    peer = Peer()
    peer.node.create_subscription(Image, "image_raw", peer.heard["image_raw"].append, qos_profile_sensor_data)
    peer.listen(PoseStamped, "ground_truth/tip_pose")
    peer.listen(PoseStamped, "ground_truth/edge_pose")
    commands = peer.node.create_publisher(TwistStamped, "cmd_vel", 1)
    goals = peer.node.create_publisher(PoseStamped, "cmd_pose", 1)
    words = ["--ros-args", "-p", "image_size:=64", "-p", "rate:=5.0"]
    with running("sarl_demo.outline_camera", tmp_path / "log", *words):
        poses = peer.heard["ground_truth/tip_pose"]
        peer.spin_until(lambda: peer.heard["image_raw"] and commands.get_subscription_count(), "frames")
        start = tip_pose(poses[-1])
        down = TwistStamped()
        down.twist.linear.z = 0.01
        for _ in range(10):
            commands.publish(down)
            peer.spin_for(0.05)
        peer.spin_for(0.5)
        pressed = tip_pose(poses[-1])
        assert 2.0 < pressed.depth_mm - start.depth_mm < 9.0
        assert (pressed.x_mm, pressed.y_mm) == (start.x_mm, start.y_mm)
        peer.spin_for(0.3)
        assert tip_pose(poses[-1]) == pressed  # no commands: it stands still
        goals.publish(PoseStamped())
        peer.spin_until(lambda: abs(tip_pose(poses[-1]).x_mm) + abs(tip_pose(poses[-1]).y_mm) < 0.01, "the goal")
        image, edge = peer.heard["image_raw"][-1], peer.heard["ground_truth/edge_pose"][-1]
        assert (image.height, image.encoding, image.header.frame_id) == (64, "rgb8", "vitactip_camera")
        assert edge.header.frame_id == "vitactip_tip"
        stamps = {(m.header.stamp.sec, m.header.stamp.nanosec) for m in peer.heard["ground_truth/edge_pose"]}
        assert (image.header.stamp.sec, image.header.stamp.nanosec) in stamps
    peer.close()


def test_the_follower_presses_follows_stops_and_lifts(ros: None, tmp_path: Path) -> None:
    from geometry_msgs.msg import PoseWithCovarianceStamped, TwistStamped
    from ros_peer import Peer, running
    from sarl_msgs.msg import ContactStamped
    from sarl_perception.publishers.edge_pose import edge_pose

    peer = Peer()
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

    def commanded(depth_m: float | None, seconds: float) -> tuple[float, float, float, float]:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            answer(depth_m)
            peer.spin_for(0.02)
        return last()

    with running("sarl_demo.edge_follower", tmp_path / "log"):
        peer.spin_until(lambda: peer.heard["cmd_vel"] and contacts.get_subscription_count(), "commands")
        assert last() == (0, 0, 0, 0)
        assert commanded(None, 1.0)[2] > 0  # no contact: down
        x, y, z, turn = commanded(0.0012, 1.0)
        assert y > 0.002 and z > 0 and abs(x) < 1e-3 and abs(turn) < 0.1  # along the edge, and deeper
        peer.spin_until(lambda: last() == (0, 0, 0, 0), "a stop in silence", deadline_s=5.0)
        peer.spin_until(lambda: last()[2] < 0, "a lift in long silence", deadline_s=5.0)
        peer.status(lambda status, values: values.get("state") == "retracting", "diagnostics of the follower")
    peer.close()

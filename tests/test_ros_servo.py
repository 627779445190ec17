"""The moving camera and the follower as processes over DDS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import robot_side

pytest.importorskip("rclpy", reason=robot_side.NOT_BUILT)
pytest.importorskip("sarl_msgs.msg", reason=robot_side.NOT_BUILT)

from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped, TwistStamped
from rclpy.qos import qos_profile_sensor_data
from ros_peer import Peer, running, stamp_of
from rosgraph_msgs.msg import Clock
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


@pytest.mark.parametrize(
    ("module", "topic", "kind"),
    [("outline_camera", "ground_truth/tip_pose", PoseStamped), ("edge_follower", "cmd_vel", TwistStamped)],
)
def test_a_node_can_be_renamed(peer: Peer, log: Path, module: str, topic: str, kind: type) -> None:
    peer.listen(kind, topic)
    with running(f"sarl_demo.{module}", log, "--ros-args", "-r", "__node:=left"):
        peer.spin_until(lambda: peer.heard[topic], f"{topic} of a renamed {module}")
        peer.spin_until(lambda: "left" in peer.node.get_node_names(), "its new name")


class BagTime:
    """The publisher of /clock."""

    def __init__(self, peer: Peer) -> None:
        self.time_s = 0.0
        self._publisher = peer.node.create_publisher(Clock, "/clock", 1)

    def go_on(self) -> Time:
        """A twentieth of a second later."""
        self.time_s += 0.05
        stamp = Time()
        stamp.sec, stamp.nanosec = divmod(round(self.time_s * 1e9), 10**9)
        self._publisher.publish(Clock(clock=stamp))
        return stamp


def test_the_camera_moves_when_the_clock_is_set_back(peer: Peer, log: Path) -> None:
    peer.listen(PoseStamped, "ground_truth/tip_pose")
    poses = peer.heard["ground_truth/tip_pose"]
    commands = peer.node.create_publisher(TwistStamped, "cmd_vel", 1)
    clock, down = BagTime(peer), TwistStamped()
    down.twist.linear.z = 0.01
    words = ["--ros-args", "-p", "image_size:=64", "-p", "rate:=5.0", "-p", "use_sim_time:=true"]

    def is_lowered() -> bool:
        clock.go_on()
        commands.publish(down)
        peer.spin_for(0.05)
        since = [tip_pose(pose).depth_mm for pose in poses if 0 <= pose.header.stamp.sec - start_s < 400]
        return bool(since) and since[-1] > since[0] + 1.0

    with running("sarl_demo.outline_camera", log, *words):
        peer.spin_until(lambda: poses, "poses before there is a clock")
        for start_s in (1000.0, 500.0):
            clock.time_s = start_s
            peer.spin_until(is_lowered, f"a lowered tip at {start_s} s")
        depths = [tip_pose(pose).depth_mm for pose in poses]
        assert depths == sorted(depths)


class Perception:
    """What the perception node would publish, and what the follower commands upon it."""

    def __init__(self, peer: Peer, clock: BagTime | None = None) -> None:
        self._peer, self._clock = peer, clock
        peer.listen(TwistStamped, "cmd_vel")
        self.contacts = peer.node.create_publisher(ContactStamped, "contact", 1)
        self._edges = peer.node.create_publisher(PoseWithCovarianceStamped, "edge_pose_with_covariance", 1)

    def answer(self, depth_m: float | None) -> None:
        """One answer: an edge under the apex at this depth, or no contact."""
        stamp = self._clock.go_on() if self._clock else self._peer.node.get_clock().now().to_msg()
        touches = depth_m is not None
        contact = ContactStamped(in_contact=touches, probability=float(touches))
        contact.header.stamp = stamp
        self.contacts.publish(contact)
        if touches:
            edge = PoseWithCovarianceStamped()
            edge.header.stamp, edge.pose.pose = stamp, edge_pose(0.0, depth_m, 0.0)
            edge.pose.covariance = [1e-9 if row == column else 0.0 for row in range(6) for column in range(6)]
            self._edges.publish(edge)

    def last(self) -> tuple[float, float, float, float]:
        """The last command."""
        twist = self._peer.heard["cmd_vel"][-1].twist
        return twist.linear.x, twist.linear.y, twist.linear.z, twist.angular.z

    def answer_until(self, is_commanded: Callable[[float, float, float, float], bool], depth_m: float | None) -> None:
        """Answer so until the last command is right."""

        def is_done() -> bool:
            self.answer(depth_m)
            self._peer.spin_for(0.02)
            return is_commanded(*self.last())

        self._peer.spin_until(is_done, f"the command for depth {depth_m} m")


def test_the_follower_presses_follows_stops_and_lifts(peer: Peer, log: Path) -> None:
    perception = Perception(peer)
    last = perception.last
    with running("sarl_demo.edge_follower", log):
        peer.spin_until(lambda: peer.heard["cmd_vel"] and perception.contacts.get_subscription_count(), "commands")
        assert last() == (0, 0, 0, 0)
        perception.answer_until(lambda x, y, z, turn: z > 0, None)  # no contact: down
        perception.answer_until(  # along the edge, and deeper
            lambda x, y, z, turn: y > 0.002 and z > 0 and abs(x) < 1e-3 and abs(turn) < 0.1, 0.0012
        )
        peer.spin_until(lambda: last() == (0, 0, 0, 0), "a stop in silence")
        peer.spin_until(lambda: last()[2] < 0, "a lift in long silence")
        peer.status(lambda status, values: values.get("state") == "retracting", "diagnostics of the follower")


def test_the_follower_goes_on_and_stops_when_the_clock_is_set_back(peer: Peer, log: Path) -> None:
    """A simulator that starts over: its stamps are followed, and silence after that is noticed."""
    clock = BagTime(peer)
    perception = Perception(peer, clock)
    last = perception.last

    def is_at(start_s: float) -> bool:
        return 0 <= peer.heard["cmd_vel"][-1].header.stamp.sec - start_s < 400

    with running("sarl_demo.edge_follower", log, "--ros-args", "-p", "use_sim_time:=true"):
        peer.spin_until(lambda: peer.heard["cmd_vel"], "commands before there is a clock")
        assert last() == (0, 0, 0, 0)
        for start_s in (1500.0, 1000.0):
            clock.time_s = start_s
            perception.answer_until(lambda x, y, z, turn, start_s=start_s: is_at(start_s) and y > 0.001, 0.0012)
        clock.time_s = 500.0

        def is_silent_until(is_commanded: Callable[[], bool]) -> bool:
            clock.go_on()
            peer.spin_for(0.02)
            return is_at(500.0) and is_commanded()

        peer.spin_until(lambda: is_silent_until(lambda: last() == (0, 0, 0, 0)), "a stop in silence")
        peer.spin_until(lambda: is_silent_until(lambda: last()[2] < 0), "a lift in long silence")

"""A simulated tip over an outline: moves as commanded, publishes what its camera sees, and the truth for scoring.

Subscribes `cmd_vel` (TwistStamped in the tip frame) and `cmd_pose` (PoseStamped in the plate frame); the newer one
counts. Publishes `image_raw`, and `ground_truth/tip_pose` and `ground_truth/edge_pose`, which no controller may use.
"""

from __future__ import annotations

import array
import sys
import threading
import time
from typing import Any

import numpy as np
import rclpy
import torch
from geometry_msgs.msg import PoseStamped, TwistStamped
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sarl_perception.publishers.edge_pose import edge_pose
from sarl_perception.ros_process import ros
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sarl_demo.outline_scene import OutlineScene
from sarl_demo.settings import CameraSettings, SettingsRefused, declare
from sarl_demo.tip_messages import pose_message, tip_pose, twist_of
from sarl_demo.tip_motion import MM, MovingTip, TipPose, towards

NAME = "outline_camera"
TRUTH_RATE_HZ = 50.0


class OutlineCamera(Node):
    """Moves and takes commands in the executor's thread; renders in a thread of its own, so that motion never waits.

    The tip moves by a steady clock, as an arm does whatever the node's is set to; only the stamps are of the node's.
    """

    def __init__(self) -> None:
        super().__init__(NAME)
        self._settings = settings = declare(self, NAME, CameraSettings)
        try:
            self._scene = OutlineScene(
                settings.outline, settings.seed, drag_mm=settings.drag * MM, image_size=settings.image_size
            )
        except ValueError as error:
            raise SettingsRefused(f"parameter {error}") from error
        start = self._scene.start(settings.start_height * MM)
        self._scene.render(start)  # the first is slow: before a publisher promises frames
        self._tip = MovingTip(
            start,
            time.monotonic(),
            speed_mm_s=settings.max_speed * MM,
            turn_rad_s=settings.max_turn_rate,
            timeout_s=settings.command_timeout,
        )
        self._goal: TipPose | None = None
        self._lost = np.random.default_rng(settings.seed)
        newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._images = self.create_publisher(Image, "image_raw", newest)
        self._tip_poses = self.create_publisher(PoseStamped, "ground_truth/tip_pose", 100)
        self._edges = self.create_publisher(PoseStamped, "ground_truth/edge_pose", 100)
        self.create_subscription(TwistStamped, "cmd_vel", self._take_twist, 1)
        self.create_subscription(PoseStamped, "cmd_pose", self._take_pose, 1)
        self.create_timer(1.0 / TRUTH_RATE_HZ, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._renderer = threading.Thread(target=self._render_frames, name="renderer", daemon=True)

    def start(self) -> None:
        """Begin to publish frames."""
        self._renderer.start()

    def close(self) -> None:
        """Shut ROS down and wait for the frame that is being rendered."""
        self.context.try_shutdown()
        if self._renderer.is_alive():
            self._renderer.join()

    def _take_twist(self, message: TwistStamped) -> None:
        self._goal = None
        self._tip.command(twist_of(message), time.monotonic())

    def _take_pose(self, message: PoseStamped) -> None:
        self._goal = tip_pose(message)

    def _tick(self) -> None:
        stamp, now_s = self.get_clock().now().to_msg(), time.monotonic()
        pose = self._tip.pose(now_s)
        if self._goal is not None:
            self._tip.command(towards(pose, self._goal, 1.0 / TRUTH_RATE_HZ), now_s)
        header = Header(stamp=stamp, frame_id=self._settings.plate_frame_id)
        self._tip_poses.publish(pose_message(header, pose))

    def _render_frames(self) -> None:
        period_s = 1.0 / self._settings.rate
        due_s = time.monotonic()
        while self.context.ok():
            self._expose()
            due_s = max(due_s + period_s, time.monotonic() - period_s)
            time.sleep(max(due_s - time.monotonic(), 0.0))

    def _expose(self) -> None:
        stamp = self.get_clock().now().to_msg()
        pose = self._tip.pose(time.monotonic())
        edge = self._scene.edge(pose)
        rgb = self._scene.render(pose)
        header = Header(stamp=stamp, frame_id=self._settings.tip_frame_id)
        truth = PoseStamped(header=header, pose=edge_pose(edge.x_mm / MM, edge.z_mm / MM, edge.theta_rad))
        self._send(self._edges, truth)
        if self._lost.random() < self._settings.drop_share:
            return
        message = Image(height=rgb.shape[0], width=rgb.shape[1], encoding="rgb8", step=3 * rgb.shape[1])
        message.header = Header(stamp=stamp, frame_id=self._settings.frame_id)
        message.data = array.array("B", rgb.tobytes())  # the only assignment that is fast in every distribution
        if self._settings.delay > 0:
            threading.Timer(self._settings.delay, self._send, (self._images, message)).start()
        else:
            self._send(self._images, message)

    def _send(self, publisher: Any, message: Any) -> None:
        if self.context.ok():
            publisher.publish(message)


def main(args: list[str] | None = None) -> int:
    """Run the camera until SIGINT or SIGTERM."""
    torch.set_num_threads(1)  # one core renders; the others are the node's
    try:
        with ros(args) as at_end:
            camera = OutlineCamera()
            at_end.callback(camera.close)
            camera.start()
            rclpy.spin(camera)
    except (SettingsRefused, ParameterException) as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""One outline followed once round by real processes over DDS, watched from outside."""

from __future__ import annotations

import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String

from sarl_demo.processes import RunFailed, parameters, running
from sarl_demo.servo_score import Trajectory
from sarl_demo.settings import FollowerSettings
from sarl_demo.tip_messages import seconds, tip_pose
from sarl_demo.tip_motion import MM
from sarl_training.simulation.outlines import OUTLINES

FAULTS: dict[str, list[str]] = {
    "none": [],
    "kill": [],
    "lossy": ["drop_share:=0.2", "delay:=0.03"],
}
"""Fault -> parameters of the camera."""
KILLED_FOR_S = 2.0
_SLACK_S = 30.0  # beyond twice the time the way takes


class Watcher:
    """Hears the true tip pose and the follower's state on a ROS context of its own."""

    def __init__(self, outline: str, domain: int) -> None:
        self.trajectory = Trajectory(OUTLINES[outline])
        self.state = ""
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node = rclpy.create_node("servo_watcher", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._node.create_subscription(String, "follower_state", self._hear_state, latched)
        self._node.create_subscription(PoseStamped, "ground_truth/tip_pose", self._hear_pose, 100)

    def _hear_state(self, message: String) -> None:
        self.state = message.data

    def _hear_pose(self, message: PoseStamped) -> None:
        self.trajectory.add(seconds(message.header.stamp), tip_pose(message), self.state)

    def now_s(self) -> float:
        """The clock of the stamps."""
        return self._node.get_clock().now().nanoseconds * 1e-9

    def spin(self) -> None:
        """Hear what has come."""
        self._executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        """Leave ROS."""
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)


def follow_once(
    stack: ExitStack,
    environment: dict[str, str],
    logs: Path,
    *,
    model: Path,
    outline: str,
    seed: int,
    fault: str,
    settings: FollowerSettings,
    patience_s: float,
) -> tuple[dict[str, Any], Trajectory]:
    """(what came of it, the trajectory); the processes end with `stack`. Raises `RunFailed` when nothing moves."""
    watcher = Watcher(outline, int(environment["ROS_DOMAIN_ID"]))
    stack.callback(watcher.close)

    def start(name: str, module: str, *assignments: str) -> subprocess.Popen[bytes]:
        words = ["-m", module, *parameters(assignments)]
        return stack.enter_context(running(words, environment, logs / f"{name}.log"))

    node = start("perception_node", "sarl_perception.perception_node", f"model:={model}")
    start("outline_camera", "sarl_demo.outline_camera", f"outline:={outline}", f"seed:={seed}", *FAULTS[fault])
    start("edge_follower", "sarl_demo.edge_follower")
    _wait_for_contact(watcher, patience_s, logs)
    trajectory = watcher.trajectory
    deadline_s = time.monotonic() + 2 * trajectory.outline.length_mm / (settings.speed * MM) + _SLACK_S
    killed_s: float | None = None
    restarted = fault != "kill"
    while not trajectory.is_round and time.monotonic() < deadline_s:
        watcher.spin()
        if fault == "kill" and killed_s is None and abs(trajectory.gone_mm) > trajectory.outline.length_mm / 2:
            node.kill()
            killed_s = watcher.now_s()
        if killed_s is not None and not restarted and watcher.now_s() > killed_s + KILLED_FOR_S:
            start("perception_node_restarted", "sarl_perception.perception_node", f"model:={model}")
            restarted = True
    settled_s = [
        time_s for time_s, is_settled in zip(trajectory.times_s, trajectory.settled, strict=True) if is_settled
    ]
    return {
        "outline": outline,
        "seed": seed,
        "fault": fault,
        "is_round": trajectory.is_round,
        "share_round": abs(trajectory.gone_mm) / trajectory.outline.length_mm,
        "length_mm": trajectory.outline.length_mm,
        "seconds": settled_s[-1] - settled_s[0] if settled_s else None,
        "stopped_after_s": None if killed_s is None else trajectory.still_after_s(killed_s),
        **trajectory.errors(settings.depth * MM),
    }, trajectory


def _wait_for_contact(watcher: Watcher, patience_s: float, logs: Path) -> None:
    deadline_s = time.monotonic() + patience_s
    while not any(watcher.trajectory.settled):
        if time.monotonic() > deadline_s:
            poses = watcher.trajectory.poses
            state = (watcher.state or "silent") + (f", tip {poses[-1].depth_mm:.1f} mm deep" if poses else "")
            raise RunFailed(
                f"no edge followed within {patience_s:.0f} s (follower: {state}); a busy machine needs a larger "
                f"--patience, else see the logs in {logs}"
            )
        watcher.spin()

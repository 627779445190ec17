"""Follows an edge with a tactile tip: pose-based tactile servoing on the perception node's public topics.

Subscribes `edge_pose_with_covariance` and `contact`; publishes `cmd_vel` (TwistStamped in the tip frame, as MoveIt
Servo takes it), `follower_state` and `/diagnostics`. The law is in `edge_servo`.
"""

from __future__ import annotations

import math
import signal
import sys
import threading
import time

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import PoseWithCovarianceStamped, TwistStamped
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.signals import SignalHandlerOptions
from sarl_msgs.msg import ContactStamped
from sarl_perception.ros_process import ignore_signals, start
from std_msgs.msg import Header, String

from sarl_demo.edge_servo import EdgeServo, Phase
from sarl_demo.settings import FollowerSettings, SettingsRefused, declare
from sarl_demo.tip_messages import reading_of, twist_message
from sarl_demo.tip_motion import STILL

NAME = "edge_follower"
REPORT_PERIOD_S = 1.0
PATIENCE_S = 0.05  # between two looks at whether it is asked to end
LEVELS = {
    Phase.FOLLOWING: DiagnosticStatus.OK,
    Phase.APPROACHING: DiagnosticStatus.OK,
    Phase.LOST: DiagnosticStatus.ERROR,
}
MESSAGES = {
    Phase.WAITING: "nothing heard from the perception node yet, or nobody listens to cmd_vel",
    Phase.APPROACHING: "lowering until there is contact",
    Phase.FOLLOWING: "following",
    Phase.HOLDING: "no edge pose, or the clock does not go on: standing still",
    Phase.RETRACTING: "perception is silent: lifted",
    Phase.LOST: "no contact within approach_limit: place the tip over the edge and start again",
}


class EdgeFollower(Node):
    """Wires the servo law to topics."""

    def __init__(self) -> None:
        super().__init__(NAME)
        self._settings = declare(self, NAME, FollowerSettings)
        self._servo = EdgeServo(self._settings, self._now_s(), steady_s=time.monotonic())
        self._published: Phase | None = None
        self._readings = 0
        self._commands = self.create_publisher(TwistStamped, "cmd_vel", 1)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._states = self.create_publisher(String, "follower_state", latched)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_subscription(PoseWithCovarianceStamped, "edge_pose_with_covariance", self._take_edge, 1)
        self.create_subscription(ContactStamped, "contact", self._take_contact, 1)
        # A steady clock: commands go on, if only to stand still, while the node's is set back or simulated time rests.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0 / self._settings.rate, self._command, clock=steady)
        self.create_timer(REPORT_PERIOD_S, self._report, clock=steady)

    def stop(self) -> None:
        """Command a standstill."""
        self._send(STILL)

    def _now_s(self) -> float:
        return self.get_clock().now().nanoseconds * 1e-9

    def _is_obeyed(self) -> bool:
        """Someone listens to the commands: else the servo's record of where the tip is would not be true."""
        return self._commands.get_subscription_count() > 0

    def _take_edge(self, message: PoseWithCovarianceStamped) -> None:
        self._readings += 1
        if self._is_obeyed():
            self._servo.read(reading_of(message), self._now_s(), steady_s=time.monotonic())

    def _take_contact(self, message: ContactStamped) -> None:
        if self._is_obeyed():
            self._servo.feel(message.in_contact, message.probability, self._now_s(), steady_s=time.monotonic())

    def _command(self) -> None:
        self._send(self._servo.command(self._now_s(), steady_s=time.monotonic()))
        if self._servo.phase is not self._published:
            self._published = self._servo.phase
            self._states.publish(String(data=self._published.value))
            self.get_logger().info(MESSAGES[self._published])

    def _send(self, twist: np.ndarray) -> None:
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self._settings.frame_id)
        self._commands.publish(twist_message(header, twist))

    def _report(self) -> None:
        phase = self._servo.phase
        x, y, z, turn = self._servo.twist
        values = {
            "state": phase.value,
            "readings": self._readings,
            "speed_mm_s": f"{math.hypot(x, y, z):.2f}",
            "turn_rate_deg_s": f"{math.degrees(turn):.2f}",
        }
        status = DiagnosticStatus(
            level=LEVELS.get(phase, DiagnosticStatus.WARN),
            name=f"{self.get_fully_qualified_name()}: edge following",
            message=MESSAGES[phase],
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)


def main(args: list[str] | None = None) -> int:
    """Follow until SIGINT or SIGTERM; the last command is to stand still."""
    is_asked_to_end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):  # not rclpy's handlers: the context must live for that last command
        signal.signal(number, lambda *_: is_asked_to_end.set())
    start(args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        follower = EdgeFollower()
        executor = SingleThreadedExecutor()
        executor.add_node(follower)
        while not is_asked_to_end.is_set():
            executor.spin_once(timeout_sec=PATIENCE_S)
        ignore_signals()
        follower.stop()
    except (SettingsRefused, ParameterException) as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        return 1
    finally:
        rclpy.utilities.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A camera, a listener and an operator for tests of the node: real processes over real DDS."""

from __future__ import annotations

import array
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PointStamped, PoseStamped, PoseWithCovarianceStamped, WrenchStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sarl_msgs.msg import ContactStamped, MaterialStamped
from sensor_msgs.msg import Image

DEADLINE_S = 60.0  # a busy machine takes many seconds to start a process
MATCHING_S = 0.5  # a client sees its service before the service sees where to answer; Fast DDS waits 0.1 s and drops it
NODE = "sarl_perception.perception_node"
TOPICS: dict[str, type] = {
    "edge_pose": PoseStamped,
    "edge_pose_with_covariance": PoseWithCovarianceStamped,
    "contact_point": PointStamped,
    "force": WrenchStamped,
    "material": MaterialStamped,
    "contact": ContactStamped,
}


class Peer:
    """Sends images and keeps every message it hears, by topic."""

    def __init__(self, namespace: str = "") -> None:
        self.node = rclpy.create_node("peer", namespace=namespace)
        self.heard: dict[str, list[Any]] = defaultdict(list)
        self._clients: dict[str, Any] = {}
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        for topic, message_type in {**TOPICS, "/diagnostics": DiagnosticArray}.items():
            self.listen(message_type, topic)
        best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.camera = self.node.create_publisher(Image, "image_raw", best_effort)

    def listen(self, message_type: type, topic: str) -> None:
        self.node.create_subscription(message_type, topic, self.heard[topic].append, 100)

    def spin_until(self, is_done: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
        """Spin until `is_done` is true and return its value; fail with `what` at the deadline."""
        end_s = time.monotonic() + deadline_s
        while time.monotonic() < end_s:
            if value := is_done():
                return value
            self.executor.spin_once(timeout_sec=0.05)
        raise AssertionError(
            f"not within {deadline_s} s: {what}; heard { ({k: len(v) for k, v in self.heard.items()}) }"
        )

    def spin_for(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self.executor.spin_once(timeout_sec=0.02)

    def connect(self, topics: Iterable[str] = TOPICS) -> None:
        """Send frames until each topic has carried an answer, and forget them once the last is answered.

        A publisher counts a subscriber before that one hears it, so a first best-effort frame may be lost.
        """

        def is_heard() -> bool:
            self.send(np.zeros((8, 8, 3), np.uint8))
            self.spin_for(0.1)
            return all(self.heard[topic] for topic in topics)

        self.spin_until(is_heard, f"answers on {', '.join(topics)}")
        last = self.send(np.zeros((8, 8, 3), np.uint8))
        for topic in topics:
            self.answer(topic, last)
        for messages in self.heard.values():
            messages.clear()

    def answered(self) -> int:
        """How many frames the node says it answered, now that none is under way."""
        for _ in range(2):  # the first report may be from before
            status = self.status(lambda *_: True, "diagnostics")
        return int({item.key: item.value for item in status.values}["answered"])

    def send(self, rgb: np.ndarray, *, age_s: float = 0.0, **fields: Any) -> tuple[int, int]:
        """Send an rgb8 image (fields replaced as given); returns its stamp."""
        height, width = rgb.shape[:2]
        message = Image(height=height, width=width, encoding="rgb8", step=3 * width)
        message.header.frame_id = "camera"
        stamp_ns = self.node.get_clock().now().nanoseconds - round(age_s * 1e9)
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
        message.data = array.array("B", rgb.tobytes())
        for name, value in fields.items():
            setattr(message, name, value)
        self.camera.publish(message)
        return message.header.stamp.sec, message.header.stamp.nanosec

    def answer(self, topic: str, stamp: tuple[int, int]) -> Any:
        """The message on a topic with this stamp, once it has come."""
        return self.spin_until(lambda: self.find(topic, stamp), f"{topic} with stamp {stamp}")

    def find(self, topic: str, stamp: tuple[int, int]) -> Any:
        return next((message for message in self.heard[topic] if _stamp(message) == stamp), None)

    def status(self, is_it: Callable[[Any, dict[str, str]], bool], what: str, deadline_s: float = DEADLINE_S) -> Any:
        """The first diagnostic status from now on for which `is_it(status, values)` holds."""
        self.heard["/diagnostics"].clear()

        def found() -> Any:
            for array_ in self.heard["/diagnostics"]:
                for status in array_.status:
                    if is_it(status, {item.key: item.value for item in status.values}):
                        return status
            return None

        return self.spin_until(found, what, deadline_s)

    def fault(self, name: str) -> Any:
        """The first diagnostic status from now on that names this fault."""
        return self.status(lambda _, values: name in values["faults"].split(", "), f"fault {name}")

    def healthy(self) -> Any:
        """The first diagnostic status from now on without a fault, while answers come."""
        return self.status(lambda _, values: not values["faults"] and values["outputs"] == "fresh", "no fault")

    def set(self, **values: Any) -> str:
        """Set parameters of the node, all or none; the reason when they are refused."""
        request = SetParametersAtomically.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        )
        result = self.call(SetParametersAtomically, "perception_node/set_parameters_atomically", request).result
        assert result.successful == (not result.reason)
        return result.reason

    def change(self, transition: int) -> bool:
        """Whether a lifecycle transition succeeded."""
        request = ChangeState.Request(transition=Transition(id=transition))
        return self.call(ChangeState, "perception_node/change_state", request).success

    def call(self, service_type: type, name: str, request: Any) -> Any:
        """Answer of a service."""
        is_new = name not in self._clients
        if is_new:
            self._clients[name] = self.node.create_client(service_type, name)
        client = self._clients[name]
        if is_new or not client.service_is_ready():
            self.spin_until(client.service_is_ready, f"service {name}")
            self.spin_for(MATCHING_S)
        future = client.call_async(request)
        return self.spin_until(lambda: future.done() and future.result(), f"answer of {name}")

    def close(self) -> None:
        self.node.destroy_node()


def _stamp(message: Any) -> tuple[int, int]:
    return message.header.stamp.sec, message.header.stamp.nanosec


@contextmanager
def running(
    module: str, log: Path, *arguments: str, without: tuple[str, ...] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """A module as a process of its own, its output in `log`; it must end with status 0 on SIGINT.

    `without` are environment variables that it does not get.
    """
    environment = {name: value for name, value in os.environ.items() if name not in without}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**environment, "PYTHONUNBUFFERED": "1"},
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            try:
                process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    assert process.returncode == 0, f"{module} ended with {process.returncode}: {log.read_text()}"


def parameters(**values: Any) -> list[str]:
    """Command-line words that set ROS parameters; frames may be any age unless the test says so (busy machines)."""
    values.setdefault("max_age", 0.0)
    words = ["--ros-args"]
    for name, value in values.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        words += ["-p", f"{name}:={text}"]
    return words

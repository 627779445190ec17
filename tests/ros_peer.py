"""A camera, a listener and an operator for tests of the node: real processes over real DDS."""

from __future__ import annotations

import array
import os
import re
import subprocess
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
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sarl_demo import processes
from sarl_msgs.msg import ContactStamped, MaterialStamped
from sensor_msgs.msg import Image

DEADLINE_S = 120.0  # a busy machine takes many seconds to start a process
ANSWER_S = 20.0  # then a request is sent again
NODE = "sarl_perception.perception_node"
TOPICS: dict[str, type] = {
    "edge_pose": PoseStamped,
    "edge_pose_with_covariance": PoseWithCovarianceStamped,
    "contact_point": PointStamped,
    "force": WrenchStamped,
    "material": MaterialStamped,
    "contact": ContactStamped,
}
GOALS = {
    Transition.TRANSITION_CONFIGURE: State.PRIMARY_STATE_INACTIVE,
    Transition.TRANSITION_ACTIVATE: State.PRIMARY_STATE_ACTIVE,
    Transition.TRANSITION_DEACTIVATE: State.PRIMARY_STATE_INACTIVE,
    Transition.TRANSITION_CLEANUP: State.PRIMARY_STATE_UNCONFIGURED,
}

CYCLE = (
    Transition.TRANSITION_DEACTIVATE,
    Transition.TRANSITION_CLEANUP,
    Transition.TRANSITION_CONFIGURE,
    Transition.TRANSITION_ACTIVATE,
)


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
        called = self.now()

        def later() -> list[DiagnosticArray]:
            arrays = [array_ for array_ in self.heard["/diagnostics"] if stamp_of(array_) > called]
            return arrays[1:]  # the first may have been made up before

        status = self.spin_until(later, "diagnostics")[0].status[0]
        return int({item.key: item.value for item in status.values}["answered"])

    def now(self) -> tuple[int, int]:
        """A stamp of this moment."""
        stamp = self.node.get_clock().now().to_msg()
        return stamp.sec, stamp.nanosec

    @contextmanager
    def streaming(self, rgb: np.ndarray, period_s: float = 0.05, **fields: Any) -> Iterator[set[tuple[int, int]]]:
        """Send frames while the block spins; their stamps."""
        stamps: set[tuple[int, int]] = set()
        timer = self.node.create_timer(period_s, lambda: stamps.add(self.send(rgb, **fields)))
        try:
            yield stamps
        finally:
            self.node.destroy_timer(timer)

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
        return next((message for message in self.heard[topic] if stamp_of(message) == stamp), None)

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
        """Ask for a lifecycle transition; whether the node is then in the state that it leads to."""
        self.call(
            ChangeState, "perception_node/change_state", ChangeState.Request(transition=Transition(id=transition))
        )
        return self.state() == GOALS[transition]

    def state(self) -> int:
        """The node's lifecycle state."""
        return self.call(GetState, "perception_node/get_state", GetState.Request()).current_state.id

    def call(self, service_type: type, name: str, request: Any) -> Any:
        """Answer of a service, which may be asked more than once.

        A client sees its service before that one sees where to answer: Fast DDS then drops the first answer.
        """
        if name not in self._clients:
            self._clients[name] = self.node.create_client(service_type, name)
        client = self._clients[name]
        self.spin_until(client.service_is_ready, f"service {name}")
        futures: list[Any] = []
        asked_s = -ANSWER_S

        def answer() -> Any:
            nonlocal asked_s
            if time.monotonic() - asked_s >= ANSWER_S:
                futures.append(client.call_async(request))
                asked_s = time.monotonic()
            return next((future.result() for future in futures if future.done()), None)

        return self.spin_until(answer, f"answer of {name}")

    def close(self) -> None:
        self.node.destroy_node()


def stamp_of(message: Any) -> tuple[int, int]:
    return message.header.stamp.sec, message.header.stamp.nanosec


def stamps_of(messages: Iterable[Any]) -> set[tuple[int, int]]:
    return {stamp_of(message) for message in messages}


def faults_in(array_: DiagnosticArray) -> list[str]:
    """Names of the faults that the nodes in this message have."""
    texts = [item.value for status in array_.status for item in status.values if item.key == "faults"]
    return [name for text in texts for name in text.split(", ")]


def told_once(log: Path) -> set[str]:
    """Names of the faults in a node's log, each said once when it began and once when it was over."""
    text = log.read_text()
    names = set(re.findall(r"\[(\w+); said once", text))
    for name in names:
        assert text.count(f"[{name}; said once") - len(re.findall(rf"over: {name}\b", text)) in (0, 1), text
    return names


@contextmanager
def running(
    module: str, log: Path, *arguments: str, without: tuple[str, ...] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """A module as a process of its own, its output in `log`; it must end with status 0 on SIGINT.

    `without` are environment variables that it does not get.
    """
    environment = {name: value for name, value in os.environ.items() if name not in without}
    environment["PYTHONUNBUFFERED"] = "1"
    with processes.running(["-m", module, *arguments], environment, log, patience_s=DEADLINE_S) as process:
        yield process
    assert process.returncode == 0, f"{module} ended with {process.returncode}: {log.read_text()}"


def parameters(**values: Any) -> list[str]:
    """Command-line words that set ROS parameters; frames may be any age unless the test says so (busy machines)."""
    values.setdefault("max_age", 0.0)
    texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in values.items()}
    return processes.parameters(f"{name}:={text}" for name, text in texts.items())

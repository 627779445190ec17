"""The subscription to the camera, what the middleware says about it, and why a camera is not heard."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible, qos_policy_name_from_kind
from sensor_msgs.msg import CompressedImage, Image

from sarl_perception.frame_counters import FrameCounters

BASE_TOPIC = "image_raw"
TRANSPORTS = {"raw": (Image, ""), "compressed": (CompressedImage, "/compressed")}
RELIABILITIES = {"best_effort": ReliabilityPolicy.BEST_EFFORT, "reliable": ReliabilityPolicy.RELIABLE}


class Camera:
    """Hears the camera on the node until destroyed; depth 1, since only the newest frame counts.

    `handle(message, arrived_s)` is called in the executor's thread with the time of a steady clock.
    """

    def __init__(
        self,
        node: Node,
        *,
        transport: str,
        reliability: str,
        counters: FrameCounters,
        handle: Callable[[Any, float], None],
    ) -> None:
        self._node = node
        self._counters = counters
        self._handle = handle
        self._transport = transport
        self._incompatible = ""
        self._connected_since_s: float | None = None
        self._qos = QoSProfile(depth=1, reliability=RELIABILITIES[reliability])
        self._subscription = self._subscribe()

    @property
    def topic(self) -> str:
        """Full name of the camera's topic."""
        return self._subscription.topic_name

    def connected_s(self, now_s: float) -> float | None:
        """For how long a publisher has been connected, as seen by this method; None while there is none."""
        if self._subscription.get_publisher_count() == 0:
            self._connected_since_s = None
            return None
        if self._connected_since_s is None:
            self._connected_since_s = now_s
        return now_s - self._connected_since_s

    def obstacle(self) -> str:
        """Why publishers that are there are not heard; empty when there are none."""
        wanted = TRANSPORTS[self._transport][0]
        wanted_name = f"sensor_msgs/msg/{wanted.__name__}"
        for found in self._node.get_publishers_info_by_topic(self.topic):
            who = f"{found.node_namespace.rstrip('/')}/{found.node_name} publishes {self.topic}"
            if found.topic_type != wanted_name:
                return f"{who} as {found.topic_type}; this node takes {wanted_name}: see parameter image_transport"
            compatibility, reason = qos_check_compatible(found.qos_profile, self._qos)
            if compatibility == QoSCompatibility.ERROR or self._incompatible:
                why = reason.strip().rstrip(";.") or self._incompatible
                return (
                    f"{who} with a QoS that does not match ({why}): set parameter reliability to best_effort, or make"
                    " the camera reliable"
                )
        other = "raw" if self._transport == "compressed" else "compressed"
        base = self.topic.removesuffix("/compressed")
        other_topic = f"{base}/compressed" if other == "compressed" else base
        if self._node.count_publishers(other_topic):
            hint = f"set parameter image_transport to {other}"
            return f"nobody publishes {self.topic}, but {other_topic} has images: {hint}"
        return ""

    def destroy(self) -> None:
        """Stop hearing."""
        self._node.destroy_subscription(self._subscription)

    def _subscribe(self) -> Any:
        try:
            return self._create(self._note_lost)
        except UnsupportedEventTypeError:  # a middleware that does not count losses
            return self._create(None)

    def _create(self, note_lost: Callable[[Any], None] | None) -> Any:
        message_type, suffix = TRANSPORTS[self._transport]
        # The base topic is remapped first, as image_transport does it: one remapping serves every transport.
        topic = self._node.resolve_topic_name(BASE_TOPIC) + suffix
        events = SubscriptionEventCallbacks(incompatible_qos=self._note_incompatible, message_lost=note_lost)
        return self._node.create_subscription(message_type, topic, self._receive, self._qos, event_callbacks=events)

    def _note_lost(self, event: Any) -> None:
        self._counters.lose(event.total_count_change)

    def _note_incompatible(self, event: Any) -> None:
        self._incompatible = qos_policy_name_from_kind(event.last_policy_kind)

    def _receive(self, message: Any) -> None:
        now_s = time.perf_counter()
        self._counters.receive(now_s, len(message.data))
        self._handle(message, now_s)

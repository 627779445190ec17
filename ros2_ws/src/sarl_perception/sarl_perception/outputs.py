"""The node's output topics: one publisher per head of the model, and the overlay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from sarl_perception.contract import Contract, ModelRefused
from sarl_perception.publishers import PUBLISHERS, OutputPublisher

OUTPUT_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
OVERLAY = "overlay"
OF_THE_NODE = (OVERLAY, "image_raw", "diagnostics")


def check_topics(contract: Contract) -> None:
    """Raise `ModelRefused` when two outputs want one topic, or one wants a topic of the node: a topic has one type."""
    owners = dict.fromkeys(OF_THE_NODE, "the node itself")
    for output in contract.outputs.values():
        for topic in PUBLISHERS[output.kind](output).topics():
            if topic in owners:
                raise ModelRefused(
                    f"contract.outputs: {output.name} is published on {topic}, as is {owners[topic]}: give the task"
                    " another name and export again"
                )
            owners[topic] = output.name


class Outputs:
    """Topics follow the model: `adopt` keeps those that the new model has too, so their subscribers stay matched."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publishers: list[OutputPublisher] = []
        self._overlay: Any = None

    def __iter__(self) -> Iterator[OutputPublisher]:
        return iter(self._publishers)

    def adopt(self, contract: Contract) -> None:
        """Make the topics those of this contract. Not while a worker publishes."""
        known = {(publisher.output.name, publisher.output.kind): publisher for publisher in self._publishers}
        wanted = {(output.name, output.kind) for output in contract.outputs.values()}
        for key in known.keys() - wanted:  # first: a new topic may have an old one's name and another type
            known.pop(key).destroy(self._node)
        self._publishers = []
        for output in contract.outputs.values():
            publisher = known.get((output.name, output.kind))
            if publisher is None:
                publisher = PUBLISHERS[output.kind](output)
                publisher.create(self._node, OUTPUT_QOS)
            publisher.output = output
            self._publishers.append(publisher)
        if self._overlay is None:
            self._overlay = self._node.create_publisher(Image, OVERLAY, OUTPUT_QOS)

    @property
    def overlay_is_wanted(self) -> bool:
        """Someone listens to the overlay."""
        return self._overlay.get_subscription_count() > 0

    def publish_overlay(self, message: Image) -> None:
        """Send a drawn image."""
        self._overlay.publish(message)

    def destroy(self) -> None:
        """Remove the topics from the node. Not while a worker publishes."""
        for publisher in self._publishers:
            publisher.destroy(self._node)
        self._publishers.clear()
        if self._overlay is not None:
            self._node.destroy_publisher(self._overlay)
            self._overlay = None

"""What every publisher shares: one model output becomes messages on one or more topics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from std_msgs.msg import Header

from sarl_perception.contract import Output
from sarl_perception.estimator import Estimate


@dataclass(frozen=True)
class Reading:
    """One answered image: the estimate, the header its messages carry, and whether the sensor touches something."""

    estimate: Estimate
    header: Header
    in_contact: bool


class OutputPublisher(ABC):
    """Publishes one model output on the topics it names; subclasses turn a reading into one message per topic."""

    needs_contact: ClassVar[bool] = False
    """A pose: says nothing while the sensor touches nothing (unless the node's contact gate is off)."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self._publishers: dict[str, Any] = {}

    @abstractmethod
    def topics(self) -> dict[str, type]:
        """Relative topic name -> message type."""

    @abstractmethod
    def messages(self, reading: Reading) -> dict[str, Any]:
        """Relative topic name -> message, for every topic."""

    def create(self, node: Any, qos: Any) -> None:
        """Create the topics on a node."""
        for topic, message_type in self.topics().items():
            self._publishers[topic] = node.create_publisher(message_type, topic, qos)

    def publish(self, reading: Reading) -> None:
        """Send one reading."""
        for topic, message in self.messages(reading).items():
            self._publishers[topic].publish(message)

    def destroy(self, node: Any) -> None:
        """Remove the topics from the node."""
        for publisher in self._publishers.values():
            node.destroy_publisher(publisher)
        self._publishers.clear()

"""Contact: ContactStamped, published for every answered image."""

from __future__ import annotations

from typing import Any

from sarl_msgs.msg import ContactStamped

from sarl_perception.publishers.base import OutputPublisher, Reading


class ContactPublisher(OutputPublisher):
    """Whether the sensor touches something, and how probable that is."""

    def topics(self) -> dict[str, type]:
        return {self.output.name.removesuffix("_probability"): ContactStamped}

    def messages(self, reading: Reading) -> dict[str, Any]:
        probability = float(reading.estimate[self.output.name][0])
        message = ContactStamped(header=reading.header, in_contact=reading.in_contact, probability=probability)
        return dict.fromkeys(self.topics(), message)

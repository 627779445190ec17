"""Contact point: PointStamped, metres in the sensor frame."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import Point, PointStamped

from sarl_perception.publishers.base import OutputPublisher, Reading


class PointPublisher(OutputPublisher):
    """Where on the skin the contact is."""

    needs_contact = True

    def topics(self) -> dict[str, type]:
        return {self.output.name: PointStamped}

    def messages(self, reading: Reading) -> dict[str, Any]:
        x, y, z = reading.estimate[self.output.name].tolist()
        return {self.output.name: PointStamped(header=reading.header, point=Point(x=x, y=y, z=z))}

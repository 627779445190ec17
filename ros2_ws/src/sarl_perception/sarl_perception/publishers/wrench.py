"""Force: WrenchStamped, newton in the sensor frame, on the sensor (pressing gives z < 0); torque zero."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import Vector3, WrenchStamped

from sarl_perception.publishers.base import OutputPublisher, Reading


class WrenchPublisher(OutputPublisher):
    """The force that the contact puts on the sensor."""

    def topics(self) -> dict[str, type]:
        return {self.output.name: WrenchStamped}

    def messages(self, reading: Reading) -> dict[str, Any]:
        message = WrenchStamped(header=reading.header)
        fx, fy, fz = reading.estimate[self.output.name].tolist()
        message.wrench.force = Vector3(x=fx, y=fy, z=fz)
        return {self.output.name: message}

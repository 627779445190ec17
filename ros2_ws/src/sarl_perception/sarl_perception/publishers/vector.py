"""Any quantity with named axes: VectorStamped, SI units, with its covariance."""

from __future__ import annotations

from typing import Any

from sarl_msgs.msg import VectorStamped

from sarl_perception.publishers.base import OutputPublisher, Reading


class VectorPublisher(OutputPublisher):
    """What the dataset's own task says about a contact; nothing without one."""

    needs_contact = True

    def topics(self) -> dict[str, type]:
        return {self.output.name: VectorStamped}

    def messages(self, reading: Reading) -> dict[str, Any]:
        message = VectorStamped(header=reading.header, axes=list(self.output.axes), units=list(self.output.unit))
        message.values = reading.estimate[self.output.name].tolist()
        message.covariance = reading.estimate.covariance(self.output.name).ravel().tolist()
        return {self.output.name: message}

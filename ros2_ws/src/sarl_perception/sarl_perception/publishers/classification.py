"""Classes (material and its like): MaterialStamped on the output's name without `_probabilities`."""

from __future__ import annotations

from typing import Any

from sarl_msgs.msg import MaterialStamped

from sarl_perception.publishers.base import OutputPublisher, Reading


class ClassificationPublisher(OutputPublisher):
    """The most probable class, and the probabilities of all."""

    def topics(self) -> dict[str, type]:
        return {self.output.name.removesuffix("_probabilities"): MaterialStamped}

    def messages(self, reading: Reading) -> dict[str, Any]:
        classes = reading.estimate.classes(self.output.name)
        label = max(classes, key=classes.__getitem__)
        message = MaterialStamped(
            header=reading.header,
            label=label,
            confidence=classes[label],
            labels=list(classes),
            probabilities=list(classes.values()),
        )
        return dict.fromkeys(self.topics(), message)

"""What the node publishes, by the kind of a model output. A new kind is one file and one line here."""

from sarl_perception.publishers.base import OutputPublisher, Reading
from sarl_perception.publishers.classification import ClassificationPublisher
from sarl_perception.publishers.contact import ContactPublisher
from sarl_perception.publishers.edge_pose import EdgePosePublisher
from sarl_perception.publishers.point import PointPublisher
from sarl_perception.publishers.vector import VectorPublisher
from sarl_perception.publishers.wrench import WrenchPublisher

PUBLISHERS: dict[str, type[OutputPublisher]] = {
    "edge_pose": EdgePosePublisher,
    "point": PointPublisher,
    "wrench": WrenchPublisher,
    "vector": VectorPublisher,
    "classification": ClassificationPublisher,
    "contact": ContactPublisher,
}

__all__ = ["PUBLISHERS", "OutputPublisher", "Reading"]

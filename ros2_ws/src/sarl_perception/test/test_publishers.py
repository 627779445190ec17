"""Estimates to messages: SI values, stamps, frames, topics. Needs the message types, not a running ROS."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

pytest.importorskip("sarl_msgs.msg", reason="build the workspace and run through ros2_ws/env.sh")

from sarl_perception.contract import CLASSES, GEOMETRY, VECTOR, parse_contract
from sarl_perception.estimator import Estimate, TactileEstimator
from sarl_perception.geometry import UNOBSERVED_VARIANCE
from sarl_perception.publishers import PUBLISHERS, Reading
from std_msgs.msg import Header
from tiny_model import MATERIALS, changed, write_model


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Topic -> message for one image."""
    estimator = TactileEstimator(write_model(tmp_path_factory.mktemp("m") / "tiny.onnx"))
    header = Header(frame_id="vitactip_tip")
    header.stamp.sec, header.stamp.nanosec = 12, 345
    reading = Reading(estimator.estimate(np.zeros((32, 32, 3), np.uint8)), header, in_contact=True)
    result = {}
    for output in estimator.contract.outputs.values():
        publisher = PUBLISHERS[output.kind](output)
        made = publisher.messages(reading)
        assert {topic: type(message) for topic, message in made.items()} == publisher.topics()
        result |= made
    return result


def test_every_kind_of_the_contract_has_a_publisher() -> None:
    assert set(PUBLISHERS) == {*GEOMETRY, VECTOR, *CLASSES}
    assert {kind for kind, publisher in PUBLISHERS.items() if publisher.needs_contact} == {
        "edge_pose",
        "point",
        "vector",
    }


def test_topics_and_headers(messages: dict[str, object]) -> None:
    assert set(messages) == {"edge_pose", "edge_pose_with_covariance", "contact_point", "force", "material", "contact"}
    for message in messages.values():
        assert (message.header.stamp.sec, message.header.stamp.nanosec) == (12, 345)
        assert message.header.frame_id == "vitactip_tip"


def test_edge_pose(messages: dict[str, object]) -> None:
    pose = messages["edge_pose"].pose
    assert pose.position.x == pytest.approx(0.001 * math.cos(0.5))
    assert pose.position.y == pytest.approx(0.001 * math.sin(0.5))
    assert pose.position.z == pytest.approx(0.002)
    assert (pose.orientation.x, pose.orientation.y) == (0.0, 0.0)
    assert 2 * math.atan2(pose.orientation.z, pose.orientation.w) == pytest.approx(0.5)
    with_covariance = messages["edge_pose_with_covariance"].pose
    assert with_covariance.pose == pose
    covariance = np.array(with_covariance.covariance).reshape(6, 6)
    assert covariance[2, 2] == pytest.approx(4e-8, rel=1e-5)
    assert covariance[5, 5] == pytest.approx(1e-4, rel=1e-5)
    assert covariance[3, 3] == covariance[4, 4] == UNOBSERVED_VARIANCE


def test_point_force_material_contact(messages: dict[str, object]) -> None:
    point, force = messages["contact_point"].point, messages["force"].wrench
    assert (point.x, point.y, point.z) == pytest.approx((0.001, -0.002, 0.003))
    assert (force.force.x, force.force.y, force.force.z) == pytest.approx((0.1, -0.2, -1.5))
    assert (force.torque.x, force.torque.y, force.torque.z) == (0.0, 0.0, 0.0)
    material, contact = messages["material"], messages["contact"]
    assert (material.label, list(material.labels)) == ("glass", MATERIALS)
    assert material.confidence == pytest.approx(0.7)
    assert list(material.probabilities) == pytest.approx([0.2, 0.7, 0.1])
    assert contact.in_contact is True
    assert contact.probability == pytest.approx(0.9)


def test_a_vector_names_its_axes_and_units() -> None:
    axes = {"axes": ["shear_x", "yaw"], "unit": ["m", "rad"], "validation_error": [0.0, 0.0]}
    named = {"name": "pose_shear", "kind": "vector", "frame": "vitactip_tip", "covariance": "pose_shear_covariance"}
    contract = parse_contract(json.dumps(changed({"outputs": [named | axes]})))
    covariance = np.array([[4e-8, 1e-7], [1e-7, 1e-4]])
    estimate = Estimate(contract, {"pose_shear": np.array([0.001, -0.3]), "pose_shear_covariance": covariance})
    publisher = PUBLISHERS["vector"](contract.outputs["pose_shear"])
    message = publisher.messages(Reading(estimate, Header(frame_id="tip"), in_contact=True))["pose_shear"]
    assert type(message) is publisher.topics()["pose_shear"]
    assert (list(message.axes), list(message.units)) == (["shear_x", "yaw"], ["m", "rad"])
    assert list(message.values) == [0.001, -0.3]
    assert np.array_equal(np.reshape(message.covariance, (2, 2)), covariance)

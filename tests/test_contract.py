"""The contract's two readers, the JSON Schema of the exporter and the node's own checks, accept and refuse the same."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import robot_side
from sarl_perception.contract import ModelRefused, parse_contract
from tiny_model import DELETE, changed, contract

SCHEMA = json.loads((robot_side.ROOT / "models" / "contract.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

SHEAR: dict[str, Any] = {
    "name": "pose_shear",
    "kind": "vector",
    "axes": ["shear_x", "yaw"],
    "unit": ["m", "rad"],
    "frame": "vitactip_tip",
    "covariance": "pose_shear_covariance",
    "validation_error": [1e-4, 1e-2],
}

VALID: list[dict[str, Any]] = [
    {},
    {"sensor": "digit"},
    {"image.height": 16},
    {"frame": "left/tip"},
    {"outputs": contract()["outputs"][:1]},
    {"outputs": contract()["outputs"][3:]},
    {"outputs": [SHEAR]},
    {"outputs.0": SHEAR | {"axes": ["torque"], "unit": ["N m"], "validation_error": [0.0]}},
    {"outputs.0.validation_error": [0, 0, 0]},
    {"outputs.3.name": "shape_probabilities"},
    {"provenance.commit": "unknown"},
    {"provenance.commit": "0123abc-dirty"},
    {"provenance.created": "2026-01-31T12:30:00+01:00"},
    {"provenance.simulated": False},
    {"unfamiliar_threshold": 1.5},
    {"unfamiliar_threshold": 3},
    {"saliency": {"height": 1, "width": 12}},
]

INVALID: list[dict[str, Any]] = [
    {"version": 2},
    {"version": "1"},
    {"version": True},
    {"version": DELETE},
    {"extra": 1},
    {"sensor": "ViTacTip"},
    {"sensor": ""},
    {"image": None},
    {"image.height": 15},
    {"image.width": 4097},
    {"image.width": 128.5},
    {"image.encoding": "bgr8"},
    {"image.depth": 3},
    {"frame": "/tip"},
    {"frame": 3},
    {"unfamiliar_threshold": 0},
    {"unfamiliar_threshold": "1"},
    {"unfamiliar_threshold": None},
    {"unfamiliar_threshold": True},
    {"saliency": True},
    {"saliency": {"height": 0, "width": 12}},
    {"saliency": {"height": 12}},
    {"saliency": {"height": 12, "width": 12, "depth": 1}},
    {"outputs": []},
    {"outputs": {}},
    {"outputs.0": "edge_pose"},
    {"outputs.0.kind": "pose"},
    {"outputs.0.kind": DELETE},
    {"outputs.0.kind": ["edge_pose"]},
    {"outputs.0.name": "Edge"},
    {"outputs.0.axes": ["x", "y", "theta"]},
    {"outputs.0.unit": ["mm", "mm", "rad"]},
    {"outputs.0.unit": "m"},
    {"outputs.0.covariance": DELETE},
    {"outputs.0.class_names": ["a", "b"]},
    {"outputs.0.validation_error": [0.1]},
    {"outputs.0.validation_error": [0.1, -0.1, 0.1]},
    {"outputs.0.validation_error": [0.1, "0.1", 0.1]},
    {"outputs.3.class_names": ["felt"]},
    {"outputs.3.class_names": ["felt", "felt"]},
    {"outputs.3.class_names": ["felt", ""]},
    {"outputs.3.unit": ["m"]},
    {"outputs.4.class_names": ["touching"]},
    {"outputs.4.validation_error": []},
    {"outputs.0": SHEAR | {"axes": []}},
    {"outputs.0": SHEAR | {"axes": ["yaw", "yaw"]}},
    {"outputs.0": SHEAR | {"axes": ["Shear X", "yaw"]}},
    {"outputs.0": SHEAR | {"unit": ["mm", "rad"]}},
    {"outputs.0": SHEAR | {"unit": ["m", 1]}},
    {"outputs.0": SHEAR | {"unit": ["m", ["m"]]}},
    {"outputs.0": SHEAR | {"class_names": ["a", "b"]}},
    {"provenance": DELETE},
    {"provenance.method": ""},
    {"provenance.commit": "main"},
    {"provenance.config_sha256": "abc"},
    {"provenance.data_sha256": "A" * 64},
    {"provenance.simulated": "yes"},
    {"provenance.created": "yesterday"},
    {"provenance.author": "x"},
]

ONLY_THE_NODE: list[dict[str, Any]] = [  # what a schema cannot say
    {"outputs.0.covariance": "force_covariance"},
    {"outputs.0": SHEAR | {"unit": ["m"]}},
    {"outputs.0": SHEAR | {"validation_error": [0.1]}},
    {"outputs.1.name": "edge_pose", "outputs.1.covariance": "edge_pose_covariance"},
]


def node_accepts(document: dict[str, Any]) -> bool:
    try:
        parse_contract(json.dumps(document))
    except ModelRefused as refused:
        assert "\n" not in str(refused) and "contract" in str(refused)
        return False
    return True


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("change", VALID, ids=str)
def test_both_accept(change: dict[str, Any]) -> None:
    document = changed(change)
    VALIDATOR.validate(document)
    assert node_accepts(document)


@pytest.mark.parametrize("change", INVALID, ids=str)
def test_both_refuse(change: dict[str, Any]) -> None:
    document = changed(change)
    assert not VALIDATOR.is_valid(document)
    assert not node_accepts(document)


@pytest.mark.parametrize("change", ONLY_THE_NODE, ids=str)
def test_the_node_refuses_names_that_do_not_agree(change: dict[str, Any]) -> None:
    assert not node_accepts(changed(change))


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "null", '"x"'])
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(ModelRefused):
        parse_contract(text)


def test_parsed_values() -> None:
    parsed = parse_contract(json.dumps(contract()))
    assert (parsed.sensor, parsed.height, parsed.width, parsed.frame) == ("vitactip", 32, 32, "vitactip_tip")
    assert list(parsed.outputs) == [output["name"] for output in contract()["outputs"]]
    edge = parsed.outputs["edge_pose"]
    assert (edge.shape, edge.unit, edge.validation_error) == ((3,), ("m", "m", "rad"), (1e-4, 1e-4, 2e-2))
    assert parsed.unfamiliar_threshold is None and parsed.saliency is None
    more = parse_contract(json.dumps(changed({"unfamiliar_threshold": 2, "saliency": {"height": 3, "width": 4}})))
    assert (more.unfamiliar_threshold, more.saliency) == (2.0, (3, 4))

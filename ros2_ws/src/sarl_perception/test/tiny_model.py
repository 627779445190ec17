"""Writes tiny models with the contract of a real one, in milliseconds and without PyTorch: for tests of every part."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 32
MATERIALS = ["felt", "glass", "wood"]


def contract(size: int = SIZE) -> dict[str, Any]:
    """A valid contract with one output of every kind; change the copy as a test needs."""
    return {
        "version": 1,
        "sensor": "vitactip",
        "image": {"height": size, "width": size, "encoding": "rgb8"},
        "frame": "vitactip_tip",
        "outputs": [
            _geometry("edge_pose", "edge_pose", ["x", "z", "theta"], ["m", "m", "rad"]),
            _geometry("contact_point", "point", ["x", "y", "z"], ["m", "m", "m"]),
            _geometry("force", "wrench", ["fx", "fy", "fz"], ["N", "N", "N"]),
            {
                "name": "material_probabilities",
                "kind": "classification",
                "class_names": list(MATERIALS),
                "validation_error": [0.1],
            },
            {"name": "contact_probability", "kind": "contact", "class_names": ["contact"], "validation_error": [0.01]},
        ],
        "provenance": {
            "method": "sarl",
            "run": "tiny",
            "commit": "0123456789ab",
            "config_sha256": "a" * 64,
            "data_sha256": "b" * 64,
            "simulated": True,
            "created": "2026-01-31",
            "dataset": "tiny",
        },
    }


def _geometry(name: str, kind: str, axes: list[str], unit: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "axes": axes,
        "unit": unit,
        "frame": "vitactip_tip",
        "covariance": f"{name}_covariance",
        "validation_error": [1e-4, 1e-4, 2e-2],
    }


VALUES = {
    "edge_pose": [0.001, 0.002, 0.5],
    "contact_point": [0.001, -0.002, 0.003],
    "force": [0.1, -0.2, -1.5],
    "material_probabilities": [0.2, 0.7, 0.1],
    "contact_probability": [0.9],
}
"""What `write_model` answers at mean brightness 0; the first value of each output grows by brightness * GAIN."""

GAIN = {"edge_pose": 1e-3}
VARIANCES = [1e-8, 4e-8, 1e-4]


def write_model(
    path: Path,
    *,
    size: int = SIZE,
    values: dict[str, list[float]] | None = None,
    metadata: dict[str, Any] | str | None = None,
    outputs: Sequence[str | dict[str, Any]] | None = None,
    with_metadata: bool = True,
    unfamiliar_threshold: float | None = None,
    saliency: tuple[int, int] | None = None,
    slowness: int = 0,
) -> Path:
    """Write a model whose outputs are constants plus a gain on the image's mean brightness (0 to 1).

    `outputs` are these heads of the contract, or others, described as there; `metadata` replaces the contract (a dict,
    or any text). With a threshold the model also says `unfamiliarity`, 10 times the mean brightness; with a size it has
    a `saliency` map of the mean brightness. Each step of `slowness` costs one thread tens of milliseconds an image.
    """
    described = contract(size)
    if outputs is not None:
        known = {entry["name"]: entry for entry in described["outputs"]}
        described["outputs"] = [known[entry] if isinstance(entry, str) else entry for entry in outputs]
    graph = _graph(size, described["outputs"], {**VALUES, **(values or {})})
    if unfamiliar_threshold is not None:
        described["unfamiliar_threshold"] = unfamiliar_threshold
        _add_product(graph, "unfamiliarity", np.full((1, 1), 10, np.float32))
    if saliency is not None:
        described["saliency"] = dict(zip(("height", "width"), saliency, strict=True))
        _add_product(graph, "saliency", np.ones((1, *saliency), np.float32))
    if slowness:
        _slow_down(graph, slowness)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if with_metadata:
        text = metadata if isinstance(metadata, str) else json.dumps(metadata or described)
        helper.set_model_props(model, {"sarl_contract": text})
    onnx.save(model, str(path))
    return path


def _add_product(graph: onnx.GraphProto, name: str, factor: np.ndarray) -> None:
    """One more output [N, ...]: the mean brightness times `factor` [1, ...]."""
    graph.initializer.extend(
        [
            numpy_helper.from_array(factor, f"{name}_factor"),
            numpy_helper.from_array(np.arange(1, factor.ndim, dtype=np.int64), f"{name}_axes"),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("Unsqueeze", ["brightness_N", f"{name}_axes"], [f"{name}_brightness"]),
            helper.make_node("Mul", [f"{name}_brightness", f"{name}_factor"], [name]),
        ]
    )
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *factor.shape[1:]]))


def _slow_down(graph: onnx.GraphProto, steps: int) -> None:
    """Products of 1024 x 1024 matrices that the brightness has to wait for, and that add nothing to it."""
    producer = next(node for node in graph.node if "brightness_N" in node.output)
    producer.output[0] = "square_0_N"
    side = 1024
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array([side, side], np.int64), "square_size"),
            numpy_helper.from_array(np.array(1 / side, np.float32), "square_scale"),
            numpy_helper.from_array(np.array(0, np.float32), "square_zero"),
        ]
    )
    nodes = [
        helper.make_node("ReduceMean", ["square_0_N"], ["square_mean"], keepdims=0),
        helper.make_node("Mul", ["square_mean", "square_scale"], ["square_element"]),
        helper.make_node("Expand", ["square_element", "square_size"], ["square_0"]),
        *(helper.make_node("MatMul", [f"square_{step}"] * 2, [f"square_{step + 1}"]) for step in range(steps)),
        helper.make_node("ReduceMean", [f"square_{steps}"], ["square_last"], keepdims=0),
        helper.make_node("Mul", ["square_last", "square_zero"], ["square_nothing"]),
        helper.make_node("Add", ["square_0_N", "square_nothing"], ["brightness_N"]),
    ]
    position = list(graph.node).index(producer) + 1
    rest = list(graph.node)[position:]
    del graph.node[position:]
    graph.node.extend([*nodes, *rest])


def changed(change: dict[str, Any]) -> dict[str, Any]:
    """The valid contract with some fields replaced: {"image.height": 7}; the value DELETE removes the field."""
    result = copy.deepcopy(contract())
    for where, value in change.items():
        *parents, last = [int(step) if step.isdigit() else step for step in where.split(".")]
        target = result
        for step in parents:
            target = target[step]
        if value is DELETE:
            del target[last]
        else:
            target[last] = value
    return result


DELETE = object()


def _graph(size: int, outputs: list[dict[str, Any]], values: dict[str, list[float]]) -> onnx.GraphProto:
    """mean brightness -> constant + gain * brightness, one branch per output."""
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "per_level"], ["brightness_N"]),
        helper.make_node("Unsqueeze", ["brightness_N", "one"], ["brightness"]),
    ]
    constants = {"per_level": np.array(1 / 255, np.float32), "one": np.array([1], np.int64)}
    results = []
    for entry in outputs:
        name, value = entry["name"], np.array(values[entry["name"]], np.float32)
        gain = np.zeros_like(value)
        gain[0] = GAIN.get(name, 0.0)
        constants[f"{name}_gain"], constants[f"{name}_value"] = gain[None], value[None]
        nodes += [
            helper.make_node("MatMul", ["brightness", f"{name}_gain"], [f"{name}_change"]),
            helper.make_node("Add", [f"{name}_change", f"{name}_value"], [name]),
        ]
        results.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", len(value)]))
        if "covariance" in entry:
            constants[f"{name}_spread"] = np.diag(VARIANCES).astype(np.float32)[None]
            constants[f"{name}_zero"] = np.zeros((1, 1), np.float32)
            nodes += [
                helper.make_node("MatMul", ["brightness", f"{name}_zero"], [f"{name}_none"]),
                helper.make_node("Unsqueeze", [f"{name}_none", "one"], [f"{name}_none3"]),
                helper.make_node("Add", [f"{name}_none3", f"{name}_spread"], [entry["covariance"]]),
            ]
            results.append(helper.make_tensor_value_info(entry["covariance"], TensorProto.FLOAT, ["N", 3, 3]))
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", size, size, 3])
    initialisers = [numpy_helper.from_array(array, key) for key, array in constants.items()]
    return helper.make_graph(nodes, "tiny", [image], results, initialisers)

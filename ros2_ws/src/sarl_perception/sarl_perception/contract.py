"""The contract inside a model file (`models/CONTRACT.md`), checked field by field: no schema library on the robot."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

VERSION = 1
METADATA_KEY = "sarl_contract"

NAME = re.compile(r"[a-z][a-z0-9_]*")
FRAME = re.compile(r"[A-Za-z][A-Za-z0-9_/]*")
SHA256 = re.compile(r"[0-9a-f]{64}")
COMMIT = re.compile(r"[0-9a-f]{7,64}(-dirty)?|unknown")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+(Z|[+-][0-9]{2}:[0-9]{2})?)?")

# kind of a geometric output: (axes, unit of each axis)
GEOMETRY = {
    "edge_pose": (["x", "z", "theta"], ["m", "m", "rad"]),
    "point": (["x", "y", "z"], ["m", "m", "m"]),
    "wrench": (["fx", "fy", "fz"], ["N", "N", "N"]),
}
VECTOR = "vector"  # any other quantity with named axes
VECTOR_UNITS = ("m", "rad", "N", "N m", "px", "1")
MOST_AXES = 16
CLASSES = ("classification", "contact")


class ModelRefused(ValueError):
    """The model file cannot be used here; the message is one line that says why and what would be right."""


@dataclass(frozen=True)
class Output:
    """One head: `axes`, `unit`, `frame` and `covariance` are empty for classes, `class_names` for geometry."""

    name: str
    kind: str
    validation_error: tuple[float, ...]
    axes: tuple[str, ...] = ()
    unit: tuple[str, ...] = ()
    frame: str = ""
    covariance: str = ""
    class_names: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample's value."""
        return (len(self.axes or self.class_names),)


@dataclass(frozen=True)
class Contract:
    """What a model promises: sensor, input size in pixels, sensor frame, outputs by name, and where it came from.

    `unfamiliar_threshold` is the `unfamiliarity` above which an image is unlike the training images, `saliency` the
    (height, width) of the output of that name; None without such an output.
    """

    sensor: str
    height: int
    width: int
    frame: str
    outputs: dict[str, Output]
    provenance: dict[str, Any]
    unfamiliar_threshold: float | None = None
    saliency: tuple[int, int] | None = None

    def of_kind(self, kind: str) -> list[Output]:
        """Outputs of one kind, in the file's order."""
        return [output for output in self.outputs.values() if output.kind == kind]


def parse_contract(text: str) -> Contract:
    """Contract from the JSON text in the model's metadata; `ModelRefused` names the first field that is wrong."""
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise ModelRefused(f"contract is not JSON: {error}") from error
    fields = _Fields(
        "contract",
        raw,
        ["version", "sensor", "image", "frame", "outputs", "provenance"],
        optional=["unfamiliar_threshold", "saliency"],
    )
    fields.check("version", lambda value: type(value) is int and value == VERSION, f"{VERSION}: export the model again")
    image = _Fields("contract.image", fields.raw["image"], ["height", "width", "encoding"])
    for side in ("height", "width"):
        image.check(side, lambda value: type(value) is int and 16 <= value <= 4096, "a whole number, 16 to 4096 pixels")
    image.check("encoding", lambda value: value == "rgb8", "'rgb8'")
    return Contract(
        sensor=fields.text("sensor", NAME),
        height=image.raw["height"],
        width=image.raw["width"],
        frame=fields.text("frame", FRAME),
        outputs=_parse_outputs(fields.raw["outputs"]),
        provenance=_parse_provenance(fields.raw["provenance"]),
        unfamiliar_threshold=_parse_threshold(fields),
        saliency=_parse_saliency(fields.raw["saliency"]) if "saliency" in fields.raw else None,
    )


def _parse_threshold(fields: _Fields) -> float | None:
    if "unfamiliar_threshold" not in fields.raw:
        return None
    fields.check("unfamiliar_threshold", lambda value: _is_number(value) and value > 0, "a number above 0")
    return float(fields.raw["unfamiliar_threshold"])


def _parse_saliency(raw: Any) -> tuple[int, int]:
    size = _Fields("contract.saliency", raw, ["height", "width"])
    for side in ("height", "width"):
        size.check(side, lambda value: type(value) is int and 1 <= value <= 4096, "a whole number, 1 to 4096 cells")
    return raw["height"], raw["width"]


def _parse_outputs(raw: Any) -> dict[str, Output]:
    if not isinstance(raw, list) or not raw:
        raise ModelRefused("contract.outputs: expected a list with at least one output")
    outputs: dict[str, Output] = {}
    for index, entry in enumerate(raw):
        output = _parse_output(f"contract.outputs[{index}]", entry)
        if output.name in outputs:
            raise ModelRefused(f"contract.outputs[{index}].name: {output.name!r} appears twice")
        outputs[output.name] = output
    return outputs


def _parse_output(where: str, raw: Any) -> Output:
    kind = raw.get("kind") if isinstance(raw, dict) else None
    if isinstance(kind, str) and (kind in GEOMETRY or kind == VECTOR):
        return _parse_geometry(where, raw, kind)
    if isinstance(kind, str) and kind in CLASSES:
        return _parse_classes(where, raw, kind)
    raise ModelRefused(f"{where}.kind: {reprlib.repr(kind)}; known: {', '.join([*GEOMETRY, VECTOR, *CLASSES])}")


def _parse_geometry(where: str, raw: dict[str, Any], kind: str) -> Output:
    fields = _Fields(where, raw, ["name", "kind", "axes", "unit", "frame", "covariance", "validation_error"])
    name = fields.text("name", NAME)
    if kind == VECTOR:
        fields.check("axes", _are_axes, f"1 to {MOST_AXES} different names like {NAME.pattern}")
        allowed = f"one of {', '.join(VECTOR_UNITS)} per axis"
        fields.check("unit", lambda value: _are_units(value, len(raw["axes"])), allowed)
        axes, unit = raw["axes"], raw["unit"]
    else:
        axes, unit = GEOMETRY[kind]
        fields.check("axes", lambda value: value == axes, str(axes))
        fields.check("unit", lambda value: value == unit, str(unit))
    fields.check("covariance", lambda value: value == f"{name}_covariance", f"'{name}_covariance'")
    return Output(
        name=name,
        kind=kind,
        validation_error=fields.errors(len(axes)),
        axes=tuple(axes),
        unit=tuple(unit),
        frame=fields.text("frame", FRAME),
        covariance=raw["covariance"],
    )


def _parse_classes(where: str, raw: dict[str, Any], kind: str) -> Output:
    fields = _Fields(where, raw, ["name", "kind", "class_names", "validation_error"])
    if kind == "contact":
        fields.check("class_names", lambda value: value == ["contact"], "['contact']")
    else:
        fields.check("class_names", _are_class_names, "at least two different names")
    names = tuple(raw["class_names"])
    return Output(fields.text("name", NAME), kind, fields.errors(1), class_names=names)


def _are_axes(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 1 <= len(value) <= MOST_AXES
        and all(isinstance(name, str) and NAME.fullmatch(name) for name in value)
        and len(set(value)) == len(value)
    )


def _are_units(value: Any, count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(unit in VECTOR_UNITS for unit in value)


def _are_class_names(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) >= 2
        and all(isinstance(name, str) and name for name in value)
        and len(set(value)) == len(value)
    )


def _parse_provenance(raw: Any) -> dict[str, Any]:
    texts = ["method", "run", "dataset"]
    hashes = ["config_sha256", "data_sha256"]
    fields = _Fields("contract.provenance", raw, [*texts, *hashes, "commit", "simulated", "created"])
    for name in texts:
        fields.check(name, lambda value: isinstance(value, str) and value != "", "a text")
    for name in hashes:
        fields.text(name, SHA256)
    fields.text("commit", COMMIT)
    fields.text("created", DATE)
    fields.check("simulated", lambda value: isinstance(value, bool), "true or false")
    return raw


class _Fields:
    """One JSON object of the contract, with the given keys and no others, and checks that name what they refuse."""

    def __init__(self, where: str, raw: Any, keys: list[str], optional: Sequence[str] = ()) -> None:
        if not isinstance(raw, dict):
            raise ModelRefused(f"{where}: expected an object with {', '.join(keys)}")
        for key in keys:
            if key not in raw:
                raise ModelRefused(f"{where}.{key}: missing")
        for key in raw:
            if key not in keys and key not in optional:
                raise ModelRefused(f"{where}.{key}: unknown field; known: {', '.join([*keys, *optional])}")
        self.where = where
        self.raw = raw

    def check(self, key: str, is_allowed: Callable[[Any], bool], allowed: str) -> None:
        if not is_allowed(self.raw[key]):
            raise ModelRefused(f"{self.where}.{key}: {reprlib.repr(self.raw[key])}; allowed: {allowed}")

    def text(self, key: str, pattern: re.Pattern[str]) -> str:
        self.check(
            key, lambda value: isinstance(value, str) and pattern.fullmatch(value), f"text like {pattern.pattern}"
        )
        return self.raw[key]

    def errors(self, count: int) -> tuple[float, ...]:
        self.check(
            "validation_error",
            lambda value: isinstance(value, list) and len(value) == count and all(_is_number(item) for item in value),
            f"{count} number(s), 0 or more",
        )
        return tuple(float(item) for item in self.raw["validation_error"])


def _is_number(value: Any) -> bool:
    """Finite, 0 or more, and not true or false."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")

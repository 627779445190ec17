"""The node's parameters: names, types, meanings and ranges. Their values live in `config/perception.yaml` only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

PACKAGE = "sarl_perception"
PARAMETER_FILE = "config/perception.yaml"


class SettingsRefused(ValueError):
    """The parameters cannot be used; one line that says which, the value found and what is allowed."""


@dataclass(frozen=True)
class About:
    """What a parameter means, and its range or choices."""

    text: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """One value per parameter, read when the node is configured."""

    model: Annotated[
        str, About("Model: a name in the package's models folder, an absolute path, ~/path or package://package/path.")
    ]
    sensor: Annotated[str, About("The sensor in use; a model for another one is refused. Empty: accept any.")]
    providers: Annotated[list[str], About("onnxruntime execution providers, most wanted first; missing: skipped.")]
    threads: Annotated[int, About("Cap on the CPU threads of the model.", low=1, high=64)]
    image_transport: Annotated[
        str,
        About(
            "raw: sensor_msgs/Image; compressed: jpeg or png on image_raw/compressed.", choices=("raw", "compressed")
        ),
    ]
    reliability: Annotated[
        str, About("Asked of the camera; reliable never hears a best-effort one.", choices=("best_effort", "reliable"))
    ]
    region: Annotated[
        list[int], About("The sensor in the image: x, y, width, height, pixels. Width 0: largest centred square.")
    ]
    max_age: Annotated[float, About("Frames with an older stamp are not answered, s. 0: no limit.", low=0.0, high=60.0)]
    frame_id: Annotated[str, About("Frame of every output. Empty: the model's, for example vitactip_tip.")]
    contact_gate: Annotated[bool, About("Publish edge pose and contact point only while in contact.")]
    contact_threshold: Annotated[float, About("Contact probability that counts as contact.", low=0.0, high=1.0)]
    overlay_field_of_view: Annotated[float, About("Width of the region at the skin, m.", low=0.001, high=1.0)]
    autostart: Annotated[bool, About("Configure and activate at start, without a lifecycle manager.")]


ABOUT: dict[str, About] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(Settings, include_extras=True).items()
}


def declare_parameters(node: Node) -> None:
    """Declare every parameter with its description and range, its default from the package's YAML.

    Raises `SettingsRefused` when that file is not there or incomplete.
    """
    defaults = read_defaults()
    if set(defaults) != set(ABOUT):
        raise SettingsRefused(
            f"{PARAMETER_FILE}: parameters {sorted(set(defaults) ^ set(ABOUT))} are missing or unknown"
        )
    node.add_on_set_parameters_callback(_check)
    for name, about in ABOUT.items():
        node.declare_parameter(name, defaults[name], _descriptor(about))


def read_settings(node: Node) -> Settings:
    """The parameters' present values."""
    return Settings(**{name: node.get_parameter(name).value for name in ABOUT})


def read_defaults() -> dict[str, Any]:
    """Parameter -> value of the package's YAML. Raises `SettingsRefused` when the file is not there."""
    try:
        path = Path(get_package_share_directory(PACKAGE)) / PARAMETER_FILE
        return yaml.safe_load(path.read_text(encoding="utf-8"))["/**"]["ros__parameters"]
    except (PackageNotFoundError, OSError) as error:
        raise SettingsRefused(
            f"no {PARAMETER_FILE} of package {PACKAGE} ({error}): build the workspace and source it first"
        ) from error


def _descriptor(about: About) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=about.text)
    if about.choices:
        descriptor.additional_constraints = f"one of: {', '.join(about.choices)}"
    if isinstance(about.low, float):
        descriptor.floating_point_range = [FloatingPointRange(from_value=about.low, to_value=about.high)]
    elif isinstance(about.low, int):
        descriptor.integer_range = [IntegerRange(from_value=about.low, to_value=about.high, step=1)]
    return descriptor


def _check(parameters: Iterable[Parameter]) -> SetParametersResult:
    """Refuse what types and ranges do not: an unknown choice, a region that is none."""
    for parameter in parameters:
        allowed = ABOUT[parameter.name].choices if parameter.name in ABOUT else ()
        if allowed and parameter.value not in allowed:
            return _refusal(f"{parameter.name} is {parameter.value!r}; allowed: {', '.join(allowed)}")
        if parameter.name == "region" and (len(parameter.value) != 4 or min(parameter.value) < 0):
            return _refusal(f"region is {list(parameter.value)}; expected x, y, width, height, none negative")
    return SetParametersResult(successful=True)


def _refusal(reason: str) -> SetParametersResult:
    return SetParametersResult(successful=False, reason=reason)

"""The node's parameters: names, types, meanings and ranges. Their values live in `config/perception.yaml` only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from sarl_perception.estimator import Region

PACKAGE = "sarl_perception"
PARAMETER_FILE = "config/perception.yaml"
OF_EVERY_NODE = ("use_sim_time", "start_type_description_service", "qos_overrides.")

AT_START, AT_CONFIGURE, AT_RELOAD, AT_ONCE = "at start", "at configure", "at configure or reload_model", "at once"


class SettingsRefused(ValueError):
    """The parameters cannot be used; one line that says which, the value found and what is allowed."""


@dataclass(frozen=True)
class About:
    """What a parameter means, when a change of it takes effect, and its range or choices."""

    text: str
    effect: str = AT_ONCE
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """One value per parameter."""

    model: Annotated[
        str,
        About(
            "Model: a name in the package's models folder, an absolute path, ~/path or package://package/path.",
            AT_RELOAD,
        ),
    ]
    sensor: Annotated[
        str, About("The sensor in use; a model for another one is refused. Empty: accept any.", AT_CONFIGURE)
    ]
    providers: Annotated[
        list[str],
        About(
            "onnxruntime execution providers, most wanted first; missing ones are skipped. auto: the best installed.",
            AT_CONFIGURE,
        ),
    ]
    threads: Annotated[int, About("Cap on the CPU threads of the model.", AT_CONFIGURE, low=1, high=64)]
    image_transport: Annotated[
        str,
        About(
            "raw: sensor_msgs/Image; compressed: jpeg or png on image_raw/compressed.",
            AT_CONFIGURE,
            choices=("raw", "compressed"),
        ),
    ]
    reliability: Annotated[
        str,
        About(
            "Asked of the camera; reliable never hears a best-effort one.",
            AT_CONFIGURE,
            choices=("best_effort", "reliable"),
        ),
    ]
    swap_red_blue: Annotated[
        bool, About("Exchange red and blue, for a camera that names its encoding wrongly (rgb8 that holds BGR).")
    ]
    mirror_horizontal: Annotated[bool, About("Mirror the image left to right before anything else is done with it.")]
    mirror_vertical: Annotated[bool, About("Mirror the image top to bottom before anything else is done with it.")]
    region: Annotated[
        list[int],
        About(
            "The sensor in the (mirrored) image: x, y, width, height, pixels, in the proportions of the model's input."
            " Width 0: largest centred square."
        ),
    ]
    max_age: Annotated[
        float,
        About(
            "Frames whose stamp is further than this from the clock are not answered, s. 0: no limit.",
            low=0.0,
            high=60.0,
        ),
    ]
    stale_after: Annotated[
        float,
        About(
            "Without an answered frame for this long the outputs are stale and ~/fresh says false, s.",
            low=0.05,
            high=60.0,
        ),
    ]
    frame_id: Annotated[str, About("Frame of every output. Empty: the model's, for example vitactip_tip.")]
    contact_gate: Annotated[bool, About("Publish poses, points and vectors only while in contact.")]
    contact_on: Annotated[float, About("Contact begins at this probability.", low=0.0, high=1.0)]
    contact_off: Annotated[
        float, About("Contact ends below this probability; not above contact_on.", low=0.0, high=1.0)
    ]
    overlay_field_of_view: Annotated[
        float, About("Width of the region at the skin, m; for drawing only.", low=0.001, high=1.0)
    ]
    enabled: Annotated[bool, About("Answer images while active; ~/enable sets it.")]
    autostart: Annotated[bool, About("Configure and activate at start, without a lifecycle manager.", AT_START)]

    @property
    def region_of_interest(self) -> Region | None:
        """The parameter `region`; None for the largest centred square."""
        x, y, width, height = self.region
        return (x, y, width, height) if width > 0 else None


ABOUT: dict[str, About] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(Settings, include_extras=True).items()
}


def declare_parameters(node: Node, refusal: Callable[[str, Any], str]) -> None:
    """Declare every parameter with its description and range, its default from the package's YAML.

    `refusal(name, value)` says why the node cannot take a value now; empty when it can. The node was made with
    `automatically_declare_parameters_from_overrides`, so that names it does not have, which ROS would pass over, are
    warned of. Raises `SettingsRefused` when the YAML is not there or incomplete.
    """
    defaults = read_defaults()
    if set(defaults) != set(ABOUT):
        raise SettingsRefused(
            f"{PARAMETER_FILE}: parameters {sorted(set(defaults) ^ set(ABOUT))} are missing or unknown"
        )
    for name in node.get_parameters_by_prefix(""):
        if not name.startswith(OF_EVERY_NODE):
            node.undeclare_parameter(name)
            if name not in ABOUT:
                node.get_logger().warning(_unknown(name))
    node.add_on_set_parameters_callback(lambda parameters: _check(node, parameters, refusal))
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


def region_fault(region: Iterable[int], height: int, width: int) -> str:
    """Why a region does not suit a model's input of this size in pixels; empty when it does."""
    x, y, region_width, region_height = region
    if region_width == 0 or abs(region_width * height - region_height * width) <= max(width, height):
        return ""
    return (
        f"region is {region_width}x{region_height} pixels at ({x}, {y}); the model's input is {width}x{height}: give"
        " one of the same proportions, or width 0 for the largest centred square"
    )


def _unknown(name: str) -> str:
    close = get_close_matches(name, ABOUT, n=1)
    hint = f"did you mean {close[0]}?" if close else f"this node has {', '.join(ABOUT)}"
    return f"parameter {name} is set and means nothing here: {hint}"


def _descriptor(about: About) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=about.text, read_only=about.effect == AT_START)
    constraints = [f"one of: {', '.join(about.choices)}"] if about.choices else []
    descriptor.additional_constraints = "; ".join([*constraints, f"takes effect {about.effect}"])
    if isinstance(about.low, float):
        descriptor.floating_point_range = [FloatingPointRange(from_value=about.low, to_value=about.high)]
    elif isinstance(about.low, int):
        descriptor.integer_range = [IntegerRange(from_value=about.low, to_value=about.high, step=1)]
    return descriptor


def _check(node: Node, parameters: Iterable[Parameter], refusal: Callable[[str, Any], str]) -> SetParametersResult:
    """Refuse what types and ranges do not: unknown choices, values that do not go together or not now."""
    values = {parameter.name: parameter.value for parameter in parameters if parameter.name in ABOUT}
    for name, value in values.items():
        reason = _fault(name, value) or refusal(name, value)
        if reason:
            return SetParametersResult(successful=False, reason=reason)
    on, off = (
        values[name] if name in values else node.get_parameter(name).value if node.has_parameter(name) else None
        for name in ("contact_on", "contact_off")
    )
    if isinstance(on, float) and isinstance(off, float) and off > on:
        return SetParametersResult(
            successful=False, reason=f"contact_off is {off}; it must not be above contact_on, {on}"
        )
    return SetParametersResult(successful=True)


def _fault(name: str, value: Any) -> str:
    choices = ABOUT[name].choices
    if choices and value not in choices:
        return f"{name} is {value!r}; allowed: {', '.join(choices)}"
    if name == "region" and (len(value) != 4 or min(value) < 0):
        return f"region is {list(value)}; expected x, y, width, height, none negative"
    return ""

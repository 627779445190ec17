"""Parameters of the moving camera and of the follower: names and meanings. Values live in `config/servo.yaml` only."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import yaml

PARAMETER_FILE = "config/servo.yaml"


class SettingsRefused(ValueError):
    """The parameters cannot be used; one line that says which, the value found and what is allowed."""


@dataclass(frozen=True)
class CameraSettings:
    """Parameters of outline_camera."""

    outline: Annotated[str, "Object under the tip: disc, square, tear_drop, clover or wave."]
    seed: Annotated[int, "Where the tip starts, the object's shade and the noise of the frames."]
    drag: Annotated[float, "Longest travel that the skin is dragged along before it slips, m."]
    max_speed: Annotated[float, "The tip moves no faster, m/s."]
    max_turn_rate: Annotated[float, "The tip turns no faster, rad/s."]
    command_timeout: Annotated[float, "The tip stands still when the last cmd_vel is older, s."]
    start_height: Annotated[float, "Height above the plate at which the tip starts, m."]
    rate: Annotated[float, "Frames per second."]
    image_size: Annotated[int, "Side of the square frames, pixels."]
    frame_id: Annotated[str, "Frame of the images."]
    tip_frame_id: Annotated[str, "Frame of the true edge pose."]
    plate_frame_id: Annotated[str, "Frame of tip poses: x, y in the plate's face, z into it."]
    drop_share: Annotated[float, "Share of frames lost on the way, 0 to 1."]
    delay: Annotated[float, "Added time between exposure and publication, s."]

    def __post_init__(self) -> None:
        _refuse_unless(self.image_size >= 32, "image_size", self.image_size, "at least 32 pixels")
        _refuse_unless(0 <= self.drop_share <= 1, "drop_share", self.drop_share, "0 to 1")
        _refuse_unless(self.delay >= 0, "delay", self.delay, "0 s or more")
        _refuse_unless_positive(self, "rate", "drag", "max_speed", "max_turn_rate", "command_timeout")


@dataclass(frozen=True)
class FollowerSettings:
    """Parameters of edge_follower; lists are in the order x, z, theta."""

    way: Annotated[int, "1: along the edge's direction t; -1: against it."]
    speed: Annotated[float, "Speed along the edge, m/s."]
    depth: Annotated[float, "Press depth to keep, m."]
    proportional: Annotated[list[float], "Gains, 1/s."]
    integral: Annotated[list[float], "Gains, 1/s2."]
    derivative: Annotated[list[float], "Gains, 1."]
    integral_limit: Annotated[list[float], "The integral's share of a command is at most this, m/s, m/s, rad/s."]
    ring: Annotated[float, "Radius around the apex at which the model sees the edge cross, m."]
    bend: Annotated[float, "Standard deviation of the edge's change of direction per mm, rad."]
    reading_sd: Annotated[list[float], "Added to the published standard deviations: what they do not know, m, m, rad."]
    touch_probability: Annotated[
        float, "Contact probability from which the tip takes itself to touch, until contact ends."
    ]
    slow_angle: Annotated[float, "Heading error at which the tip slows to a crawl, rad."]
    slow_sd: Annotated[list[float], "Published standard deviation above which the tip slows, m, m, rad."]
    stop_sd: Annotated[list[float], "Published standard deviation at which the tip stops, m, m, rad."]
    slow_silence: Annotated[float, "Time without a pose after which the tip slows, s."]
    stop_silence: Annotated[float, "Time without a pose after which the tip stops, s."]
    retract_silence: Annotated[float, "Time without any answer after which the tip is lifted, s."]
    retract: Annotated[float, "How far it is lifted, m."]
    retract_speed: Annotated[float, "How fast it is lifted, m/s."]
    approach_speed: Annotated[float, "How fast it is lowered until there is contact, m/s."]
    approach_limit: Annotated[float, "It is lowered no farther than this, m."]
    max_speed: Annotated[float, "Commands are no faster, m/s."]
    max_turn_rate: Annotated[float, "Commands turn no faster, rad/s."]
    max_acceleration: Annotated[float, "Commands change no faster, m/s2."]
    max_turn_acceleration: Annotated[float, "Commands change no faster, rad/s2."]
    rate: Annotated[float, "Commands per second."]
    frame_id: Annotated[str, "Frame of the commands."]

    def __post_init__(self) -> None:
        _refuse_unless(self.way in {1, -1}, "way", self.way, "1 or -1")
        for name in ("proportional", "integral", "derivative", "integral_limit", "reading_sd", "slow_sd", "stop_sd"):
            values = list(getattr(self, name))
            is_good = len(values) == 3 and min(values) >= 0
            _refuse_unless(is_good, name, values, "three numbers for x, z, theta, none negative")
        _refuse_unless_positive(self, "speed", "ring", "bend", "slow_angle", "approach_speed", "retract_speed", "rate")
        _refuse_unless_positive(self, "max_speed", "max_turn_rate", "max_acceleration", "max_turn_acceleration")
        _refuse_unless_increasing(self, "slow_silence", "stop_silence", "retract_silence")
        for slow, stop in zip(self.slow_sd, self.stop_sd, strict=True):
            _refuse_unless(slow < stop, "stop_sd", list(self.stop_sd), f"above slow_sd {list(self.slow_sd)}")


def _refuse_unless(is_allowed: bool, name: str, value: object, allowed: str) -> None:
    if not is_allowed:
        raise SettingsRefused(f"parameter {name} is {value!r}; allowed: {allowed}")


def _refuse_unless_positive(settings: object, *names: str) -> None:
    for name in names:
        _refuse_unless(getattr(settings, name) > 0, name, getattr(settings, name), "above 0")


def _refuse_unless_increasing(settings: object, *names: str) -> None:
    for lower, upper in itertools.pairwise(names):
        low, high = getattr(settings, lower), getattr(settings, upper)
        _refuse_unless(0 <= low < high, upper, high, f"above {lower} {low!r}")


Settings = TypeVar("Settings", CameraSettings, FollowerSettings)


def read_file(path: Path, node: str, kind: type[Settings]) -> Settings:
    """The section of one node in a parameter file. Raises `SettingsRefused` when a parameter is missing or unknown."""
    values = yaml.safe_load(path.read_text(encoding="utf-8"))[f"/**/{node}"]["ros__parameters"]
    names = set(get_type_hints(kind))
    if set(values) != names:
        raise SettingsRefused(f"{path}: parameters {sorted(set(values) ^ names)} of {node} are missing or unknown")
    return kind(**values)


def declare(node: Any, section: str, kind: type[Settings]) -> Settings:
    """Declare a node's parameters with their descriptions, defaults from a section of the package's YAML; read them."""
    from ament_index_python.packages import get_package_share_directory
    from rcl_interfaces.msg import ParameterDescriptor

    path = Path(get_package_share_directory("sarl_demo")) / PARAMETER_FILE
    defaults = read_file(path, section, kind)
    values = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        descriptor = ParameterDescriptor(description=hint.__metadata__[0], read_only=True)
        values[name] = node.declare_parameter(name, getattr(defaults, name), descriptor).value
    return kind(**values)

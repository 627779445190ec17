"""The whole chain without hardware: a simulated camera and the perception node, or all of a closed loop.

    ros2 launch sarl_perception demo.launch.py dataset:=runs/demo/data    replays a dataset
    ros2 launch sarl_perception demo.launch.py outline:=disc              moves over an outline, with the edge follower

The arguments of vitactip.launch.py are accepted too.
"""

from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription

SHARE = Path(get_package_share_directory("sarl_perception"))
SERVO_PARAMETERS = str(Path(get_package_share_directory("sarl_demo")) / "config" / "servo.yaml")

ARGUMENTS = [
    DeclareLaunchArgument("dataset", default_value="", description="Dataset folder written by sarl-train simulate"),
    DeclareLaunchArgument(
        "outline",
        default_value="",
        choices=["", "disc", "square", "tear_drop", "clover", "wave"],
        description="Object to follow",
    ),
    DeclareLaunchArgument("seed", default_value="", description="Where over the outline the tip starts"),
    DeclareLaunchArgument("rate", default_value="", description="Frames per second"),
    DeclareLaunchArgument("count", default_value="", description="Stop after this many frames of a dataset; 0: never"),
    DeclareLaunchArgument(
        "servo_params_file", default_value=SERVO_PARAMETERS, description="YAML of camera and follower"
    ),
]


def check(context: LaunchContext) -> list[Node]:
    """Refuse wrong words before any process starts: launch would leave it running."""
    _parameters(_given(context))
    return []


def demo_nodes(context: LaunchContext) -> list[Node]:
    """The camera, in the node's namespace and on its image topic; over an outline the follower too."""
    given = _given(context)
    parameters = _parameters(given)
    if "outline" in given:
        files = [given["servo_params_file"]]
        return [
            _node(given, "outline_camera", [*files, parameters]),
            _node(given, "edge_follower", files),
        ]
    return [_node(given, "simulated_camera", [parameters])]


def _given(context: LaunchContext) -> dict[str, str]:
    return {name: value for name, value in context.launch_configurations.items() if value}


def _parameters(given: dict[str, str]) -> dict[str, Any]:
    """Parameters of the camera."""
    if ("dataset" in given) == ("outline" in given):
        raise RuntimeError("give either dataset:=FOLDER to replay, or outline:=disc (or another) to follow")
    source, other = ("outline", "count") if "outline" in given else ("dataset", "seed")
    if other in given:
        raise RuntimeError(f"{other}:={given[other]} does nothing with {source}:=; leave one of the two out")
    numbers = {"rate": float, "seed": int, "count": int}
    parameters = {name: _number(name, given[name], kind) for name, kind in numbers.items() if name in given}
    if "outline" in given:
        return parameters | {"outline": given["outline"]}
    dataset = Path(given["dataset"]).expanduser().absolute()
    if not dataset.is_dir():
        raise RuntimeError(f"dataset: no such folder {dataset}; sarl-train simulate --out FOLDER writes one")
    return parameters | {"dataset": str(dataset), "wait_for": "image"}


def _number(name: str, text: str, kind: type[int] | type[float]) -> float:
    try:
        return kind(text)
    except ValueError as error:
        allowed = "a whole number" if kind is int else "a number"
        raise RuntimeError(f"{name} is {text!r}; allowed: {allowed}") from error


def _node(given: dict[str, str], executable: str, parameters: list[Any]) -> Node:
    return Node(
        package="sarl_demo",
        executable=executable,
        namespace=given.get("namespace", ""),
        parameters=parameters,
        remappings=[("image_raw", given["image_topic"])],
        output="screen",
    )


def generate_launch_description() -> LaunchDescription:
    # Before the demo's nodes: it declares arguments that they share, and sets the Fast DDS profile.
    node = IncludeLaunchDescription(str(SHARE / "launch" / "vitactip.launch.py"))
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=check), node, OpaqueFunction(function=demo_nodes)])

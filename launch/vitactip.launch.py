"""Start the perception node for one sensor.

    ros2 launch sarl_perception vitactip.launch.py image_topic:=/camera/image_raw namespace:=left_tip

An argument left empty keeps the value of `params_file`.
"""

import os
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix, get_package_share_directory
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, SetEnvironmentVariable
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchContext, LaunchDescription

SHARE = Path(get_package_share_directory("sarl_perception"))
FAST_DDS_PROFILE = str(SHARE / "config" / "fastdds_large_frames.xml")
BOOLEANS = {"true": True, "false": False}

ARGUMENTS = [
    DeclareLaunchArgument(
        "model",
        default_value="",
        description="Model: a name in the package's models folder, an absolute path, ~/path or package://package/path",
    ),
    DeclareLaunchArgument("sensor", default_value="", description="Sensor that the model must be for, as it names it"),
    DeclareLaunchArgument(
        "params_file",
        default_value=str(SHARE / "config" / "perception.yaml"),
        description="YAML file with the node's parameters",
    ),
    DeclareLaunchArgument("image_topic", default_value="image_raw", description="Topic of the camera's images"),
    DeclareLaunchArgument(
        "image_transport",
        default_value="",
        choices=["", "raw", "compressed"],
        description="raw: sensor_msgs/Image on image_topic; compressed: jpeg or png on image_topic/compressed",
    ),
    DeclareLaunchArgument(
        "region", default_value="", description="The sensor in the image: [x, y, width, height], pixels"
    ),
    DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node: one per sensor"),
    DeclareLaunchArgument("frame_id", default_value="", description="Frame of every output, instead of the model's"),
    DeclareLaunchArgument(
        "providers", default_value="", description="onnxruntime execution providers by preference, separated by commas"
    ),
    DeclareLaunchArgument(
        "autostart", default_value="", choices=["", *BOOLEANS], description="Configure and activate at start"
    ),
    DeclareLaunchArgument(
        "log_level", default_value="info", choices=["debug", "info", "warn", "error", "fatal"], description="Log level"
    ),
    DeclareLaunchArgument(
        "use_sim_time", default_value="false", choices=list(BOOLEANS), description="Follow /clock (bag replay)"
    ),
    DeclareLaunchArgument(
        "rviz", default_value="false", choices=list(BOOLEANS), description="Open RViz with pose, point, force, overlay"
    ),
]


def perception_node(context: LaunchContext) -> list[Node]:
    """The node, with the parameters of `params_file` and, over them, the arguments that were given."""
    given = {name: value for name, value in context.launch_configurations.items() if value}
    params_file = Path(given["params_file"]).expanduser()
    if not params_file.is_file():
        raise RuntimeError(f"params_file: no such file {params_file}")
    parameters: dict[str, Any] = {
        # Else launch_ros reads them as YAML: a frame named 1 or on would be no text.
        name: ParameterValue(given[name], value_type=str)
        for name in ("model", "sensor", "image_transport", "frame_id")
        if name in given
    }
    if "region" in given:
        parameters["region"] = region(given["region"])
    if "providers" in given:
        parameters["providers"] = [provider.strip() for provider in given["providers"].split(",")]
    for name in ("autostart", "use_sim_time"):
        if name in given:
            parameters[name] = BOOLEANS[given[name]]
    return [
        Node(
            package="sarl_perception",
            executable="perception_node",
            namespace=given.get("namespace", ""),
            parameters=[str(params_file), parameters],
            remappings=[("image_raw", given["image_topic"])],
            ros_arguments=["--log-level", given["log_level"]],
            output="screen",
        )
    ]


def region(text: str) -> list[int]:
    """Four numbers written as in YAML."""
    try:
        return [int(number) for number in text.strip("[] ").split(",")]
    except ValueError as error:
        raise RuntimeError(f"region is {text!r}; allowed: [x, y, width, height] in pixels") from error


def rviz(context: LaunchContext) -> list[Any]:
    """RViz on the sensor's topics when it is asked for and installed; one line when it is not."""
    if not BOOLEANS[context.launch_configurations["rviz"]]:
        return []
    try:
        get_package_prefix("rviz2")
    except PackageNotFoundError:
        text = "rviz:=true, but RViz is not installed: sudo apt install ros-$ROS_DISTRO-rviz2; the node runs without it"
        return [LogInfo(msg=text)]
    return [
        Node(
            package="rviz2",
            executable="rviz2",
            namespace=context.launch_configurations["namespace"],
            arguments=["-d", str(SHARE / "config" / "tactile.rviz")],
            parameters=[{"use_sim_time": BOOLEANS[context.launch_configurations["use_sim_time"]]}],
        )
    ]


def generate_launch_description() -> LaunchDescription:
    # The variable was renamed with Fast DDS 3.0, which came with Kilted. A profile of the user's own is kept.
    is_old = os.environ.get("ROS_DISTRO", "jazzy") in ("humble", "iron", "jazzy")
    variable = "FASTRTPS_DEFAULT_PROFILES_FILE" if is_old else "FASTDDS_DEFAULT_PROFILES_FILE"
    return LaunchDescription(
        [
            *ARGUMENTS,
            SetEnvironmentVariable(variable, os.environ.get(variable, FAST_DDS_PROFILE)),
            OpaqueFunction(function=perception_node),
            OpaqueFunction(function=rviz),
        ]
    )

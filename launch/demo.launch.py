"""Start a simulated camera and the perception node that answers it: the whole chain without hardware.

    ros2 launch sarl_perception demo.launch.py dataset:=runs/demo/data

The arguments of vitactip.launch.py are accepted too.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription

SHARE = Path(get_package_share_directory("sarl_perception"))

ARGUMENTS = [
    DeclareLaunchArgument("dataset", description="Dataset folder written by sarl-train simulate"),
    DeclareLaunchArgument("rate", default_value="", description="Frames per second"),
    DeclareLaunchArgument("count", default_value="", description="Stop after this many frames; 0: never"),
]


def camera_node(context: LaunchContext) -> list[Node]:
    """The camera, in the node's namespace and on its image topic."""
    given = {name: value for name, value in context.launch_configurations.items() if value}
    parameters = {"dataset": str(Path(given["dataset"]).expanduser().absolute()), "wait_for": "image"}
    parameters |= {name: kind(given[name]) for name, kind in (("rate", float), ("count", int)) if name in given}
    return [
        Node(
            package="sarl_demo",
            executable="simulated_camera",
            namespace=given.get("namespace", ""),
            parameters=[parameters],
            remappings=[("image_raw", given["image_topic"])],
            output="screen",
        )
    ]


def generate_launch_description() -> LaunchDescription:
    # Included first: it declares the arguments of the node, which this file passes on, and sets the Fast DDS profile.
    node = IncludeLaunchDescription(str(SHARE / "launch" / "vitactip.launch.py"))
    return LaunchDescription([*ARGUMENTS, node, OpaqueFunction(function=camera_node)])

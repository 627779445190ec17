"""Runs a launch file as `ros2 launch FILE NAME:=VALUE ...` does, where launch is installed without the ros2 command."""

import sys

from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import AnyLaunchDescriptionSource

from launch import LaunchService

if __name__ == "__main__":
    file, *assignments = sys.argv[1:]
    arguments = [tuple(assignment.split(":=", 1)) for assignment in assignments]
    service = LaunchService()
    service.include_launch_description(
        IncludeLaunchDescription(AnyLaunchDescriptionSource(file), launch_arguments=arguments)
    )
    sys.exit(service.run())

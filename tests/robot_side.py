"""Where the robot side is, for tests of the whole: in the product the two sides never import each other."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

NOT_BUILT = (
    "needs ROS 2 and the built workspace: ros2_ws/build.sh, then ros2_ws/env.sh python -m pytest (make test does)"
)

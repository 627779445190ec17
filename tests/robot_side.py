"""Makes the robot side importable in tests of the whole: in the product the two sides never import each other."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ROOT / "ros2_ws" / "src"
ENVIRONMENT = ROOT / "ros2_ws" / "env.sh"

sys.path[:0] = [str(PACKAGES / name) for name in ("sarl_perception", "sarl_perception/test", "sarl_demo")]

NOT_BUILT = (
    "needs ROS 2 and the built workspace: ros2_ws/build.sh, then ros2_ws/env.sh python -m pytest (make test does)"
)

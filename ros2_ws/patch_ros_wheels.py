"""Point the CMake files of the ROS 2 wheels at this machine's Python; they name the one they were built with.

Usage: python patch_ros_wheels.py        (in the virtual environment that holds the wheels)
"""

import re
import sys
from pathlib import Path

import numpy

BUILD_PYTHON = re.compile(r"/opt/python/cp\d+-cp\d+")
BUILD_NUMPY = re.compile(BUILD_PYTHON.pattern + r"/lib/python[\d.]+/site-packages/numpy/_?core/include")


def patch_tree(share: Path) -> int:
    """Rewrite every CMake file under `share`; returns how many changed. A second run changes none."""
    changed = 0
    for path in share.rglob("*.cmake"):
        before = path.read_text(encoding="utf-8")
        after = BUILD_PYTHON.sub(sys.base_prefix, BUILD_NUMPY.sub(numpy.get_include(), before))
        if after != before:
            path.write_text(after, encoding="utf-8")
            changed += 1
    return changed


if __name__ == "__main__":
    print(f"ROS 2 wheels: {patch_tree(Path(sys.prefix) / 'share')} CMake files now name this Python")

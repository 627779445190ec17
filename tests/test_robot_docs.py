"""README's reference for the robot side is what the code says, and the subscriber example hears the node."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import robot_side

pytest.importorskip("rclpy", reason=robot_side.NOT_BUILT)
pytest.importorskip("sarl_msgs.msg", reason=robot_side.NOT_BUILT)

from ros_peer import NODE, Peer, parameters, running
from sarl_perception.parameter_table import parameter_table
from tiny_model import write_model

README = robot_side.ROOT / "README.md"
EXAMPLES = robot_side.ROOT / "ros2_ws" / "examples"


def test_the_parameter_table_is_the_generated_one() -> None:
    assert parameter_table() in README.read_text(encoding="utf-8"), (
        "README's parameter table is out of date: paste the output of"
        " ros2_ws/env.sh python -m sarl_perception.parameter_table"
    )


@pytest.mark.ros
def test_the_python_subscriber_hears_the_node(tmp_path: Path, ros_domain: None) -> None:
    model = write_model(tmp_path / "m.onnx", values={"edge_pose": [0.002, 0.001, 0.5]})
    said = tmp_path / "said.txt"
    expected = "x +2.00 +- 0.10 mm   z 1.00 +- 0.20 mm   theta +28.6 +- 0.6 deg"
    with said.open("w", encoding="utf-8") as file:
        listener = subprocess.Popen([sys.executable, EXAMPLES / "subscribe.py"], stdout=file)
    try:
        with running(NODE, tmp_path / "log.txt", *parameters(model=model)):
            peer = Peer()

            def is_heard() -> bool:
                peer.send(np.zeros((32, 32, 3), np.uint8))
                peer.spin_for(0.1)
                return expected in said.read_text(encoding="utf-8")

            peer.spin_until(is_heard, f"the subscriber says: {expected}")
            peer.close()
    finally:
        listener.terminate()
        listener.wait(60)

"""The shipped launch files: their arguments always; started for real where launch_ros is installed."""

from __future__ import annotations

import ast
import csv
import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import robot_side
from tiny_model import write_model

from sarl_training.simulation.outlines import OUTLINES

LAUNCH = robot_side.ROOT / "launch"
RUNNER = Path(__file__).with_name("run_launch_file.py")
NO_LAUNCH = "launch_ros is not on the Python index: source a ROS 2 installation to run the launch files"
ARGUMENTS = {
    "vitactip.launch.py": [
        "model",
        "sensor",
        "params_file",
        "image_topic",
        "image_transport",
        "region",
        "namespace",
        "frame_id",
        "providers",
        "autostart",
        "log_level",
        "use_sim_time",
        "rviz",
    ],
    "demo.launch.py": ["dataset", "outline", "seed", "rate", "count", "servo_params_file"],
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_are_declared_with_descriptions(name: str) -> None:
    tree = ast.parse((LAUNCH / name).read_text(encoding="utf-8"))
    declared = [
        (node.args[0].value, {keyword.arg for keyword in node.keywords})
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "DeclareLaunchArgument"
    ]
    assert [argument for argument, _ in declared] == ARGUMENTS[name]
    assert all("description" in keywords for _, keywords in declared)


def test_the_demo_offers_every_outline() -> None:
    tree = ast.parse((LAUNCH / "demo.launch.py").read_text(encoding="utf-8"))
    choices = [node.value for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "choices"]
    assert [ast.literal_eval(node) for node in choices] == [["", *OUTLINES]]


def test_launch_files_parameters_and_models_are_installed() -> None:
    share = robot_side.ROOT / "ros2_ws" / "install" / "sarl_perception" / "share" / "sarl_perception"
    if not share.is_dir():
        pytest.skip(robot_side.NOT_BUILT)
    installed = {path.name for path in (share / "launch").iterdir()}
    assert installed == {path.name for path in LAUNCH.glob("*.launch.py")} == set(ARGUMENTS)
    assert {"perception.yaml", "fastdds_large_frames.xml", "tactile.rviz"} <= {
        path.name for path in (share / "config").iterdir()
    }
    shipped = {path.name for path in (robot_side.ROOT / "models").glob("*.onnx")}
    assert {path.name for path in share.glob("models/*.onnx")} == shipped


@pytest.fixture
def domain(request: pytest.FixtureRequest) -> None:
    """ROS on a domain of these tests' own; skips where the launch files cannot run."""
    pytest.importorskip("launch_ros.actions", reason=NO_LAUNCH)
    pytest.importorskip("sarl_msgs.msg", reason=robot_side.NOT_BUILT)
    request.getfixturevalue("ros_domain")


@pytest.fixture
def params_file(tmp_path: Path) -> Path:
    """The shipped parameters, for frames of any age: this machine may be busy."""
    shipped = robot_side.ROOT / "ros2_ws" / "src" / "sarl_perception" / "config" / "perception.yaml"
    text, count = re.subn(r"max_age: [\d.]+", "max_age: 0.0", shipped.read_text(encoding="utf-8"))
    assert count == 1
    (tmp_path / "perception.yaml").write_text(text, encoding="utf-8")
    return tmp_path / "perception.yaml"


@contextmanager
def launched(name: str, log: Path, **arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    words = [f"{key}:={value}" for key, value in arguments.items()]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, str(RUNNER), str(LAUNCH / name), *words],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "ROS_LOG_DIR": str(log.parent / "ros_log")},
            start_new_session=True,  # so that SIGINT reaches all of it, as Ctrl-C in a terminal does
        )
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)
    assert "process has died" not in log.read_text()


@pytest.mark.ros
def test_vitactip_launch_with_every_argument(domain: None, tmp_path: Path, params_file: Path) -> None:
    from rcl_interfaces.srv import GetParameters
    from ros_peer import Peer
    from sensor_msgs.msg import Image

    model = write_model(tmp_path / "tiny.onnx")
    peer = Peer("left")
    peer.camera = peer.node.create_publisher(Image, "cam/image", 1)
    with launched(
        "vitactip.launch.py",
        tmp_path / "log",
        model=model,
        sensor="vitactip",
        params_file=params_file,
        namespace="left",
        image_topic="cam/image",
        region="[0, 0, 8, 8]",
        image_transport="raw",
        frame_id="1",  # a name that YAML takes for a number
        providers="NoSuchExecutionProvider, CPUExecutionProvider",
        autostart="true",
        log_level="info",
        use_sim_time="false",
    ):
        peer.connect()
        names = GetParameters.Request(names=["region", "sensor"])
        region, sensor = peer.call(GetParameters, "perception_node/get_parameters", names).values
        assert (list(region.integer_array_value), sensor.string_value) == ([0, 0, 8, 8], "vitactip")
        assert peer.answer("edge_pose", peer.send(np.zeros((48, 64, 3), np.uint8))).header.frame_id == "1"
    peer.close()
    assert "process has finished cleanly" in (tmp_path / "log").read_text()


@pytest.mark.ros
def test_demo_launch_answers_its_camera(domain: None, tmp_path: Path, params_file: Path) -> None:
    from ros_peer import Peer

    folder = tmp_path / "data" / "edge_pose" / "vitactip"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "0.png"), np.zeros((32, 32, 3), np.uint8))
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [["image", "split", "x_mm", "z_mm", "theta_deg"], ["0.png", "test", 1.0, 2.0, math.degrees(0.5)]]
        )
    peer = Peer()
    model = write_model(tmp_path / "tiny.onnx")
    arguments = {"dataset": tmp_path / "data", "model": model, "params_file": params_file, "rate": 20}
    with launched("demo.launch.py", tmp_path / "log", **arguments):
        peer.spin_until(lambda: len(peer.heard["edge_pose"]) >= 10, "poses of the simulated camera's frames")
    assert peer.heard["edge_pose"][0].pose.position.z == pytest.approx(0.002)
    peer.close()


@pytest.mark.ros
@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("vitactip.launch.py", {"image_transport": "video"}, "Valid options are"),
        ("vitactip.launch.py", {"autostart": "perhaps"}, "Valid options are"),
        ("vitactip.launch.py", {"region": "whole"}, "region"),
        ("vitactip.launch.py", {"params_file": "/no/such/file.yaml"}, "no such file /no/such/file.yaml"),
        ("demo.launch.py", {}, "dataset"),
        ("demo.launch.py", {"dataset": "/no/such/folder"}, "no such folder /no/such/folder"),
        ("demo.launch.py", {"outline": "cube"}, "Valid options are"),
        ("demo.launch.py", {"outline": "disc", "count": "3"}, "count:=3 does nothing with outline"),
        ("demo.launch.py", {"outline": "disc", "rate": "fast"}, "rate is 'fast'"),
        ("demo.launch.py", {"outline": "disc", "seed": "1.5"}, "seed is '1.5'"),
    ],
)
def test_wrong_arguments_are_named(
    domain: None, tmp_path: Path, name: str, arguments: dict[str, str], words: str
) -> None:
    command = [
        sys.executable,
        str(RUNNER),
        str(LAUNCH / name),
        *(f"{key}:={value}" for key, value in arguments.items()),
    ]
    environment = {**os.environ, "ROS_LOG_DIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode != 0
    assert words in done.stdout + done.stderr
    assert "process started" not in done.stdout + done.stderr

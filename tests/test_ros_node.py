"""The real node process over real DDS: every topic, every refusal, lifecycle, clean exit."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import robot_side

pytest.importorskip("rclpy", reason=robot_side.NOT_BUILT)
pytest.importorskip("sarl_msgs.msg", reason=robot_side.NOT_BUILT)

from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import State, Transition
from rcl_interfaces.srv import DescribeParameters, ListParameters
from ros_peer import CYCLE, NODE, TOPICS, Peer, parameters, running, stamps_of, told_once
from sarl_perception.frame_counters import OUTCOMES
from sensor_msgs.msg import CompressedImage, Image
from tiny_model import write_model

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros_domain")]
BLACK = np.zeros((48, 64, 3), np.uint8)


def test_every_output_with_the_stamp_and_frame_of_the_image(peer: Peer, model: Path, tmp_path: Path) -> None:
    with running(NODE, tmp_path / "log", *parameters(model=model)):
        peer.connect()
        already = peer.answered()
        stamp = peer.send(BLACK)
        for topic in TOPICS:
            assert peer.answer(topic, stamp).header.frame_id == "vitactip_tip", topic
        pose = peer.find("edge_pose", stamp).pose
        assert pose.position.x == pytest.approx(0.001 * math.cos(0.5))
        assert peer.find("contact", stamp).in_contact
        assert peer.find("material", stamp).label == "glass"
        for _ in range(30):
            stamp = peer.send(BLACK)
            peer.answer("edge_pose", stamp)
        status = peer.status(lambda _, values: values["answered"] == str(already + 31), "diagnostics count the answers")
        values = {item.key: item.value for item in status.values}
        assert values["provider"] == "CPUExecutionProvider"
        assert values["model"] == str(model)
        assert float(values["latency_ms_p50"]) > 0
        assert sum(int(values[name]) for name in ("stale", "rejected", "failed")) == 0


def test_frame_and_namespace_are_the_users(model: Path, tmp_path: Path) -> None:
    left, right = Peer("left"), Peer("right")
    words = [*parameters(model=model, frame_id="left/tip"), "-r", "__ns:=/left"]
    with running(NODE, tmp_path / "log", *words):
        left.connect()
        stamp = left.send(BLACK)
        assert left.answer("edge_pose", stamp).header.frame_id == "left/tip"
        right.spin_for(0.3)
        assert not right.heard["edge_pose"]
    left.close()
    right.close()


def test_malformed_and_stale_frames_are_counted_and_never_stop_the_node(
    peer: Peer, model: Path, tmp_path: Path
) -> None:
    bad: list[tuple[dict[str, Any], str]] = [
        ({"height": 0}, "64x0 pixels"),
        ({"encoding": "32FC1"}, "'32FC1' is not supported"),
        ({"data": b"short"}, "data is 5 bytes"),
        ({"step": 1}, "step is 1 bytes"),
        ({"width": 10**6}, "1000000 pixels"),
        ({"age_s": 1000.0}, "s old"),
        ({"age_s": -1000.0}, "s in the future"),
    ]
    with running(NODE, tmp_path / "log", *parameters(model=model, max_age=50.0)):
        peer.connect()
        refused: set[tuple[int, int]] = set()
        for fields, words in bad:
            with peer.streaming(BLACK, **fields) as stamps:
                peer.status(lambda status, _, words=words: words in status.message, words)
            refused |= stamps
            padded = peer.send(np.pad(BLACK, ((0, 0), (0, 6), (0, 0))), width=64)  # padded rows are fine
            peer.answer("edge_pose", padded)

        def is_counted(_: object, values: dict[str, str]) -> bool:
            return sum(int(values[name]) for name in OUTCOMES) == int(values["received"]) and values["failed"] == "0"

        peer.status(is_counted, "every frame is counted")
        assert not any(refused & stamps_of(peer.heard[topic]) for topic in TOPICS)
    assert {"size", "encoding", "data", "step", "old", "future"} <= told_once(tmp_path / "log")


def test_poses_only_while_in_contact(peer: Peer, tmp_path: Path) -> None:
    model = write_model(tmp_path / "free.onnx", values={"contact_probability": [0.2]})
    with running(NODE, tmp_path / "log", *parameters(model=model)):
        peer.connect(["contact", "force"])
        stamp = peer.send(BLACK)
        assert peer.answer("contact", stamp).in_contact is False
        assert peer.answer("force", stamp)
        peer.spin_for(0.3)
        for topic in ("edge_pose", "edge_pose_with_covariance", "contact_point"):
            assert not peer.heard[topic], topic


def test_the_contact_gate_can_be_opened(peer: Peer, tmp_path: Path) -> None:
    model = write_model(tmp_path / "free.onnx", values={"contact_probability": [0.2]})
    with running(NODE, tmp_path / "log", *parameters(model=model, contact_gate=False)):
        peer.connect()
        stamp = peer.send(BLACK)
        assert peer.answer("edge_pose", stamp)
        assert peer.answer("contact", stamp).in_contact is False


def test_compressed_images_and_a_region(peer: Peer, model: Path, tmp_path: Path) -> None:
    camera = peer.node.create_publisher(CompressedImage, "/camera/image/compressed", 1)
    image = BLACK.copy()
    image[:20, :20] = 255
    words = parameters(model=model, image_transport="compressed", region="[0, 0, 20, 20]", reliability="reliable")
    with running(NODE, tmp_path / "log", *words, "-r", "image_raw:=/camera/image"):
        message = CompressedImage(format="png", data=cv2.imencode(".png", image)[1].tobytes())
        timer = peer.node.create_timer(0.1, lambda: camera.publish(message))
        peer.spin_until(lambda: peer.heard["edge_pose"], "an answer")
        peer.node.destroy_timer(timer)
        pose = peer.heard["edge_pose"][0].pose
        assert math.hypot(pose.position.x, pose.position.y) == pytest.approx(0.002)


def test_the_overlay_is_drawn_while_someone_listens(peer: Peer, model: Path, tmp_path: Path) -> None:
    peer.listen(Image, "overlay")
    with running(NODE, tmp_path / "log", *parameters(model=model)):
        peer.connect([*TOPICS, "overlay"])
        stamp = peer.send(BLACK)
        overlay = peer.answer("overlay", stamp)
        assert overlay.header.frame_id == "camera"
        assert (overlay.height, overlay.width, overlay.encoding) == (48, 64, "rgb8")
        assert any(overlay.data)


def test_a_refused_model_is_named_and_can_be_replaced(peer: Peer, model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(model.read_bytes()[:100])
    with running(NODE, tmp_path / "log", *parameters(model=broken)):
        status = peer.status(lambda status, _: status.level == DiagnosticStatus.ERROR, "the refusal is in /diagnostics")
        assert "model refused" in status.message and str(broken) in status.message
        assert peer.state() == State.PRIMARY_STATE_UNCONFIGURED
        assert not peer.change(Transition.TRANSITION_CONFIGURE)
        assert not peer.set(model=str(model))
        assert peer.change(Transition.TRANSITION_CONFIGURE) and peer.change(Transition.TRANSITION_ACTIVATE)
        peer.connect()


def test_lifecycle_cycles_leave_one_of_everything(peer: Peer, model: Path, tmp_path: Path) -> None:
    with running(NODE, tmp_path / "log", *parameters(model=model)):
        peer.connect()
        for transition in CYCLE * 5:
            assert peer.change(transition)
        peer.connect()
        peer.spin_until(lambda: peer.node.count_publishers("edge_pose") == 1, "one publisher is left")
        peer.spin_until(lambda: peer.node.count_subscribers("image_raw") == 1, "one subscription is left")


def test_parameters_are_described_and_checked(peer: Peer, model: Path, tmp_path: Path) -> None:
    with running(NODE, tmp_path / "log", *parameters(model=model, autostart=False)):
        listed = peer.call(ListParameters, "perception_node/list_parameters", ListParameters.Request()).result.names
        names = [name for name in listed if name not in ("use_sim_time", "start_type_description_service")]
        assert "contact_on" in names
        described = peer.call(
            DescribeParameters, "perception_node/describe_parameters", DescribeParameters.Request(names=names)
        )
        assert all(descriptor.description for descriptor in described.descriptors)
        for name, value in {"contact_on": 1.5, "reliability": "maybe", "region": [1, 2, 3], "threads": 0}.items():
            assert name in peer.set(**{name: value})


def test_a_camera_that_offers_less_is_named(peer: Peer, model: Path, tmp_path: Path) -> None:
    with running(NODE, tmp_path / "log", *parameters(model=model, reliability="reliable")):
        status = peer.status(lambda status, _: "QoS" in status.message, "the incompatible camera is in /diagnostics")
        assert "best_effort" in status.message


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_a_busy_node_cleanly(peer: Peer, model: Path, tmp_path: Path, stop: int) -> None:
    with running(NODE, tmp_path / "log", *parameters(model=model)) as process:
        peer.connect()
        for _ in range(20):
            peer.send(BLACK)
        while process.poll() is None:  # Ctrl-C under ros2 launch comes more than once, to the very end
            process.send_signal(stop)
            time.sleep(0.01)
        assert process.returncode == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (parameters(max_age="soon"), "max_age"),
        (parameters(threads=0), "threads"),
        (parameters(image_transport="video"), "raw, compressed"),
        (parameters(providers="[]"), "a parameter is an empty list"),
    ],
)
def test_wrong_parameters_end_with_one_line(words: list[str], named: str) -> None:
    done = subprocess.run([sys.executable, "-m", NODE, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert named in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["-p", "model=mine"], "model=mine"),
        (["-r", "image_raw:=/camera/image-raw"], "/camera/image-raw"),
        (["--params-file", "/no/such/file.yaml"], "/no/such/file.yaml"),
        (["--log-level", "loud"], "loud"),
        (["--remap-all"], "--remap-all"),
    ],
)
@pytest.mark.parametrize("module", [NODE, "sarl_demo.edge_follower"])
def test_words_that_ros_refuses_are_named_in_the_last_line(module: str, words: list[str], named: str) -> None:
    command = [sys.executable, "-m", module, "--ros-args", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert named in done.stderr.strip().splitlines()[-1]


def test_without_the_workspace_the_node_says_so() -> None:
    environment = {**os.environ, "AMENT_PREFIX_PATH": sys.prefix}
    done = subprocess.run([sys.executable, "-m", NODE], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert "build the workspace" in done.stderr

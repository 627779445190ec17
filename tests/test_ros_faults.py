"""Every fault of camera, clock and model: in /diagnostics by name, in the log once, and over when it is over."""

from __future__ import annotations

import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
import robot_side

pytest.importorskip("rclpy", reason=robot_side.NOT_BUILT)
pytest.importorskip("sarl_msgs.msg", reason=robot_side.NOT_BUILT)

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_camera import DEFAULT_TRANSPORT, camera
from ros_peer import NODE, Peer, faults_in, parameters, running, stamps_of, told_once
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Bool, Header, String
from tiny_model import write_model

pytestmark = pytest.mark.ros
BLACK = np.zeros((48, 64, 3), np.uint8)
WHITE = BLACK + 255


def fresh_of(peer: Peer) -> list[Bool]:
    heard: list[Bool] = []
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    peer.node.create_subscription(Bool, "perception_node/fresh", heard.append, latched)
    return heard


def test_no_camera_then_one_that_stops_and_comes_back(peer: Peer, model: Path, log: Path) -> None:
    peer.node.destroy_publisher(peer.camera)
    fresh = fresh_of(peer)
    with running(NODE, log, *parameters(model=model)):
        assert "/image_raw" in peer.fault("no_camera").message
        peer.spin_until(lambda: fresh and not fresh[-1].data, "outputs are marked stale")
        for _ in range(2):
            with camera(end=signal.SIGKILL):
                peer.healthy()
                peer.spin_until(lambda: fresh[-1].data, "outputs are marked fresh")
            peer.status(lambda status, _: "stopped" in status.message, "the camera is silent")
            peer.spin_until(lambda: not fresh[-1].data, "outputs are marked stale again")
    assert {"no_camera", "camera_silent"} <= told_once(log)


def test_a_camera_of_another_kind_is_named(peer: Peer, model: Path, log: Path) -> None:
    peer.node.destroy_publisher(peer.camera)
    with running(NODE, log, *parameters(model=model)):
        wrong = peer.node.create_publisher(String, "image_raw", 1)
        status = peer.fault("qos")
        assert "std_msgs/msg/String" in status.message and "sensor_msgs/msg/Image" in status.message
        peer.node.destroy_publisher(wrong)
        peer.node.create_publisher(CompressedImage, "image_raw/compressed", 1)
        peer.status(lambda status, _: "set parameter image_transport to compressed" in status.message, "the hint")


def test_large_frames_lost_in_the_default_transport_are_named_with_the_fix(peer: Peer, model: Path, log: Path) -> None:
    """The 512 KB trap: most or all frames vanish without a sign, except that the middleware counts them."""
    peer.node.destroy_publisher(peer.camera)
    with (
        running(NODE, log, *parameters(model=model), without=DEFAULT_TRANSPORT),
        camera(width=640, height=480, rate=30, without=DEFAULT_TRANSPORT),
    ):
        status = peer.fault("lost_frames")
        assert "512 KB" in status.message and "FASTDDS_BUILTIN_TRANSPORTS=LARGE_DATA" in status.message
        peer.status(lambda _, values: int(values.get("lost", 0)) > 5, "more frames lost")


def test_the_shipped_profile_lets_large_frames_through(peer: Peer, model: Path, log: Path) -> None:
    """On a machine that stands still for a second some are lost all the same; without the profile nearly all are."""
    peer.node.destroy_publisher(peer.camera)
    with running(NODE, log, *parameters(model=model)), camera(width=640, height=480):
        status = peer.status(lambda _, values: int(values["answered"]) > 20, "answers")
    values = {item.key: item.value for item in status.values}
    assert int(values["lost"]) < int(values["received"])


def test_an_unfamiliar_image_is_named_while_it_lasts(peer: Peer, tmp_path: Path, log: Path) -> None:
    model = write_model(tmp_path / "model.onnx", unfamiliar_threshold=4.0)
    with running(NODE, log, *parameters(model=model, stale_after=5.0)):
        peer.connect()
        for image, is_unfamiliar in ((WHITE, True), (BLACK, False)):

            def found(status: DiagnosticStatus, values: dict[str, str], wanted: bool = is_unfamiliar) -> bool:
                return ("unfamiliar" in values["faults"]) == wanted and values["outputs"] == "fresh"

            with peer.streaming(image):
                status = peer.status(found, f"unfamiliar: {is_unfamiliar}")
            assert not is_unfamiliar or status.level != DiagnosticStatus.OK
    assert "unfamiliar" in told_once(log)


def test_a_model_slower_than_the_camera_is_named(peer: Peer, tmp_path: Path, log: Path) -> None:
    model = write_model(tmp_path / "model.onnx", slowness=3)
    peer.node.destroy_publisher(peer.camera)
    with running(NODE, log, *parameters(model=model, threads=1, stale_after=10.0)), camera(rate=60):
        assert "int8" in peer.fault("slow_inference").message


def test_a_provider_that_is_not_there_is_named(peer: Peer, model: Path, log: Path) -> None:
    words = parameters(model=model, providers="[NoSuchExecutionProvider, CPUExecutionProvider]")
    with running(NODE, log, *words):
        peer.connect()
        status = peer.fault("provider")
        assert status.level != DiagnosticStatus.OK and "NoSuchExecutionProvider" in status.message
    assert log.read_text().count("[provider;") == 1


def test_a_region_is_checked_against_the_model_and_the_frame(peer: Peer, model: Path, log: Path) -> None:
    with running(NODE, log, *parameters(model=model, region="[0, 0, 30, 20]")):
        assert "30x20" in peer.fault("model").message
        assert not peer.set(region=[10, 10, 60, 60])
        assert peer.change(1) and peer.change(3)  # configure, activate
        peer.spin_until(peer.camera.get_subscription_count, "the node subscribes")
        with peer.streaming(BLACK):
            status = peer.fault("region")
            assert "x=10 y=10 width=60 height=60 is not inside the 64x48 image" in status.message
            assert "same proportions" in peer.set(region=[0, 0, 20, 30])
            assert not peer.set(region=[10, 0, 48, 48])
            peer.spin_until(lambda: peer.heard["edge_pose"], "a region that fits is answered")


def test_bag_time_is_followed_and_may_start_over(peer: Peer, model: Path, log: Path) -> None:
    """Stamps of 1000 s after the epoch, long past on the system's clock: answered by /clock's time."""
    clock = peer.node.create_publisher(Clock, "/clock", 1)
    time_s = [0.0]

    def play(age_s: float = 0.01) -> tuple[int, int]:
        time_s[0] += 0.05
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(round(time_s[0] * 1e9), 10**9)
        clock.publish(message)
        peer.spin_for(0.01)
        header = Header()
        header.stamp.sec, header.stamp.nanosec = divmod(round((time_s[0] - age_s) * 1e9), 10**9)
        return peer.send(BLACK, header=header)

    def answered(start_s: float) -> bool:
        play()
        peer.spin_for(0.05)
        return any(start_s <= message.header.stamp.sec < start_s + 400 for message in peer.heard["edge_pose"])

    with running(NODE, log, *parameters(model=model, max_age=0.2, use_sim_time=True)):
        peer.spin_until(peer.camera.get_subscription_count, "the node subscribes")
        with peer.streaming(BLACK):
            assert "--clock" in peer.fault("no_clock").message
        for start_s in (1000.0, 500.0):
            time_s[0] = start_s
            peer.spin_until(lambda start_s=start_s: answered(start_s), f"answers at {start_s} s of the bag")
        old: set[tuple[int, int]] = set()

        def is_refused() -> bool:
            old.add(play(age_s=5.0))
            peer.spin_for(0.05)
            return any("old" in faults_in(array) for array in peer.heard["/diagnostics"])

        peer.heard["/diagnostics"].clear()
        peer.spin_until(is_refused, "older than max_age on the bag's clock")
        assert not old & stamps_of(peer.heard["edge_pose"])


def test_compressed_frames_that_are_cut_are_named(peer: Peer, model: Path, log: Path) -> None:
    publisher = peer.node.create_publisher(CompressedImage, "image_raw/compressed", 1)
    payload = cv2.imencode(".jpg", BLACK)[1].tobytes()
    with running(NODE, log, *parameters(model=model, image_transport="compressed")):
        timer = peer.node.create_timer(
            0.05, lambda: publisher.publish(CompressedImage(format="jpeg", data=payload[:-9]))
        )
        assert "incomplete" in peer.fault("data").message
        assert not peer.heard["contact"]
        peer.node.destroy_timer(timer)

"""What a node on a robot must survive: malformed messages by the thousand, life cycles, overload, its neighbours."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import robot_side
from fuzzed_images import fuzzed

pytest.importorskip("rclpy", reason=robot_side.NOT_BUILT)
pytest.importorskip("sarl_msgs.msg", reason=robot_side.NOT_BUILT)

from rcl_interfaces.srv import GetParameters, ListParameters
from ros_camera import DEFAULT_TRANSPORT, camera
from ros_peer import CYCLE, DEADLINE_S, NODE, TOPICS, Peer, parameters, running, stamps_of
from sarl_msgs.msg import ContactStamped
from sarl_perception.frame_counters import OUTCOMES
from tiny_model import write_model

pytestmark = pytest.mark.ros
BLACK = np.zeros((48, 64, 3), np.uint8)
KEPT_UP = 10  # fuzzed images between two that are waited for, so that the node is never left behind
PROFILE = robot_side.ROOT / "ros2_ws" / "src" / "sarl_perception" / "config" / "fastdds_large_frames.xml"
LAST_PEER = 31  # of those that rmw_fastrtps announces itself to with discovery on this machine only
AT_START = 8  # announcements that Fast DDS makes in quick succession, and some


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_fuzzed_images_over_dds(peer: Peer, model: Path, log: Path, count: int) -> None:
    rng = np.random.default_rng(8)
    malformed = set()
    with running(NODE, log, *parameters(model=model)):
        peer.connect()
        for number in range(count):
            fields, is_good = fuzzed(rng)
            stamp = peer.send(BLACK, **fields)
            if not is_good:
                malformed.add(stamp)
            peer.spin_for(0.002)
            if number % KEPT_UP == 0:
                peer.answer("edge_pose", peer.send(BLACK))
                assert not any(malformed & stamps_of(peer.heard[topic]) for topic in TOPICS)
                for topic in TOPICS:
                    peer.heard[topic].clear()

        def adds_up(_: object, values: dict[str, str]) -> bool:
            received = int(values["received"])
            return received > count / KEPT_UP and sum(int(values[name]) for name in OUTCOMES) == received

        status = peer.status(adds_up, "counts add up")
        assert int({item.key: item.value for item in status.values}["rejected"]) > 0
    assert "Traceback" not in log.read_text() and "unexpected" not in log.read_text()


def test_two_sensors_do_not_hear_each_other(ros_domain: None, tmp_path: Path) -> None:
    left, right = Peer("left"), Peer("right")
    models = [
        write_model(tmp_path / f"{name}.onnx", values={"force": [0.0, 0.0, newton]})
        for name, newton in (("left", -1.0), ("right", -2.0))
    ]
    with (
        running(NODE, tmp_path / "left.log", *parameters(model=models[0]), "-r", "__ns:=/left"),
        running(NODE, tmp_path / "right.log", *parameters(model=models[1]), "-r", "__ns:=/right"),
    ):
        left.connect()
        right.connect()
        sent: dict[Peer, set[tuple[int, int]]] = {left: set(), right: set()}

        def have_twenty_answers() -> bool:
            for peer, stamps in sent.items():
                stamps.add(peer.send(BLACK))
                peer.spin_for(0.02)
            return all(len(peer.heard["force"]) >= 20 for peer in sent)

        left.spin_until(have_twenty_answers, "answers")
        for peer, newton in ((left, -1.0), (right, -2.0)):
            assert all(message.wrench.force.z == newton for message in peer.heard["force"])
            assert stamps_of(peer.heard["force"]) <= sent[peer]

        def names() -> set[str]:
            return {status.name for array in left.heard["/diagnostics"] for status in array.status}

        left.spin_until(lambda: len(names()) >= 2, "both nodes' diagnostics")
        assert names() == {f"/{side}/perception_node: tactile perception" for side in ("left", "right")}
    left.close()
    right.close()


def test_the_node_goes_on_announcing_itself_to_cameras_that_start(
    ros_domain: None, model: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a camera that was killed and is back finds the node up to 3 s later: see the profile."""
    for variable in DEFAULT_TRANSPORT:
        monkeypatch.setenv(variable, str(PROFILE))
    heard_s: list[float] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 7410 + 250 * int(os.environ["ROS_DOMAIN_ID"]) + 2 * LAST_PEER))
        ear.settimeout(DEADLINE_S)
        with running(NODE, log, *parameters(model=model)):
            while len(heard_s) < 2 * AT_START:
                assert ear.recv(65536).startswith(b"RTPS")
                now_s = time.monotonic()
                if not heard_s or now_s > heard_s[-1] + 0.05:  # one announcement comes as several packets
                    heard_s.append(now_s)
    assert np.diff(heard_s[AT_START:]).min() < 1.0


def footprint(pid: int) -> dict[str, int]:
    """Threads, open files and resident memory (kB) of a process."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {
        "threads": int(status["Threads"]),
        "files": len(os.listdir(f"/proc/{pid}/fd")),
        "kB": int(status["VmRSS"].split()[0]),
    }


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_fifty_life_cycles_leak_nothing(peer: Peer, model: Path, log: Path) -> None:
    def values() -> list[Any]:
        names = peer.call(ListParameters, "perception_node/list_parameters", ListParameters.Request()).result.names
        return peer.call(GetParameters, "perception_node/get_parameters", GetParameters.Request(names=names)).values

    def cycle(times: int) -> dict[str, int]:
        for transition in CYCLE * times:
            assert peer.change(transition)
        peer.connect()
        return footprint(process.pid)

    with running(NODE, log, *parameters(model=model, contact_on=0.7)) as process:
        peer.connect()
        before = values()
        first, last = cycle(10), cycle(50)
        assert (last["threads"], last["files"]) == (first["threads"], first["files"])
        assert last["kB"] - first["kB"] < 5000
        assert values() == before


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_overload_never_ages_an_answer(peer: Peer, tmp_path: Path, log: Path) -> None:
    """120 Hz and a model fifty times slower: the age of each answer, when published, is under two inferences.

    A worker that always has a frame publishes once per inference, so the time since the answer before is how long this
    one's inference took, on a busy machine too. With a queue every answer would be older.
    """
    answers: list[tuple[int, int]] = []

    def hear(message: ContactStamped, info: dict[str, int]) -> None:
        stamp_ns = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        answers.append((stamp_ns, info["source_timestamp"]))

    model = write_model(tmp_path / "slow.onnx", slowness=10)
    peer.node.destroy_publisher(peer.camera)
    peer.node.create_subscription(ContactStamped, "contact", hear, 100)
    with running(NODE, log, *parameters(model=model, threads=1)), camera(rate=120):
        peer.spin_until(lambda: len(answers) > 100, "100 answers", 800)
        values = {item.key: item.value for item in peer.status(lambda *_: True, "diagnostics").values}
    stamp_ns, published_ns = np.array(answers).T
    age_ms, inference_ms = (published_ns - stamp_ns)[1:] / 1e6, np.diff(published_ns) / 1e6
    assert (age_ms < 2 * inference_ms).all()
    assert np.median(inference_ms) < 1.5 * float(values["inference_ms_p50"])
    assert int(values["dropped"]) > 10 * int(values["answered"])


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_does_not_grow_in_ten_minutes(peer: Peer, tmp_path: Path, log: Path) -> None:
    model = write_model(tmp_path / "slow.onnx", slowness=1)
    peer.node.destroy_publisher(peer.camera)
    with running(NODE, log, *parameters(model=model, threads=1)) as process, camera(rate=120, width=640, height=480):
        peer.spin_for(60)
        minutes, megabytes = [], []
        for minute in np.arange(0, 10, 0.25):
            minutes.append(minute)
            megabytes.append(footprint(process.pid)["kB"] / 1000)
            for messages in peer.heard.values():
                messages.clear()
            peer.spin_for(15)
        assert peer.heard["contact"]
    slope = float(np.polyfit(minutes, megabytes, 1)[0])
    print(f"resident memory {megabytes[0]:.1f} to {megabytes[-1]:.1f} MB, {slope:.3f} MB/min")
    assert slope <= 1.0

"""How long each fault takes from its cause to /diagnostics.

    ros2_ws/env.sh python tests/bench/faults.py --out runs/bench                                   (make bench runs it)

The node is a process of its own, and so are cameras that end. The time runs from what goes wrong (the first bad frame,
the kill, the call) until a listener has the fault by name; discovery and the parameter `stale_after` are in it. Writes
faults.json and faults.png.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import rclpy
from lifecycle_msgs.msg import Transition
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sarl_demo import processes
from sensor_msgs.msg import Image
from std_msgs.msg import String
from std_srvs.srv import Trigger

from sarl_training.run_folder import provenance

matplotlib.use("Agg")
from matplotlib import pyplot as plt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "ros2_ws/src/sarl_perception/test"))
from ros_camera import DEFAULT_TRANSPORT, camera
from ros_peer import NODE, Peer, parameters, running
from tiny_model import write_model

CAMERA = Path(__file__).parent / "parts" / "bench_camera.py"
RELOAD = "perception_node/reload_model"
BAR_S = 1.0
FRAME_PERIOD_S = 1 / 30
SETTLE_S = 1.5
BLACK = np.zeros((48, 64, 3), np.uint8)
WHITE = BLACK + 255


@dataclass(frozen=True)
class Stage:
    """The camera's and operator's side, and a folder for models and logs."""

    peer: Peer
    folder: Path

    def seconds_to(self, fault: str, cause: Callable[[], Any]) -> float:
        """From `cause` until the fault, which does not stand yet, is heard by name."""
        self.peer.status(lambda _, values: fault not in values["faults"].split(", "), f"no {fault} before")
        begin_s = time.monotonic()
        cause()
        self.peer.fault(fault)
        return time.monotonic() - begin_s

    def familiar(self) -> None:
        """Good frames for a while."""
        with self.peer.streaming(BLACK, FRAME_PERIOD_S):
            self.peer.healthy()
            self.peer.spin_for(SETTLE_S)


@dataclass(frozen=True)
class Case:
    """A fault's name, what goes wrong, what brings it about, the node's parameters, the arguments of `write_model`."""

    fault: str
    cause: str
    take: Callable[[Stage, str], float]
    settings: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()


def frames(
    stage: Stage, fault: str, *, after_good_ones: bool = True, image: np.ndarray = BLACK, **fields: Any
) -> float:
    if after_good_ones:
        stage.familiar()
    with ExitStack() as stack:
        return stage.seconds_to(
            fault, lambda: stack.enter_context(stage.peer.streaming(image, FRAME_PERIOD_S, **fields))
        )


def camera_ends(stage: Stage, fault: str, *, end: int) -> float:
    stage.peer.node.destroy_publisher(stage.peer.camera)
    with camera(rate=30) as process:
        stage.peer.healthy()
        return stage.seconds_to(fault, lambda: process.send_signal(end))


def large_frames(stage: Stage, fault: str) -> float:
    """From the first frame after camera and node, both without the profile, have found each other."""
    stage.peer.node.destroy_publisher(stage.peer.camera)
    log = stage.folder / "camera.log"
    environment = {name: value for name, value in os.environ.items() if name not in DEFAULT_TRANSPORT}
    with processes.running([str(CAMERA), "640", "480", "30", "60"], environment, log):
        stage.peer.fault(fault)
        return 1e-9 * (time.time_ns() - int(log.read_text(encoding="utf-8").split()[0]))


def other_type(stage: Stage, fault: str) -> float:
    stage.peer.node.destroy_publisher(stage.peer.camera)
    return stage.seconds_to(fault, lambda: stage.peer.node.create_publisher(String, "image_raw", 1))


def unreliable_camera(stage: Stage, fault: str) -> float:
    stage.peer.node.destroy_publisher(stage.peer.camera)
    quality = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    return stage.seconds_to(fault, lambda: stage.peer.node.create_publisher(Image, "image_raw", quality))


def wrong_region(stage: Stage, fault: str) -> float:
    with stage.peer.streaming(BLACK, FRAME_PERIOD_S):
        stage.peer.healthy()
        return stage.seconds_to(fault, lambda: stage.peer.set(region=[40, 0, 48, 48]))


def configuring(stage: Stage, fault: str) -> float:
    """The time it takes to load and try the model included."""
    return stage.seconds_to(fault, lambda: stage.peer.change(Transition.TRANSITION_CONFIGURE))


def reloading(stage: Stage, fault: str) -> float:
    stage.peer.set(model=str(stage.folder / "nowhere.onnx"))
    return stage.seconds_to(fault, lambda: stage.peer.call(Trigger, RELOAD, Trigger.Request()))


AGE_LIMIT = {"max_age": 0.2}  # as shipped; the tests' own default accepts any age
CASES = (
    Case("no_camera", "the camera ends", partial(camera_ends, end=signal.SIGTERM)),
    Case("camera_silent", "kill -9 of the camera", partial(camera_ends, end=signal.SIGKILL)),
    Case("qos", "a camera of another type", other_type),
    Case("qos", "a best-effort camera, reliability reliable", unreliable_camera, {"reliability": "reliable"}),
    Case("lost_frames", "640x480 without the profile", large_frames, without=DEFAULT_TRANSPORT),
    Case("old", "stamps of 10 s ago", partial(frames, age_s=10.0), AGE_LIMIT),
    Case("future", "stamps in 10 s", partial(frames, age_s=-10.0), AGE_LIMIT),
    Case(
        "no_clock",
        "use_sim_time, no /clock",
        partial(frames, after_good_ones=False),
        {**AGE_LIMIT, "use_sim_time": True},
    ),
    Case("encoding", "an encoding nobody knows", partial(frames, encoding="32FC1")),
    Case("size", "a height of 0", partial(frames, height=0)),
    Case("step", "rows too short", partial(frames, step=3)),
    Case("data", "payload cut off", partial(frames, height=4000)),
    Case("region", "a region outside the image", wrong_region),
    Case(
        "slow_inference",
        "a model slower than the camera",
        partial(frames, after_good_ones=False),
        model={"slowness": 3},
    ),
    Case("inference", "a model that takes seconds", partial(frames, after_good_ones=False), model={"slowness": 80}),
    Case(
        "unfamiliar", "unlike what the model knows", partial(frames, image=WHITE), model={"unfamiliar_threshold": 4.0}
    ),
    Case(
        "provider",
        "CPU instead of TensorRT",
        configuring,
        {"autostart": False, "providers": "[TensorrtExecutionProvider, CPUExecutionProvider]"},
    ),
    Case("model", "no such file", configuring, {"autostart": False, "model": "/nowhere.onnx"}),
    Case("reload", "no such file, while running", reloading),
)


def measure(case: Case, folder: Path, times: int) -> list[float]:
    """Seconds, each with a node and a peer of its own."""
    found = []
    for _ in range(times):
        settings = {"model": write_model(folder / "model.onnx", **case.model), "threads": 1, **case.settings}
        peer = Peer()
        with running(NODE, folder / "node.log", *parameters(**settings), without=case.without):
            found.append(round(case.take(Stage(peer, folder), case.fault), 3))
        peer.close()
    return found


def run(out: Path, times: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    os.environ.update(processes.local_environment())
    rclpy.init()
    rows = []
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            seconds = measure(case, Path(folder), times)
        rows.append({"fault": case.fault, "cause": case.cause, "seconds": seconds})
        print(f"{case.fault:15} {case.cause:45} {' '.join(f'{value:.2f}' for value in seconds)} s", flush=True)
    worst = max(max(row["seconds"]) for row in rows)
    print(f"the slowest of {len(rows) * times}: {worst:.2f} s (bar: {BAR_S} s)")
    record = {"rows": rows, "machine": f"{os.cpu_count()} cores, {platform.machine()}", **provenance()}
    (out / "faults.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    _draw(rows, out / "faults.png")
    print(f"written: {out / 'faults.json'}, {out / 'faults.png'}")


def _draw(rows: list[dict[str, Any]], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 0.32 * len(rows) + 1))
    names = [f"{row['cause']} ({row['fault']})" for row in rows]
    for place, row in enumerate(rows):
        axes.plot(row["seconds"], [place] * len(row["seconds"]), "o", color="tab:blue", alpha=0.6)
    axes.axvline(BAR_S, color="tab:red", linewidth=1, label="bar")
    axes.set(yticks=range(len(rows)), yticklabels=names, xlabel="from the cause to /diagnostics (s)")
    axes.set_xlim(left=0)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for faults.json and faults.png")
    parser.add_argument("--times", type=int, default=3, help="how often each fault is brought about")
    options = parser.parse_args()
    run(options.out, options.times)


if __name__ == "__main__":
    main()

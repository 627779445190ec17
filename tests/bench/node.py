"""The perception node against the bare model, and against a node written the usual way: latency and frames answered.

    ros2_ws/env.sh python tests/bench/node.py --out runs/bench                                     (make bench runs it)
    ros2_ws/env.sh python tests/bench/node.py --out runs/bench --seconds 60 --only 640x480@60      (the bar)

Camera, node and listener are processes of their own on this machine. Writes node.json and node.png. Each model runs on
every execution provider that is installed; the peer is `parts/plain_node.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.time import Time
from sarl_demo.processes import local_environment, parameters, running
from sarl_msgs.msg import ContactStamped
from sarl_perception.estimator import TactileEstimator
from sarl_perception.execution import PREFERENCE

from sarl_training.run_folder import provenance

matplotlib.use("Agg")
from matplotlib import pyplot as plt

ROOT = Path(__file__).resolve().parents[2]
PARTS = Path(__file__).parent / "parts"
SIZES = ((640, 480), (1280, 720))
RATES = (30, 60, 120)
BARE_RUNS = 300
THREADS = 2
PATIENCE_S = 60.0
LINGER_S = 1.0
WARM_UP, WARM_UP_S = "640x480@10", 1.0
RETURN, RETURN_S, RETURN_PATIENCE_S = "640x480@60", 60.0, 10.0


@dataclass
class Subject:
    """Something that answers frames: a command, and what its model alone takes."""

    name: str
    command: list[str]
    bare_ms: float | None = None
    provider: str = ""


@dataclass
class Heard:
    """Frames of one window, and its answers: whose frame each is and when it was heard, by the ROS clock."""

    sent: int = 0
    stamps_ns: list[int] = field(default_factory=list)
    heard_ns: list[int] = field(default_factory=list)
    diagnostics: dict[str, str] = field(default_factory=dict)

    @property
    def age_ms(self) -> np.ndarray:
        """Of each answer, from its frame's stamp until it was heard."""
        return 1e-6 * (np.array(self.heard_ns, np.int64) - np.array(self.stamps_ns, np.int64))

    @property
    def at_s(self) -> np.ndarray:
        """When each answer was heard, from the first."""
        return 1e-9 * (np.array(self.heard_ns, np.int64) - min(self.heard_ns, default=0))


def subjects(models: list[Path]) -> list[Subject]:
    """Every model on every installed provider, then the peer at the first model's input size."""
    found: list[Subject] = []
    size = 0
    for model in models:
        for provider in PREFERENCE:
            try:
                estimator = TactileEstimator(model, providers=[provider], threads=THREADS)
            except ValueError:  # not installed here
                continue
            size = estimator.contract.width
            values = [f"model:={model}", f"providers:=[{provider}]", f"threads:={THREADS}", "max_age:=0.0"]
            command = ["-m", "sarl_perception.perception_node", *parameters(values)]
            found.append(Subject(f"{model.stem} {provider[:-17]}", command, bare_ms(estimator), provider))
    return [*found, Subject("plain node", [str(PARTS / "plain_node.py"), str(size), str(THREADS)])]


def bare_ms(estimator: TactileEstimator) -> float:
    """Median time of the model alone on an image of its own size."""
    size = estimator.contract.height, estimator.contract.width, 3
    image = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    estimator.warm_up()
    return 1e3 * float(np.median([estimator.estimate(image).inference_s for _ in range(BARE_RUNS)]))


def window(executor: SingleThreadedExecutor, node: Any, camera: list[str], log: Path) -> Heard:
    """What was sent and heard while a camera runs."""
    heard = Heard()

    def hear(message: ContactStamped) -> None:
        heard.heard_ns.append(node.get_clock().now().nanoseconds)
        heard.stamps_ns.append(Time.from_msg(message.header.stamp).nanoseconds)

    def diagnose(message: DiagnosticArray) -> None:
        for status in message.status:
            heard.diagnostics = {item.key: item.value for item in status.values}

    listeners = [
        node.create_subscription(ContactStamped, "contact", hear, 1000),
        node.create_subscription(DiagnosticArray, "/diagnostics", diagnose, 10),
    ]
    deadline_s = time.monotonic() + PATIENCE_S
    while listeners[0].get_publisher_count() == 0 and time.monotonic() < deadline_s:
        executor.spin_once(timeout_sec=0.05)
    with running(camera, dict(os.environ), log) as process:
        while process.poll() is None:
            executor.spin_once(timeout_sec=0.05)
        end_s = time.monotonic() + LINGER_S
        while time.monotonic() < end_s:
            executor.spin_once(timeout_sec=0.05)
    begin_ns, heard.sent = map(int, log.read_text(encoding="utf-8").split()[-2:])
    for _ in range(sum(stamp_ns < begin_ns for stamp_ns in heard.stamps_ns)):  # a queue of the window before
        del heard.stamps_ns[0], heard.heard_ns[0]
    for listener in listeners:
        node.destroy_subscription(listener)
    return heard


def returns_ms(executor: SingleThreadedExecutor, node: Any, out: Path, times: int) -> list[float | None]:
    """From the first frame of a camera that comes back after kill -9 to the first answer to it; None without one."""
    log = out / "node_camera.log"
    heard_ns: list[tuple[int, int]] = []

    def hear(message: ContactStamped) -> None:
        heard_ns.append((Time.from_msg(message.header.stamp).nanoseconds, node.get_clock().now().nanoseconds))

    def spin_until(is_done: Callable[[], Any], patience_s: float) -> None:
        end_s = time.monotonic() + patience_s
        while not is_done() and time.monotonic() < end_s:
            executor.spin_once(timeout_sec=0.05)

    def begin_ns() -> int | None:
        return next((int(line) for line in log.read_text(encoding="utf-8").splitlines() if line.isdigit()), None)

    def answer_ms() -> float | None:
        begin = begin_ns()
        return next((round(1e-6 * (heard - begin), 1) for stamp, heard in heard_ns if stamp >= begin), None)

    listener = node.create_subscription(ContactStamped, "contact", hear, 1000)
    found = []
    for _ in range(times + 1):
        heard_ns.clear()
        with running([*_camera(RETURN, RETURN_S), "--at-once"], dict(os.environ), log) as process:
            spin_until(begin_ns, PATIENCE_S)
            spin_until(answer_ms, RETURN_PATIENCE_S)
            found.append(answer_ms())
            spin_until(lambda: False, LINGER_S)
            process.kill()
        time.sleep(LINGER_S)
    node.destroy_subscription(listener)
    return found[1:]  # the first camera replaced none


def result(subject: Subject, case: str, heard: Heard) -> dict[str, Any]:
    """One row of node.json."""
    p50, p99 = np.percentile(heard.age_ms, (50, 99)).round(2).tolist() if heard.heard_ns else (None, None)
    row: dict[str, Any] = {
        "subject": subject.name,
        "case": case,
        "sent": heard.sent,
        "answered": len(heard.heard_ns),
        "answered_share": round(len(heard.heard_ns) / heard.sent, 4),
        "age_ms_p50": p50,
        "age_ms_p99": p99,
    }
    if subject.bare_ms is not None:
        told = heard.diagnostics
        names = ("transport_ms_p50", "processing_ms_p50", "inference_ms_p50", "overhead_ms_p50")
        row |= {name: float(told[name]) for name in names if name in told}
        row["bare_session_run_ms"] = round(subject.bare_ms, 2)
        row["age_over_bare"] = round(p50 / subject.bare_ms, 2) if p50 else None
    return row


def run(out: Path, seconds: float, cases: list[str], models: list[Path], kills: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    os.environ.update(local_environment())
    answering = subjects(models)
    rclpy.init()
    node = rclpy.create_node("bench_listener")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    rows, traces, returns = [], {}, {}
    for subject in answering:
        with running(subject.command, dict(os.environ), out / "node_subject.log", patience_s=PATIENCE_S):
            window(executor, node, _camera(WARM_UP, WARM_UP_S), out / "node_camera.log")
            for case in cases:
                heard = window(executor, node, _camera(case, seconds), out / "node_camera.log")
                rows.append(result(subject, case, heard))
                traces[subject.name, case] = heard
                print(json.dumps(rows[-1]), flush=True)
            returns[subject.name] = returns_ms(executor, node, out, kills)
            print(f"{subject.name}: {returns[subject.name]} ms from the first frame of a camera killed and back")
        time.sleep(LINGER_S)  # let its publishers be forgotten
    ratios = _ratios(rows)
    record = {
        "rows": rows,
        "peer_over_node": ratios,
        "camera_return_ms": returns,
        "seconds": seconds,
        "threads": THREADS,
    }
    record |= {"machine": f"{os.cpu_count()} cores, {platform.machine()}", **provenance()}
    (out / "node.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    _draw(traces, out / "node.png")
    print(f"written: {out / 'node.json'}, {out / 'node.png'}")


def _camera(case: str, seconds: float) -> list[str]:
    size, rate = case.split("@")
    return [str(PARTS / "bench_camera.py"), *size.split("x"), rate, str(seconds)]


def _ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The peer's age over each subject's in the same case: above 1 the node is faster."""
    peer = {row["case"]: row for row in rows if row["subject"] == "plain node"}
    return [
        {
            "subject": row["subject"],
            "case": row["case"],
            "age_p50": round(peer[row["case"]]["age_ms_p50"] / row["age_ms_p50"], 2),
            "age_p99": round(peer[row["case"]]["age_ms_p99"] / row["age_ms_p99"], 2),
        }
        for row in rows
        if row["subject"] != "plain node" and row["age_ms_p50"] and peer[row["case"]]["age_ms_p50"]
    ]


def _draw(traces: dict[tuple[str, str], Heard], path: Path) -> None:
    """Age of each answer against time, one panel per case, logarithmic."""
    cases = list(dict.fromkeys(case for _, case in traces))
    columns = min(3, len(cases))
    rows = -(-len(cases) // columns)
    figure, panels = plt.subplots(rows, columns, figsize=(5 * columns, 3.2 * rows), squeeze=False, sharey=True)
    for panel, case in zip(panels.flat[: len(cases)], cases, strict=True):
        for (name, of_case), heard in traces.items():
            if of_case == case and heard.heard_ns:
                panel.plot(heard.at_s, heard.age_ms, linewidth=0.8, label=name)
        panel.set(title=f"{case} Hz", xlabel="time (s)", ylabel="age of the answer (ms)", yscale="log")
        panel.grid(alpha=0.3)
    panels.flat[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for node.json and node.png")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each window")
    cases = [f"{width}x{height}@{rate}" for width, height in SIZES for rate in RATES]
    parser.add_argument("--only", nargs="+", default=cases, metavar="WxH@HZ", help="cases to run; all by default")
    shipped = sorted((ROOT / "models").glob("*.onnx"))
    parser.add_argument(
        "--models", nargs="+", type=Path, default=shipped, help="ONNX files; those of models/ by default"
    )
    parser.add_argument("--kills", type=int, default=3, help="how often the camera is killed and comes back")
    options = parser.parse_args()
    run(options.out, options.seconds, options.only, options.models, options.kills)


if __name__ == "__main__":
    main()

"""`sarl-train demo`: from nothing to edge poses on a ROS 2 topic, with the errors beside ground truth. Simulated
throughout.

simulate -> pretrain SARL without labels -> linear probe -> export -> the real perception node and a simulated camera
as separate processes over DDS -> one table. The verbs do the work; this page only composes them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sarl_training import export, pretrain, probe, simulate
from sarl_training.atomic_file import write_atomically
from sarl_training.config import check_seed
from sarl_training.errors import RunFailed, UsageError
from sarl_training.output_place import check_writable
from sarl_training.run_folder import provenance

# Sized for 15 minutes on two cores: what is smaller than the paper is the image, the data and the number of epochs.
SUITE, IMAGE_SIZE, EPOCHS, BATCH_SIZE = "demo", 64, 6, 32
FRAMES, RATE_HZ = 300, 30.0
TASK = "edge_pose"
MARK = "made_by_sarl_train_demo.txt"
AXES = ("x_mm", "z_mm", "theta_deg")
_ROWS = (
    ("mean predictor", "mean"),
    ("linear probe, random-init encoder", "random_init"),
    ("linear probe, SARL encoder", "sarl"),
)


@dataclass(frozen=True)
class DemoConfig:
    """Everything in one go, small: simulate, pretrain, probe, export, publish over ROS 2, compare with ground truth."""

    out: Path = Path("runs/demo")
    """Folder of the demo; what an earlier demo left there is replaced, a folder of anything else refused."""
    seed: int = 0
    """Seed of the data and the training."""

    def __post_init__(self) -> None:
        check_seed(self.seed)


def run(config: DemoConfig) -> None:
    """Write `summary.json` and pictures into `config.out`; RunFailed when the workspace is not built or a process
    fails, UsageError when `config.out` holds what no demo made.
    """
    began = time.monotonic()
    workspace = _workspace()
    data, encoder, model = config.out / "data", config.out / "pretrain", config.out / "model" / "vitactip_demo.onnx"
    clear(config.out)
    _stage("1/5 simulate", lambda: simulate.run(simulate.SimulateConfig(out=data, suite=SUITE, seed=config.seed)))
    words = ["sarl", "--data", data, "--out", encoder, "--image-size", IMAGE_SIZE, "--epochs", EPOCHS]
    words += ["--batch-size", BATCH_SIZE, "--seed", config.seed]
    _stage("2/5 pretrain without labels", lambda: pretrain.run(pretrain.parse([str(word) for word in words])))
    probe_config = probe.ProbeConfig(
        encoder=encoder, data=data, out=config.out / "probe", tasks=(TASK,), seed=config.seed
    )
    _stage("3/5 probe", lambda: probe.run(probe_config))
    _stage("4/5 export", lambda: export.run(export.ExportConfig(encoder=encoder, data=data, out=model)))
    ros_file = config.out / "ros" / "ros.json"
    _stage("5/5 publish over ROS 2", lambda: _publish(workspace, model, data, ros_file))
    summary = _summary(config, json.loads(ros_file.read_text(encoding="utf-8")), time.monotonic() - began)
    write_atomically(config.out / "summary.json", (json.dumps(summary, indent=2) + "\n").encode())
    print("\n".join(_report(config, summary, model, data)))


def clear(out: Path) -> None:
    """Remove what an earlier demo left in `out`; UsageError, and nothing is removed, if no demo made it."""
    check_writable(out)
    mark = out / MARK
    if out.exists() and any(out.iterdir()) and not mark.exists():
        raise UsageError(f"--out {out}: holds files that no demo made; choose another, or a folder that does not exist")
    write_atomically(mark, b"A later sarl-train demo may replace what is in this folder.\n")
    for name in ("data", "data.partial", "pretrain", "probe", "model", "ros"):
        shutil.rmtree(out / name, ignore_errors=True)


def _stage(title: str, work: Callable[[], None]) -> None:
    start = time.monotonic()
    print(f"\n== {title}", flush=True)
    work()
    print(f"== {title}: {time.monotonic() - start:.0f} s", flush=True)


def _workspace() -> Path:
    """The ROS 2 workspace beside this checkout; RunFailed before any work when it is not built."""
    folder = Path(__file__).resolve().parents[1] / "ros2_ws"
    if not (folder / "install").is_dir():
        raise RunFailed(f"{folder}: the ROS 2 workspace is not built; run make setup, then make demo")
    return folder


def _publish(workspace: Path, model: Path, data: Path, out: Path) -> None:
    words = [workspace / "env.sh", "python", "-m", "sarl_demo.measure", "--model", model, "--data", data, "--out", out]
    words += ["--frames", FRAMES, "--rate", RATE_HZ]
    result = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        said = (result.stderr or result.stdout).strip().splitlines() or ["no output"]
        raise RunFailed(f"the ROS 2 part failed: {said[-1]}; logs are in {out.parent}")


def _summary(config: DemoConfig, ros: dict[str, float], seconds: float) -> dict[str, object]:
    record = json.loads((config.out / "probe" / "probe.json").read_text(encoding="utf-8"))
    scores = record["tasks"][TASK]
    probes = {
        key: {axis: scores[model]["test"][axis] for axis in AXES}
        for key, model in (("sarl", "encoder"), ("random_init", "random_init"), ("mean", "mean"))
    }
    return {
        "simulated": True,
        **provenance(),
        "seed": config.seed,
        "seconds": round(seconds, 1),
        "probe": probes,
        "ros": ros,
    }


def _report(config: DemoConfig, summary: dict, model: Path, data: Path) -> list[str]:
    ros = summary["ros"]
    lines = [
        "",
        "Edge pose, mean absolute error on held-out simulated contacts",
        f"{'':36} {'x mm':>8} {'z mm':>8} {'theta deg':>10}",
    ]
    rows = [(label, summary["probe"][key]) for label, key in _ROWS] + [("published by the ROS 2 node", ros)]
    lines += [f"{label:36} {row['x_mm']:8.3f} {row['z_mm']:8.3f} {row['theta_deg']:10.2f}" for label, row in rows]
    lines += [
        "",
        f"ROS 2: {ros['sent']} frames sent, {ros['answered']} answered, {ros['dropped']} dropped; "
        f"latency p50 {ros['latency_ms_p50']:.1f} ms, p99 {ros['latency_ms_p99']:.1f} ms (from image stamp to answer)",
        f"{summary['seconds']:.0f} s in all. Numbers: {config.out / 'summary.json'}",
        f"Pictures: {data / TASK / 'contact_sheet.png'}  {config.out / 'probe'}/  {model.parent}/",
        "Next: ros2_ws/env.sh python -m sarl_perception.perception_node --ros-args "
        f"-p model:={model.resolve()}     (or ros2 launch launch/vitactip.launch.py model:={model.resolve()})",
    ]
    return lines

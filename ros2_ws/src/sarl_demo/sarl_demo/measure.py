"""Run the perception node, the simulated camera and the recorder as separate processes and write what came of it.

    ros2_ws/env.sh python -m sarl_demo.measure --model model.onnx --data runs/data --out runs/ros.json

The processes talk over DDS on this machine only, on a ROS domain of their own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from sarl_demo.processes import STOP_TIMEOUT_S, RunFailed, local_environment, parameters, running
from sarl_demo.simulated_camera import PARAMETERS


def measure(
    *, model: Path, data: Path, out: Path, frames: int, rate: float, patience: float, camera: list[str], node: list[str]
) -> dict[str, float | None]:
    """Summary of one run (also written to `out`); logs of the processes lie beside it. Raises `RunFailed`.

    `patience` is how long the first frame may take, s; `camera` and `node` are further parameters, as NAME:=VALUE.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    environment = local_environment()
    replay = [f"dataset:={data.absolute()}", f"count:={frames}", f"rate:={float(rate)}", "wait_for:=all"]
    processes = {
        "sarl_perception.perception_node": parameters([f"model:={model.absolute()}", *node]),
        "sarl_demo.simulated_camera": parameters([*replay, *camera]),
        "sarl_demo.recorder": ["--out", str(out), "--patience", str(patience)],
    }
    out.unlink(missing_ok=True)
    with ExitStack() as stack:
        for module, words in processes.items():
            log = out.parent / f"{module.rpartition('.')[2]}.log"
            listener = stack.enter_context(running(["-m", module, *words], environment, log))
        status = listener.wait(timeout=patience + 2 * frames / rate + STOP_TIMEOUT_S)
    if status != 0:
        raise RunFailed(f"nothing was recorded: see {', '.join(str(log) for log in sorted(out.parent.glob('*.log')))}")
    summary = json.loads(out.read_text(encoding="utf-8"))
    if summary["unknown_stamps"] or not summary["posed"]:
        raise RunFailed(
            f"{summary['posed']} poses, {summary['unknown_stamps']} with the stamp of no sent frame: see {out}"
        )
    return summary


def main() -> int:
    """Command line of `measure`."""
    parser = argparse.ArgumentParser(
        prog="measure", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="ONNX file written by sarl-train export")
    parser.add_argument("--data", type=Path, required=True, help="dataset folder; its test split is replayed")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write; logs lie beside it")
    parser.add_argument("--frames", type=int, default=300, help="frames to send")
    parser.add_argument("--rate", type=float, default=PARAMETERS["rate"][0], help="frames per second")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds to wait for the first frame")
    for name in ("camera", "node"):
        parser.add_argument(
            f"--{name}", action="append", default=[], metavar="NAME:=VALUE", help=f"parameter of the {name}; repeatable"
        )
    try:
        print(json.dumps(measure(**vars(parser.parse_args())), indent=2))
    except (RunFailed, subprocess.TimeoutExpired) as error:
        print(f"measure: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

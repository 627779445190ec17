"""Follow every outline once round: perception node, moving camera and follower as processes, scored against the truth.

    ros2_ws/env.sh python -m sarl_demo.servo --model models/vitactip_sim.onnx --out runs/servo
    ros2_ws/env.sh python -m sarl_demo.servo --outlines square clover --seeds 5 --fault kill --out runs/servo_kill

Faults: `kill` ends the perception node (SIGKILL) half way round and starts it again two seconds later; `lossy` drops
20 % of the frames and delays the others by 30 ms. Everything is simulated, in real time, on this machine only.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from ament_index_python.packages import get_package_share_directory

from sarl_demo.processes import RunFailed, local_environment
from sarl_demo.recorder import write_json
from sarl_demo.servo_pictures import draw_outline, draw_sheet
from sarl_demo.servo_run import FAULTS, follow_once
from sarl_demo.settings import PARAMETER_FILE, FollowerSettings, read_file
from sarl_training.simulation.outlines import OUTLINES

LATERAL_BAR_MM, DEPTH_BAR_MM, STOP_BAR_S = 0.5, 0.3, 0.2
_COLUMNS = ("lateral_rms_mm", "lateral_max_mm", "depth_rms_mm", "depth_max_mm", "seconds", "stopped_after_s")
_TITLES = ("x RMS mm", "x max mm", "z RMS mm", "z max mm", "s", "stop s")


def is_good(run: dict[str, object]) -> bool:
    """Once round and within the bars."""
    stopped_s = run["stopped_after_s"]
    return (
        bool(run["is_round"])
        and run["lateral_rms_mm"] <= LATERAL_BAR_MM
        and run["depth_rms_mm"] <= DEPTH_BAR_MM
        and (run["fault"] != "kill" or (stopped_s is not None and stopped_s <= STOP_BAR_S))
    )


def table(runs: list[dict[str, object]]) -> list[str]:
    """One line per run."""
    lines = [f"{'outline':10} {'seed':>4} {'fault':6} {'round':>6} " + " ".join(f"{title:>9}" for title in _TITLES)]
    for run in runs:
        cells = ("-" if run[name] is None else f"{run[name]:.3f}" for name in _COLUMNS)
        share = f"{100 * run['share_round']:.0f} %"
        head = f"{run['outline']:10} {run['seed']:4} {run['fault']:6} {share:>6} "
        lines.append(head + " ".join(f"{cell:>9}" for cell in cells) + ("" if is_good(run) else "  MISSED"))
    return lines


def write(out: Path, runs: list[dict[str, object]]) -> None:
    """`servo.json`, whole or not at all."""
    root = Path(__file__).resolve().parent
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=root, capture_output=True, text=True, check=False
    )
    record = {
        "simulated": True,
        "command": shlex.join(["python", "-m", "sarl_demo.servo", *sys.argv[1:]]),
        "commit": commit.stdout.strip() or "unknown",
        "bars": {"lateral_rms_mm": LATERAL_BAR_MM, "depth_rms_mm": DEPTH_BAR_MM, "stopped_after_s": STOP_BAR_S},
        "runs": runs,
    }
    write_json(out / "servo.json", record)


def run_all(options: argparse.Namespace) -> list[dict[str, object]]:
    """Every outline with every seed, one after the other; results are written after each."""
    settings = read_file(
        Path(get_package_share_directory("sarl_demo")) / PARAMETER_FILE, "edge_follower", FollowerSettings
    )
    options.out.mkdir(parents=True, exist_ok=True)
    runs: list[dict[str, object]] = []
    for name in options.outlines:
        trajectories = []
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            logs = options.out / "logs" / f"{name}_{seed}"
            logs.mkdir(parents=True, exist_ok=True)
            with ExitStack() as stack:
                result, trajectory = follow_once(
                    stack,
                    local_environment(),
                    logs,
                    model=options.model.resolve(),
                    outline=name,
                    seed=seed,
                    fault=options.fault,
                    settings=settings,
                    patience_s=options.patience,
                )
            runs.append(result)
            trajectories.append(trajectory)
            print(table([result])[-1], flush=True)
            write(options.out, runs)
        draw_outline(options.out / f"{name}.png", name, trajectories)
    draw_sheet(options.out / "sheet.png", [options.out / f"{name}.png" for name in options.outlines])
    return runs


def main() -> int:
    """Command line of `servo`: 0 when every run came round within the bars."""
    parser = argparse.ArgumentParser(
        prog="servo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=Path("models/vitactip_sim.onnx"), help="ONNX file")
    parser.add_argument("--out", type=Path, required=True, help="folder for servo.json, pictures and logs")
    parser.add_argument("--outlines", nargs="+", choices=tuple(OUTLINES), default=list(OUTLINES), help="what to follow")
    parser.add_argument("--seeds", type=int, default=1, help="runs per outline")
    parser.add_argument("--first-seed", type=int, default=0, help="seed of the first run")
    parser.add_argument("--fault", choices=tuple(FAULTS), default="none", help="what goes wrong")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds to wait for the first contact")
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"--seeds {options.seeds}: at least 1 is needed")
    try:
        runs = run_all(options)
    except RunFailed as error:
        print(f"servo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1
    print(
        "\n".join(["", "Edges followed once round, simulated", *table(runs), f"Numbers: {options.out / 'servo.json'}"])
    )
    print(f"Pictures: {options.out / 'sheet.png'}")
    return 0 if all(is_good(run) for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main())

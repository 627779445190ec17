"""The real benchmark command, killed in the middle and started again; and runs spread over processes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_dataset import write_dataset

from sarl_training.benchmarking import schedule
from sarl_training.benchmarking.plan import Run
from sarl_training.benchmarking.presets import PRESETS
from sarl_training.benchmarking.sources import Sources
from sarl_training.benchmarking.work import Workplace


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_killed_benchmark_goes_on_and_repeats_nothing(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "sarl_training", "benchmark", "readouts", "--preset", "smoke", "--device", "cpu"]
    words += ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    environment = {**os.environ, "SARL_CACHE": str(tmp_path / "cache")}
    results, first = tmp_path / "out" / "results.json", "smoke/pretrain/sarl/vitactip/s0"
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not results.exists() and process.poll() is None:
        time.sleep(0.05)
    process.kill()
    process.wait()
    before = json.loads(results.read_text())["records"]
    assert set(before) == {first}, "killed too late"

    again = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr[-2000:]
    assert "2 runs, 1 done, 1 to do" in again.stdout
    assert not list((tmp_path / "work").rglob("step_*.pt")), "checkpoints of finished runs are kept"
    after = json.loads(results.read_text())["records"]
    assert after[first] == before[first]
    readouts = after["smoke/readouts/sarl/vitactip/s0"]
    assert readouts["cost"]["spatial/features"] == 12288
    assert {f"{r}+{f}/edge_pose/z_mm" for r in ("gap", "multipool", "spatial") for f in ("ridge", "sgd")} <= set(
        readouts["test"]
    )
    for name in ("commit", "config_sha256", "data_sha256", "device", "wall_s", "seed", "preset", "method"):
        assert readouts[name] not in (None, ""), name
    assert "Readouts" in (tmp_path / "out" / "RESULTS.md").read_text()


@pytest.mark.slow
def test_runs_are_spread_over_processes_and_one_that_fails_is_named(tmp_path: Path) -> None:
    own = write_dataset(tmp_path / "own", {"edge_pose": 40})
    place = Workplace(tmp_path / "work", Sources(tmp_path / "data", PRESETS["smoke"], own), "cpu")
    runs = [Run("smoke", "probe", "mean", seed) for seed in range(2)]
    broken = Run("smoke", "transfer", "random_init", 0, "gelsight", "carbide_tools")
    left_over = schedule._outcome(place.run_folder(broken.key)) / "record.json"
    left_over.parent.mkdir(parents=True)
    left_over.write_text('{"key": "of a benchmark that was killed"}')
    stored: list[dict[str, object]] = []
    failed = schedule.do_spread([*runs, broken], place, stored.append, ["0", "1"])
    assert {record["key"] for record in stored} == {run.key for run in runs}
    assert set(failed) == {broken.key} and "no such folder" in failed[broken.key]

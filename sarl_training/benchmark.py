"""`sarl-train benchmark TABLE ...`: the paper's tables from one command that can be killed and started again.

plan -> datasets -> runs, skipping what is recorded -> results.json -> RESULTS.md and pictures.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from sarl_training.benchmarking import pages, schedule
from sarl_training.benchmarking.expected import expected_seconds, spelled
from sarl_training.benchmarking.plan import Run, plan
from sarl_training.benchmarking.presets import PRESETS, PresetName
from sarl_training.benchmarking.records import Record, merge_record, read_records
from sarl_training.benchmarking.sources import Sources
from sarl_training.benchmarking.work import Workplace
from sarl_training.config import Device
from sarl_training.dataset import Dataset
from sarl_training.device import device_name, resolve_device
from sarl_training.errors import RunFailed, UsageError
from sarl_training.output_place import check_writable
from sarl_training.run_folder import RunFolder

Name = Literal["table1", "table2", "table3", "table4", "fig4", "labels", "readouts", "all"]


@dataclass(frozen=True)
class BenchmarkConfig:
    """Run the benchmark: the paper's Tables I to IV and Fig. 4, error against labels, and readouts. What is done is
    skipped; the same command goes on after a crash."""

    names: tyro.conf.Positional[tuple[Name, ...]]
    """Which parts."""
    preset: PresetName = "cpu"
    """Size: full (the paper's), standard, cpu_long (three times cpu), cpu (a night on two cores), smoke (two minutes;
    says nothing)."""
    augment: Literal["own", "shared"] = "own"
    """Whose views the baselines of Table I have: each its own paper's, or all SARL's. Both are kept side by side."""
    data: Path | None = None
    """A labelled dataset of your own instead of the simulated one; transfer sets are simulated in any case. Its
    results stand beside the simulated ones, under its name and the start of its SHA-256."""
    work: Path = Path("runs/benchmark")
    """Folder for datasets and runs, one below it per preset."""
    out: Path | None = None
    """Folder for results.json, RESULTS.md and pictures; models when not given, and for smoke results in the work
    folder. Records of other runs in results.json stay."""
    device: Device = "auto"
    """Where to compute; with several GPUs every one works."""
    plan_only: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Show the plan and the expected time, and stop."""

    def __post_init__(self) -> None:
        if not self.names:
            raise UsageError("benchmark: name a part, for example table1, or all")
        if self.data is not None and Dataset.open(self.data).flat:
            raise UsageError(f"--data {self.data}: images without labels; give a dataset folder with dataset.json")


def run(config: BenchmarkConfig) -> None:
    """Do what is left, then write the pages; RunFailed at the end names the runs that failed."""
    preset, device = PRESETS[config.preset], resolve_device(config.device)
    work = config.work / preset.name
    out = config.out or (work / "results" if preset.name == "smoke" else Path("models"))
    for folder in (config.work, out):
        check_writable(folder)
    place = Workplace(work, Sources(work / "data", preset, config.data), config.device)
    place.sources.check(config.names)
    labelled = place.sources.labelled()
    runs = plan(config.names, preset, labelled, config.augment, place.sources.name())

    records = read_records(out / pages.RECORDS)
    todo = schedule.left_to_do(runs, records, place)
    seconds, how = expected_seconds(todo, records.values(), labelled, preset, device)
    gpus = visible_gpus() if device.type == "cuda" else []
    workers = max(len(gpus), 1)
    shows = f"dataset {config.data} instead of the simulated one" if config.data else preset.shows
    print(f"benchmark {' '.join(config.names)}, preset {preset.name} on {device_name(device)}: {shows}")
    print(f"{len(runs)} runs, {len(runs) - len(todo)} done, {len(todo)} to do: {_counted(todo)}")
    print(f"expected: {spelled(seconds / workers)} on {workers} device(s) ({how}), simulation not counted")
    if config.plan_only:
        print("\n".join(run.key for run in todo))
        return

    with _alone_in(work):
        try:
            failed = _do(todo, place, out, gpus, config.device)
        finally:
            _show(out)  # whatever stopped it
    if failed:
        print("\n".join(["", "failed:", *(f"  {key}: {reason}" for key, reason in failed.items())]))
        raise RunFailed(f"{len(failed)} of {len(todo)} runs failed, listed above; the same command tries them again")


@contextlib.contextmanager
def _alone_in(work: Path) -> Iterator[None]:
    """UsageError when another benchmark is at work in this folder."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"--work {work.parent}: another benchmark of this preset is running there; wait, or give another"
            ) from error
        yield


def _show(out: Path) -> None:
    """Write the pages of what is recorded, if anything is."""
    records = read_records(out / pages.RECORDS)
    if records:
        pages.write_page(out, records)
        print(f"written: {out / pages.PAGE}, {out / pages.RECORDS}")


def visible_gpus() -> list[str]:
    """Entries for CUDA_VISIBLE_DEVICES, one per GPU that this process may use."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    return given.split(",") if given else [str(index) for index in range(torch.cuda.device_count())]


def _do(todo: Sequence[Run], place: Workplace, out: Path, gpus: Sequence[str], device: Device) -> dict[str, str]:
    def store(record: Record) -> None:
        merge_record(out / pages.RECORDS, record)
        RunFolder(place.run_folder(record["key"])).forget_checkpoints()

    try:
        place.sources.simulate_missing(todo, device)
        if len(gpus) > 1:
            return schedule.do_spread(todo, place, store, gpus)
        return schedule.do_here(todo, place, store)
    except KeyboardInterrupt as error:
        raise RunFailed("interrupted; what is done is kept, and the same command goes on") from error


def _counted(runs: Sequence[Run]) -> str:
    counts = Counter(run.kind for run in runs)
    return ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "nothing"

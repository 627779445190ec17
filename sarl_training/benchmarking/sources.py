"""The datasets that a benchmark reads: the user's own, or simulated ones written on first use."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from sarl_training import simulate
from sarl_training.benchmarking.plan import NEEDS, SENSORS, TABLES, TASKS, Run, tables_of
from sarl_training.benchmarking.presets import Preset
from sarl_training.config import Device
from sarl_training.dataset import Dataset, Table
from sarl_training.dataset_writer import DatasetWriter
from sarl_training.errors import DataRefused
from sarl_training.task_tables import task_tables
from sarl_training.tasks import TASKS as SIMULATED_TASKS

_NOT_IN_NAMES = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class Sources:
    """Where the datasets are. `own` is a labelled dataset that takes the place of the simulated ViTacTip."""

    folder: Path
    preset: Preset
    own: Path | None = None

    def path(self, data: str) -> Path:
        """Dataset folder of `main`, `modalities` (the same contacts seen by other sensors) or `transfer`."""
        if data != "transfer" and self.own is not None:
            return self.own
        return self.folder / data

    def simulate_missing(self, runs: Iterable[Run], device: Device) -> None:
        """Write the datasets that these runs need and that are not there; goes on with a half-written one."""
        for data in dict.fromkeys(run.data for run in runs):
            path = self.path(data)
            if path.is_dir() and (path / "dataset.json").exists():
                continue
            transfer = data == "transfer"
            simulate.run(
                simulate.SimulateConfig(
                    out=path,
                    suite=self.preset.transfer_suite if transfer else self.preset.suite,
                    sensors=() if transfer else ("vitactip",) if data == "main" else SENSORS[:2],
                    image_size=self.preset.render_size,
                    device=device,
                    resume=path.with_name(path.name + DatasetWriter.SUFFIX).exists(),
                )
            )

    def hash(self, data: str) -> str:
        """SHA-256 of a dataset, empty while it is not there."""
        path = self.path(data)
        return Dataset.open(path).data_hash() if (path / "dataset.json").exists() else ""

    def name(self) -> str:
        """Names the own dataset in keys and folders, another one when its contents change; empty without one."""
        if self.own is None:
            return ""
        name = str(Dataset.open(self.own).info.get("name", self.own.resolve().name))
        return f"{_NOT_IN_NAMES.sub('_', name)[:40]}-{self.hash('main')[:8]}"

    def labelled(self) -> dict[str, int]:
        """Samples of train and val by task, of the tasks that the tables have."""
        if self.own is None:
            counts = simulate.SUITES[self.preset.suite]
            splits = {name: simulate.split_names(SIMULATED_TASKS[name], counts[name], 0) for name in TASKS}
            return {name: sum(split != "test" for split in split_of) for name, split_of in splits.items()}
        tables = _tables(Dataset.open(self.own), "vitactip")
        return {name: int((table.split != "test").sum()) for name, table in tables.items()}

    def check(self, names: Collection[str]) -> None:
        """DataRefused when the own dataset lacks what one of these tables needs: labels, a split, a batch of images."""
        if self.own is None:
            return
        dataset, wanted = Dataset.open(self.own), tables_of(names)
        lacks = {table: _lack(dataset, table) for table in TABLES}
        for table in wanted:
            if lacks[table]:
                has = ", ".join(f"{task} ({' '.join(dataset.sensors(task))})" for task in dataset.tasks())
                enough = " ".join(table for table in TABLES if not lacks[table])
                raise DataRefused(
                    f"--data {self.own}: no {lacks[table]}, which {table} needs; there is {has}; "
                    f"that is enough for {enough or 'no table'}"
                )
        for sensor in dict.fromkeys(sensor for table in wanted for sensor in NEEDS[table][0]):
            _tables(dataset, sensor)
            images = len(dataset.ssl_pool(sensor))
            if images < self.preset.batch_size:
                raise DataRefused(
                    f"--data {self.own}: {images} images of {sensor} in train and val; preset {self.preset.name} "
                    f"pretrains with batches of {self.preset.batch_size}; give more, or a smaller --preset"
                )


def _lack(dataset: Dataset, table: str) -> str:
    """What the dataset lacks for a table; empty when it has all."""
    sensors, tasks = NEEDS[table]
    lacking = [name for name in sensors if not any(name in dataset.sensors(task) for task in tasks or dataset.tasks())]
    what = f"labels of {' or '.join(tasks)}" if tasks else "images"
    return f"{what} for {' or '.join(lacking)}" if lacking else ""


def _tables(dataset: Dataset, sensor: str) -> dict[str, Table]:
    """Of the tasks of the benchmark that the dataset has for a sensor; DataRefused when one lacks a split."""
    names = [name for name in TASKS if sensor in dataset.sensors(name)]
    return task_tables(dataset, names, sensor) if names else {}

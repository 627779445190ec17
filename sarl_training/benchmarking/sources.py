"""The datasets that a benchmark reads: the user's own, or simulated ones written on first use."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sarl_training import simulate
from sarl_training.benchmarking.plan import SENSORS, TASKS, Run
from sarl_training.benchmarking.presets import Preset
from sarl_training.config import Device
from sarl_training.dataset import Dataset
from sarl_training.dataset_writer import DatasetWriter
from sarl_training.task_tables import known_tasks
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
        dataset = Dataset.open(self.own)
        known = known_tasks(dataset)
        names = [name for name in TASKS if name in dataset.tasks() and name in known]
        tables = {name: dataset.table(name, "vitactip", known[name].columns) for name in names}
        return {name: int((table.split != "test").sum()) for name, table in tables.items()}

"""The label tables a verb works on: known tasks that the dataset has, every split filled."""

import logging
from collections.abc import Sequence

import numpy as np

from sarl_training.dataset import Dataset, Table
from sarl_training.errors import DataRefused, UsageError
from sarl_training.labels import SPLITS
from sarl_training.tasks import Task
from sarl_training.tasks.declared import tasks_of

logger = logging.getLogger(__name__)


def known_tasks(dataset: Dataset) -> dict[str, Task]:
    """The built-in tasks and those that the dataset's own dataset.json declares."""
    return tasks_of(dataset.info, dataset.path / "dataset.json")


def task_tables(dataset: Dataset, names: Sequence[str], sensor: str) -> dict[str, Table]:
    """Checked tables of `names` (all known tasks of the dataset for `sensor` when empty).

    Raises UsageError for unknown words, DataRefused for a folder without labels or a task that lacks a split, or whose
    train labels are all the same.
    """
    if dataset.flat:
        raise DataRefused(f"{dataset.path}: a folder of images without labels; give a dataset folder with dataset.json")
    tasks = known_tasks(dataset)
    for name in names:
        if name not in tasks:
            raise UsageError(f"--tasks {name}: unknown task; choose from {', '.join(tasks)}")
    chosen = names or [name for name in dataset.tasks() if name in tasks and sensor in dataset.sensors(name)]
    if not chosen:
        known = sorted({name for task in dataset.tasks() for name in dataset.sensors(task)})
        raise UsageError(
            f"--sensor {sensor}: no known task has it in {dataset.path}; give one of its own: {', '.join(known)}"
        )
    tables = {name: dataset.table(name, sensor, tasks[name].columns) for name in chosen}
    for name, table in list(tables.items()):
        problem = _problem(tasks[name], table)
        if problem and (names or len(tables) == 1):
            raise DataRefused(f"{table.path}: {problem}; simulate or label more contacts")
        if problem:
            logger.warning("%s: %s: task %s is left out", table.path, problem, name)
            del tables[name]
    return tables


def _problem(task: Task, table: Table) -> str:
    """Why nothing can be learned or measured on a table; empty where it can."""
    missing = [split for split in SPLITS if split not in table.split]
    if missing:
        return f"no {' or '.join(missing)} sample; all of {', '.join(SPLITS)} are needed"
    train = table.part("train")
    if task.kind == "classification":
        classes = np.unique(train.columns["label"])
        return f"every train sample is {table.class_names[classes[0]]}" if len(classes) == 1 else ""
    still = next((name for name in task.columns if not np.ptp(train.columns[name])), None)
    return f"{still} is {train.columns[still][0]:g} in every train sample" if still else ""

"""The classification sets of a dataset that can be transferred to."""

from collections.abc import Sequence

from sarl_training.dataset import Dataset, Table
from sarl_training.errors import DataRefused, UsageError
from sarl_training.labels import SPLITS
from sarl_training.task_tables import known_tasks


def transfer_tables(dataset: Dataset, names: Sequence[str], sensors: Sequence[str]) -> dict[tuple[str, str], Table]:
    """Table by (set, sensor), of `names` and `sensors` or of all; each has every split and at least two classes.

    Raises UsageError for words that the dataset does not know, DataRefused for a folder or set that cannot be used.
    """
    if dataset.flat:
        raise DataRefused(
            f"{dataset.path}: images without labels; make a dataset of it with sarl-train ingest class_folders"
        )
    tasks = known_tasks(dataset)
    have = {
        name: dataset.sensors(name)
        for name in dataset.tasks()
        if name in tasks and tasks[name].kind == "classification"
    }
    known = sorted({sensor for group in have.values() for sensor in group})
    for flag, words, allowed in (("--tasks", names, sorted(have)), ("--sensors", sensors, known)):
        for word in words:
            if word not in allowed:
                raise UsageError(f"{flag} {word}: {dataset.path} has {', '.join(allowed) or 'no classes'}")
    chosen = [(name, sensor) for name in names or have for sensor in have[name] if not sensors or sensor in sensors]
    if not chosen:
        raise DataRefused(f"{dataset.path}: no classification set with the sensors asked for; label classes in it")
    tables = {pair: dataset.table(*pair, ("label",)) for pair in chosen}
    for table in tables.values():
        missing = [split for split in SPLITS if split not in table.split]
        if missing or len(table.class_names) < 2:
            problem = f"no {' or '.join(missing)} image" if missing else f"one class only, {table.class_names[0]}"
            raise DataRefused(f"{table.path}: {problem}; add images, or leave the set out with --tasks")
    return tables

"""`sarl-train ingest LAYOUT SRC`: real frames and labels of a foreign layout as a dataset folder.

Images are read one at a time. What was read and what was refused, with reasons, is printed and kept in `read.csv`.
"""

from __future__ import annotations

import tyro

from sarl_training.adapters import ADAPTERS, IngestConfig, Reading
from sarl_training.dataset_writer import DatasetWriter
from sarl_training.errors import DataRefused, UsageError
from sarl_training.ingested import ingest_items, report_lines
from sarl_training.run_folder import git_commit
from sarl_training.tasks import TASKS, Task
from sarl_training.tasks.declared import classification_task, declaration, regression_task

__all__ = ["parse", "run"]


def parse(argv: list[str]) -> IngestConfig:
    """Words after `sarl-train ingest` to the config of a layout; UsageError for an unknown one."""
    known = ", ".join(ADAPTERS)
    if argv and argv[0] in ("-h", "--help"):
        print(
            "usage: sarl-train ingest LAYOUT SRC --out DIR [options]\n\n"
            f"Layouts: {known}\nOptions: sarl-train ingest {next(iter(ADAPTERS))} --help"
        )
        raise SystemExit(0)
    if not argv or argv[0] not in ADAPTERS:
        wrong = f"ingest {argv[0]}: unknown layout" if argv else "ingest: no layout given"
        raise UsageError(f"{wrong}; say for example `sarl-train ingest flat ...`; known: {known}")
    return tyro.cli(ADAPTERS[argv[0]].Config, args=argv[1:], prog=f"sarl-train ingest {argv[0]}")


def run(config: IngestConfig) -> None:
    """Write the dataset; raises DataRefused when nothing could be read, and leaves no folder then."""
    layout, adapter = next((name, a) for name, a in ADAPTERS.items() if a.Config is type(config))
    with adapter.open(config) as reading:
        for note in reading.notes:
            print(note)
        tasks = {name: _regression(name, dict(axes)) for name, axes in reading.axes.items()}
        tasks |= {name: _classes(name) for name in reading.classes}
        info = _info(config, layout, reading, tasks)
        with DatasetWriter(config.out, info, config.resume) as writer:
            try:
                found = ingest_items(reading, config, writer)
                found.write(writer, config)
            except DataRefused:
                writer.discard()
                raise
    print("\n".join(report_lines(found, config)))


def _info(config: IngestConfig, layout: str, reading: Reading, tasks: dict[str, Task]) -> dict[str, object]:
    return {
        "name": config.out.name,
        "version": 1,
        "simulated": False,
        "source": {
            "layout": layout,
            "path": str(config.src),
            "commit": git_commit(),
            "notes": list(reading.notes),
            "region": list(config.region or ()),
            "image_size": config.image_size,
        },
        "seed": config.seed,
        "splits": config.splits,
        "units": {
            column: unit
            for task in tasks.values()
            if task.axes
            for column, unit in zip(task.columns, task.units, strict=True)
        },
        "tasks": {name: declaration(task) for name, task in tasks.items() if name not in TASKS},
        "licence": config.licence or "not given",
    }


def _regression(name: str, axes: dict[str, str]) -> Task:
    """The built-in task when its axes are there in its units, else a task of the dataset's own."""
    if name not in TASKS:
        return regression_task(name, axes)
    task = TASKS[name]
    found = {f"{axis}_{unit}" for axis, unit in axes.items()}
    if found != set(task.columns):
        raise UsageError(
            f"--task {name}: needs the labels {', '.join(task.columns) or 'label'}, found {', '.join(sorted(found))}; "
            "name them with --axes NAME=COLUMN:UNIT, or give the task a name of its own"
        )
    return task


def _classes(name: str) -> Task:
    if name not in TASKS:
        return classification_task(name)
    if TASKS[name].kind != "classification":
        raise UsageError(f"--task {name}: needs the labels {', '.join(TASKS[name].columns)}, the source has classes")
    return TASKS[name]

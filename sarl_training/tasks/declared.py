"""Tasks that a dataset brings along: named axes with units, or classes, declared under `tasks` in its dataset.json."""

import re
from collections.abc import Mapping
from pathlib import Path

from sarl_training.errors import DataRefused, UsageError
from sarl_training.tasks import TASKS, Task
from sarl_training.units import SI

NAME = re.compile(r"[a-z][a-z0-9_]*")
# Topics, tensors and endings that already mean something in a model file or on the robot.
RESERVED = {
    "image", "image_raw", "overlay", "diagnostics", "unfamiliarity", "saliency",
    *(task.output for task in TASKS.values()),
}  # fmt: skip
RESERVED_ENDINGS = ("_covariance", "_probability", "_probabilities")
MOST_AXES = 16


def regression_task(name: str, axes: Mapping[str, str]) -> Task:
    """A free regression task from axis name -> dataset unit; UsageError says which word cannot be used."""
    _check_name("--task", name)
    if not 1 <= len(axes) <= MOST_AXES:
        raise UsageError(f"task {name}: {len(axes)} axes, allowed are 1 to {MOST_AXES}; choose with --axes")
    for axis, unit in axes.items():
        if not NAME.fullmatch(axis):
            raise UsageError(
                f"axis {axis!r}: lower-case letters, digits and _ are allowed; name it as NAME=COLUMN:UNIT"
            )
        if unit not in SI:
            raise UsageError(f"axis {axis}: unit {unit!r} is not one of {', '.join(SI)}; correct it")
    return Task(name, "regression", tuple(f"{axis}_{unit}" for axis, unit in axes.items()), name, "vector")


def classification_task(name: str) -> Task:
    """A free classification task; UsageError when the name cannot be used."""
    _check_name("--task", name)
    return Task(name, "classification", ("label",), f"{name}_probabilities", "classification")


def declaration(task: Task) -> dict[str, object]:
    """What dataset.json says of a free task."""
    return {"kind": task.kind, "columns": list(task.columns)}


def tasks_of(info: Mapping[str, object], where: Path) -> dict[str, Task]:
    """The built-in tasks and those that a dataset.json declares; DataRefused names what it cannot mean."""
    tasks: dict[str, Task] = dict(TASKS)
    declared = info.get("tasks", {})
    if not isinstance(declared, Mapping):
        raise DataRefused(f"{where}: tasks: found {str(declared)[:80]}, name -> kind and columns is needed")
    for name, entry in declared.items():
        try:
            tasks[name] = _from_declaration(name, entry)
        except (UsageError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataRefused(
                f"{where}: tasks.{name}: {entry!r} ({error}); write for example "
                "{'kind': 'regression', 'columns': ['shear_x_mm', 'yaw_deg']}"
            ) from error
    return tasks


def _from_declaration(name: str, entry: Mapping[str, object]) -> Task:
    if entry["kind"] == "classification":
        return classification_task(name)
    if entry["kind"] != "regression":
        raise ValueError(f"kind {entry['kind']!r} is neither regression nor classification")
    return regression_task(name, dict(column.rsplit("_", 1) for column in entry["columns"]))


def _check_name(where: str, name: str) -> None:
    if not NAME.fullmatch(name):
        raise UsageError(f"{where} {name!r}: lower-case letters, digits and _ are allowed, a letter first; rename it")
    if name in TASKS or name in RESERVED or name.endswith(RESERVED_ENDINGS):
        raise UsageError(f"{where} {name}: already means something else; choose another name")

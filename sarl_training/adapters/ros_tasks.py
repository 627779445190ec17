"""Which tasks the label topics of a recording give, and which of them there is something to learn in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sarl_training.adapters.axes import Axis, choose_axes, header_unit
from sarl_training.adapters.base import NO_CONTACT, UNLABELLED, Record, Refused, commonest
from sarl_training.adapters.labelled import is_constant
from sarl_training.adapters.ros_angles import around_mean
from sarl_training.adapters.ros_config import RosbagConfig
from sarl_training.adapters.ros_labels import TopicLabels
from sarl_training.adapters.ros_messages import LABEL_KINDS
from sarl_training.errors import DataRefused, UsageError

EDGE_POSE = ("x=edge_x", "z=edge_z", "theta=edge_theta")
POSE = ("x", "y", "z", "roll", "pitch", "yaw")
DEFAULTS = {"wrench": ("force", ("fx", "fy", "fz")), "point": ("contact_point", ("px", "py", "pz"))}
TILTED = "edge tilted"  # how the reason begins
TILT_DEG, LARGEST_TILT_DEG = 5.0, 45.0
_CAUSES = {
    NO_CONTACT: "z of an edge is the press depth, above 0 when pressed: correct --object-pose or --frame-transform, "
    f"or turn its sign with --axes {' '.join(EDGE_POSE).replace('=edge_z', '=-edge_z')}",
    TILTED: "the z axes of edge and sensor must be parallel: correct --frame-transform or --object-pose",
}


def choose_tasks(config: RosbagConfig, labels: Sequence[Mapping[str, TopicLabels]]) -> dict[str, list[Axis]]:
    """Task -> axes over the columns of the topics given."""
    topics = config.label_topics()
    if not topics:
        if config.axes or config.task:
            raise UsageError("--task: a recording has labels only with --pose-topic, --wrench-topic or --point-topic")
        return {UNLABELLED: []}
    columns = [column for kind in topics for column in LABEL_KINDS[kind][0]]
    if config.axes:
        return {config.task: choose_axes(config.axes, columns, "the recording")}
    tasks = {}
    for kind in topics:
        if kind != "pose":
            name, wishes = DEFAULTS[kind]
        elif config.task == "edge_pose":
            name, wishes = "edge_pose", EDGE_POSE
        else:
            name, wishes = config.task or "pose", [axis for axis in POSE if _varies(labels, axis)]
        tasks[name] = choose_axes(wishes, columns, "the recording")
    return tasks


def _varies(labels: Sequence[Mapping[str, TopicLabels]], axis: str) -> bool:
    columns = LABEL_KINDS["pose"][0]
    index = next(i for i, column in enumerate(columns) if column.partition(" ")[0] == axis)
    values = np.concatenate([kinds["pose"].values_MC[:, index] for kinds in labels])
    is_angle = header_unit(columns[index])[1] == "rad"
    return not is_constant(around_mean(values, 2 * np.pi) if is_angle else values)


def check_tilt(tilt_deg: float) -> None:
    """ValueError when an edge lies so far out of the sensor's plane that x, z and theta do not describe it."""
    if tilt_deg > LARGEST_TILT_DEG:
        raise ValueError(
            f"{TILTED} {tilt_deg:.0f} deg out of the sensor's plane, at most {LARGEST_TILT_DEG:.0f} is read"
        )


def tilt_notes(tilts_deg: Sequence[float]) -> list[str]:
    """A warning when edges lie out of the sensor's plane by more than `TILT_DEG`."""
    if max(tilts_deg, default=0.0) <= TILT_DEG:
        return []
    return [
        f"warning: edges tilt up to {max(tilts_deg):.0f} deg (median {np.median(tilts_deg):.0f}) out of the sensor's "
        "plane, and edge_pose leaves that out; unless the tip was held so, correct --frame-transform or --object-pose"
    ]


def learnable(
    tasks: Mapping[str, list[Axis]], items: Mapping[str, Sequence[Record | Refused]], config: RosbagConfig
) -> tuple[dict[str, list[Axis]], list[str]]:
    """The tasks whose labels all change, and a note for each one left out.

    DataRefused when none is left, or no frame gives one that was asked for.
    """
    kept, constant = {}, []
    for task, axes in tasks.items():
        records = [item for item in items[task] if isinstance(item, Record)]
        if not records:
            raise DataRefused(f"{config.src}: no frame gives {task}: {_cause(items[task])}")
        still = {axis.label_column: records[0].labels[axis.label_column] for axis in axes
                 if is_constant([record.labels[axis.label_column] for record in records])}  # fmt: skip
        if still:
            constant.append(f"task {task}: {_nothing_to_learn(task, axes, still)}")
        else:
            kept[task] = axes
    if not kept:
        raise DataRefused(f"{config.src}: {'; '.join(constant)}")
    return kept, [f"warning: left out {reason}" for reason in constant]


def _cause(items: Sequence[Record | Refused]) -> str:
    refused = commonest([item for item in items if isinstance(item, Refused)])
    hint = next((f"; {cause}" for start, cause in _CAUSES.items() if refused.reason.startswith(start)), "")
    return f"{refused.source}: {refused.reason}{hint}"


def _nothing_to_learn(task: str, axes: Sequence[Axis], still: Mapping[str, float]) -> str:
    """`still` are the labels that do not change, with their values."""
    values = " and ".join(f"{column} is {value:g}" for column, value in still.items())
    bases = {axis.name: header_unit(axis.column)[0] for axis in axes if axis.label_column not in still}
    words = " ".join(name if name == base else f"{name}={base}" for name, base in bases.items())
    own = f", or take the others as a task of your own, --task my_{task} --axes {words}" if words else ""
    return f"{values} in every frame: nothing to learn; record contacts in which it changes{own}"

"""MultiDiffSense: one contact seen by several sensors, poses in a table.

    csv/<object>.csv (or pose.csv)   data_name = frame_<k>, obj_id, pose_1..6 (mm, degree)
    .../<object>_<Sensor>_<k>.png    anywhere below

Its millimetres look scaled by 0.4 to 0.5 against the images; its yaw is good to a quarter of a degree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

from sarl_training.adapters.axes import choose_axes
from sarl_training.adapters.base import (
    LabelledConfig,
    Reading,
    Record,
    Refused,
    sensor_name,
    trailing_number,
)
from sarl_training.adapters.labelled import blank_note, common_columns, sheet_items, six_axes, units, varying
from sarl_training.adapters.sheet import Row, Sheet, read_sheet
from sarl_training.adapters.tree import Tree
from sarl_training.errors import DataRefused, UsageError

_IMAGE = re.compile(r"(?P<object>.+)_(?P<sensor>[A-Za-z][A-Za-z0-9]*)_(?P<contact>[0-9]+)")


@dataclass(frozen=True)
class MultiDiffSenseConfig(LabelledConfig):
    """MultiDiffSense: <object>_<Sensor>_<k>.png and a table with data_name and pose_1..6. Without --axes every pose
    column that varies becomes an axis of the task `pose`.
    """


def read(tree: Tree, config: MultiDiffSenseConfig) -> Reading:
    """Raises DataRefused when there is no table with the columns data_name and obj_id."""
    sheets = [read_sheet(tree, name) for name in tree.names if name.lower().endswith(".csv")]
    sheets = [sheet for sheet in sheets if {"data_name", "obj_id"} <= set(sheet.columns)]
    if not sheets:
        raise DataRefused(f"{config.src}: no CSV with the columns data_name, obj_id and pose_1..6; give its root")
    if config.axes and not config.task:
        raise UsageError("--task: name what the --axes are labels of, for example bar_pose")
    images, columns = _images(tree, config), common_columns(sheets)
    if config.axes:
        axes, constant = choose_axes(config.axes, columns, sheets[0].name), []
    else:
        axes, constant = varying(six_axes(columns, ("pose",)), sheets)
    task = config.task or "pose"
    items: list[Record | Refused] = []
    for sheet in sheets:
        items += _items(tree, sheet, axes, task, images)
    used = {item.source for item in items if isinstance(item, Record)}
    items += [Refused(name, "no row in any table") for found in images.values() for name in found if name not in used]
    left_out = ", ".join(axis.column for axis in constant)
    notes = (f"left out, the same in every row: {left_out}",) if constant else ()
    return Reading(len(items), iter(items), {task: units(axes)}, notes=notes + blank_note(sheets))


def _images(tree: Tree, config: MultiDiffSenseConfig) -> dict[tuple[str, int], list[str]]:
    """(object, contact) -> its images, of the sensor asked for or of all."""
    images: dict[tuple[str, int], list[str]] = {}
    for name in tree.images():
        found = _IMAGE.fullmatch(PurePosixPath(name).stem)
        if found and config.sensor in ("", found["sensor"], sensor_name(found["sensor"])):
            images.setdefault((found["object"], int(found["contact"])), []).append(name)
    return images


def _items(
    tree: Tree, sheet: Sheet, axes: list, task: str, images: dict[tuple[str, int], list[str]]
) -> list[Record | Refused]:
    def contact(row: Row) -> tuple[str, int]:
        number = trailing_number(row.cells["data_name"])
        if number is None:
            raise ValueError(f"data_name is {row.cells['data_name']!r}, a number at its end is needed")
        return row.cells["obj_id"] or PurePosixPath(sheet.name).stem, number

    def find(row: Row) -> list[str]:
        found = images.get(contact(row))
        if not found:
            raise ValueError("no such image: {}_<Sensor>_{}".format(*contact(row)))
        return found

    def record(row: Row, image: str, labels: dict[str, float]) -> Record:
        group = "{}_{}".format(*contact(row))
        sensor = sensor_name(_IMAGE.fullmatch(PurePosixPath(image).stem)["sensor"])
        return Record(image, task, sensor, group, partial(tree.read, image), labels, latent=group)

    return sheet_items(sheet, axes, find, record)

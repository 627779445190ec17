"""Bristol Robotics Laboratory's collections (tactile_servo_control, tactile_data and their kin).

    <robot_sensor>/<task>/<train|val>/targets_images.csv, or targets.csv
    <robot_sensor>/<task>/<train|val>/<processed_images|sensor_images>/image_<k>.png

Older tables have sensor_image, pose_1..6, move_1..6; newer ones pose_x..Rz, shear_x..Rz; mm and degree in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

from sarl_training.adapters.axes import Axis, choose_axes
from sarl_training.adapters.base import (
    SPLIT_FOLDERS,
    LabelledConfig,
    Reading,
    Record,
    Refused,
    asked_sensor,
    known_sensor,
)
from sarl_training.adapters.labelled import blank_note, common_columns, sheet_items, six_axes, units, varying
from sarl_training.adapters.sheet import ImageFinder, Sheet, read_sheet
from sarl_training.adapters.tree import Tree
from sarl_training.errors import DataRefused, UsageError

TABLES = ("targets_images.csv", "targets.csv")
IMAGE_FOLDERS = ("processed_images", "sensor_images", "images", "")
PREFIXES = ("pose", "shear", "move")


@dataclass(frozen=True)
class BristolConfig(LabelledConfig):
    """Bristol: targets.csv or targets_images.csv beside a folder of images. Without --axes every pose, shear and move
    column that varies becomes an axis of the task `pose_shear`.
    """


def read(tree: Tree, config: BristolConfig) -> Reading:
    """Raises DataRefused when there is no table or its columns differ between folders."""
    sheets = [read_sheet(tree, name) for name in _tables(tree)]
    if not sheets:
        raise DataRefused(f"{config.src}: no {' or '.join(TABLES)} in it; give the folder that holds train and val")
    columns = common_columns(sheets)
    if config.axes:
        if not config.task:
            raise UsageError("--task: name what the --axes are labels of, for example pose_shear")
        axes, constant = choose_axes(config.axes, columns, sheets[0].name), []
    else:
        axes, constant = varying(six_axes(columns, PREFIXES), sheets)
    if not axes:
        raise DataRefused(f"{sheets[0].name}: no pose, shear or move column that varies; choose columns with --axes")
    task = config.task or "pose_shear"
    items = [item for sheet in sheets for item in _items(tree, sheet, axes, task, config)]
    left_out = ", ".join(axis.column for axis in constant)
    notes = (f"left out, the same in every row: {left_out}",) if constant else ()
    return Reading(len(items), iter(items), {task: units(axes)}, notes=notes + blank_note(sheets))


def _tables(tree: Tree) -> list[str]:
    """One table per folder: that of the processed images where there are both."""
    best: dict[PurePosixPath, str] = {}
    for name in tree.names:
        path = PurePosixPath(name)
        if path.name in TABLES and (path.parent not in best or path.name == TABLES[0]):
            best[path.parent] = name
    return list(best.values())


def _items(tree: Tree, sheet: Sheet, axes: list[Axis], task: str, config: BristolConfig) -> list[Record | Refused]:
    folder = PurePosixPath(sheet.name).parent
    words = [*reversed(folder.parts), tree.path.stem]
    above = reversed(tree.path.parent.parts[-3:])  # may name the sensor; a `test` there says nothing about this source
    found = "" if config.sensor else known_sensor([*words, *above])
    sensor = found or asked_sensor(config, "this folder's name")
    split = next((SPLIT_FOLDERS[word.lower()] for word in words if word.lower() in SPLIT_FOLDERS), "")
    column, finder = sheet.image_column(), ImageFinder(tree, [str(folder / name) for name in IMAGE_FOLDERS])
    return sheet_items(
        sheet,
        axes,
        lambda row: [finder.find(row.cells[column])],
        lambda row, image, labels: Record(
            image, task, sensor, f"{folder}/{PurePosixPath(image).stem}", partial(tree.read, image), labels, split
        ),
    )

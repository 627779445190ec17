"""TacVerse (arXiv 2606.25877): Force_Regression, Shape_Classification and Grating_Classification, or one of them.

    Force_Regression/<Sensor>/<Sensor>.csv  image_name, fx, fy, fz  with the images beside it
    Shape_Classification/<Sensor>/<class>/*.jpg
    Grating_Classification/<Sensor>/<Pattern>/<size>_<group>[_<frame>].jpg

The release names no force unit and no contacts of the shape and force images: newton is assumed, and neighbours by
number stay together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Literal

from sarl_training.adapters.axes import choose_axes
from sarl_training.adapters.base import IngestConfig, Reading, Record, Refused, runs_of, sensor_name
from sarl_training.adapters.labelled import blank_note, sheet_items, units
from sarl_training.adapters.sheet import ImageFinder, Sheet, read_sheet
from sarl_training.adapters.tree import Tree
from sarl_training.errors import DataRefused, UsageError

PARTS = {"force": "force_regression", "shape": "shape_classification", "grating": "grating_classification"}
_GRATING = re.compile(r"(?P<size>[0-9]*\.?[0-9]+)(?:mm)?_(?P<group>[0-9]+)(?:_(?P<frame>[0-9]+))?")


@dataclass(frozen=True)
class TacVerseConfig(IngestConfig):
    """TacVerse: Force_Regression, Shape_Classification and Grating_Classification by sensor."""

    force_unit: Literal["N", "mN"] = "N"
    """Unit of fx, fy, fz, which the release does not name."""
    frames_per_group: int = 10
    """Neighbouring shape and force frames, by number, that stay in one split."""


def read(tree: Tree, config: TacVerseConfig) -> Reading:
    """Raises DataRefused when none of the three parts is there."""
    if config.task and config.task not in PARTS:
        raise UsageError(f"--task {config.task}: tacverse has {', '.join(PARTS)}")
    items: list[Record | Refused] = []
    axes: dict[str, dict[str, str]] = {}
    notes: list[str] = []
    found = {task: folder for task in PARTS if (folder := _folder(tree, PARTS[task])) is not None}
    if not found:
        raise DataRefused(f"{config.src}: no folder {', '.join(PARTS.values())} in it or above; give TacVerse's root")
    for task, folder in found.items():
        if config.task not in ("", task):
            continue
        if task == "force":
            part, axes[task], said = _force(tree, folder, config)
            items += part
            notes += said
        else:
            items += (_shape if task == "shape" else _grating)(tree, folder, config)
    kept = [item for item in items if _wanted(item, config)]
    classes = tuple({item.task for item in kept if isinstance(item, Record)} - set(axes))
    return Reading(len(kept), iter(kept), axes, tuple(sorted(classes)), tuple(notes))


def _wanted(item: Record | Refused, config: IngestConfig) -> bool:
    return not config.sensor or isinstance(item, Refused) or item.sensor == sensor_name(config.sensor)


def _folder(tree: Tree, part: str) -> str | None:
    """Prefix of a part's files: below the root, the root itself, or a folder deeper in an archive."""
    for name in tree.names:
        parts = PurePosixPath(name).parts
        for depth, word in enumerate(parts[:-1]):
            if word.lower() == part:
                return "/".join(parts[: depth + 1]) + "/"
    return "" if tree.path.name.lower() == part else None


def _below(tree: Tree, folder: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Images of a part, and the parts of their names below it."""
    for name in tree.images():
        if name.startswith(folder):
            yield name, PurePosixPath(name[len(folder) :]).parts


def _shape(tree: Tree, folder: str, config: TacVerseConfig) -> Iterator[Record | Refused]:
    members: dict[tuple[str, str], list[str]] = {}
    for name, parts in _below(tree, folder):
        if len(parts) != 3:
            yield Refused(name, "not <Sensor>/<class>/<image>")
        else:
            members.setdefault((parts[0], parts[1]), []).append(name)
    for (sensor, kind), names in members.items():
        for name, run in runs_of(names, config.frames_per_group).items():
            group = f"shape/{sensor_name(sensor)}/{kind}/{run}"
            yield Record(name, "shape", sensor_name(sensor), group, partial(tree.read, name), {"label": kind})


def _grating(tree: Tree, folder: str, config: TacVerseConfig) -> Iterator[Record | Refused]:
    for name, parts in _below(tree, folder):
        found = _GRATING.fullmatch(PurePosixPath(name).stem)
        if len(parts) != 3 or found is None:
            yield Refused(name, "not <Sensor>/<Pattern>/<size>_<group>[_<frame>]")
            continue
        sensor, size = sensor_name(parts[0]), f"{float(found['size']):.2f}mm"
        group = f"grating/{sensor}/{parts[1]}/{size}/{int(found['group'])}"
        yield Record(
            name, "grating", sensor, group, partial(tree.read, name), {"label": size, "pattern": parts[1].lower()}
        )


def _force(tree: Tree, folder: str, config: TacVerseConfig) -> tuple[list[Record | Refused], dict[str, str], list[str]]:
    tables = [name for name in tree.names if name.startswith(folder) and name.lower().endswith(".csv")]
    if not tables:
        raise DataRefused(f"{config.src}: no <Sensor>/<Sensor>.csv below {folder or '.'}; the labels are missing")
    items: list[Record | Refused] = []
    sheets = [read_sheet(tree, name) for name in tables]
    for sheet in sheets:
        items += _force_sheet(tree, sheet, config)
    axes = choose_axes([f"{axis}:{config.force_unit}" for axis in ("fx", "fy", "fz")], ["fx", "fy", "fz"], "force")
    note = f"force in {config.force_unit} as --force-unit says: the release names no unit"
    return items, units(axes), [note, *blank_note(sheets)]


def _force_sheet(tree: Tree, sheet: Sheet, config: TacVerseConfig) -> list[Record | Refused]:
    folder = str(PurePosixPath(sheet.name).parent)
    sensor = sensor_name(PurePosixPath(sheet.name).parent.name or PurePosixPath(sheet.name).stem)
    axes = choose_axes([f"{axis}:{config.force_unit}" for axis in ("fx", "fy", "fz")], sheet.columns, sheet.name)
    column, finder = sheet.image_column(), ImageFinder(tree, [folder])
    below = [name for name in tree.images() if str(PurePosixPath(name).parent) == folder]
    runs = runs_of(below, config.frames_per_group)
    return sheet_items(
        sheet,
        axes,
        lambda row: [finder.find(row.cells[column])],
        lambda row, image, labels: Record(
            image, "force", sensor, f"force/{sensor}/{runs.get(image, image)}", partial(tree.read, image), labels
        ),
    )

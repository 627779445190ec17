"""Any folder of images: without labels, or with one CSV that names images and numbers.

Without a CSV, `frame` (the number at the end of a file's name) can be asked for as an axis: the order of a press.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from sarl_training.adapters.axes import choose_axes
from sarl_training.adapters.base import (
    UNLABELLED,
    LabelledConfig,
    Reading,
    Record,
    Refused,
    asked_sensor,
    runs_of,
    trailing_number,
)
from sarl_training.adapters.labelled import blank_note, sheet_items, units
from sarl_training.adapters.sheet import ImageFinder, Row, Sheet, parse_sheet, read_sheet
from sarl_training.adapters.tree import Tree
from sarl_training.errors import DataRefused, UsageError

FRAME = "frame"


@dataclass(frozen=True)
class FlatConfig(LabelledConfig):
    """A folder of images, unlabelled or with one CSV; --sensor is needed, with labels also --task and --axes."""

    labels: Path | None = None
    """CSV with a column of image names and one column per label; inside the folder or anywhere."""
    group_column: str = ""
    """Column of the CSV that names the contact or recording; its images stay in one split."""
    match_tail: bool = False
    """Match image names by their ends: for a CSV that holds another machine's paths."""
    frames_per_group: int = 10
    """Neighbouring frames, in the order of their names, that stay in one split where no column groups them."""


def read(tree: Tree, config: FlatConfig) -> Reading:
    """Raises UsageError when --labels, --task and --axes do not go together, DataRefused without images."""
    sensor = asked_sensor(config, "a flat folder")
    names = tree.images()
    if not names:
        raise DataRefused(f"{config.src}: no images found; jpg, png, bmp, tif and webp are read")
    if bool(config.axes) != bool(config.task) or (config.labels and not config.axes):
        raise UsageError("--task and --axes: give both, for example --task press --axes depth:mm force:N")
    runs = runs_of(names, config.frames_per_group)
    if config.labels:
        return _labelled(tree, config, sensor, runs)
    if config.axes:
        return _frames(tree, config, sensor, runs)
    items = [Record(name, UNLABELLED, sensor, runs[name], partial(tree.read, name)) for name in names]
    return Reading(len(items), iter(items))


def _frames(tree: Tree, config: FlatConfig, sensor: str, runs: dict[str, str]) -> Reading:
    """The numbers at the ends of the names as labels."""
    axes = choose_axes(config.axes, [FRAME], "the file names")
    items: list[Record | Refused] = []
    for name, run in runs.items():
        number = trailing_number(PurePosixPath(name).stem)
        if number is None:
            items.append(Refused(name, "no number at the end of its name"))
            continue
        try:
            labels = {axis.label_column: axis.convert(float(number)) for axis in axes}
            items.append(Record(name, config.task, sensor, run, partial(tree.read, name), labels))
        except ValueError as error:
            items.append(Refused(name, str(error)))
    return Reading(len(items), iter(items), {config.task: units(axes)})


def _labelled(tree: Tree, config: FlatConfig, sensor: str, runs: dict[str, str]) -> Reading:
    sheet = _sheet(tree, config.labels)
    axes = choose_axes(config.axes, sheet.columns, sheet.name)
    if config.group_column and config.group_column not in sheet.columns:
        raise UsageError(f"--group-column {config.group_column}: {sheet.name} has {', '.join(sheet.columns)}")
    finder = ImageFinder(tree, ["", str(PurePosixPath(sheet.name).parent)], by_tail=config.match_tail)
    column = sheet.image_column()

    def record(row: Row, image: str, labels: dict[str, float]) -> Record:
        group = row.cells[config.group_column] if config.group_column else runs[image]
        if not group:
            raise ValueError(f"{config.group_column} is empty")
        return Record(image, config.task, sensor, group, partial(tree.read, image), labels)

    items = sheet_items(sheet, axes, lambda row: [finder.find(row.cells[column])], record)
    used = {item.source for item in items if isinstance(item, Record)}
    items += [Refused(name, f"no usable row in {sheet.name}") for name in runs if name not in used]
    return Reading(len(items), iter(items), {config.task: units(axes)}, notes=blank_note([sheet]))


def _sheet(tree: Tree, path: Path) -> Sheet:
    if path.as_posix() in tree:
        return read_sheet(tree, path.as_posix())
    try:
        return parse_sheet(path.name, path.read_bytes())
    except OSError as error:
        inside = [name for name in tree.names if PurePosixPath(name).name == path.name]
        hint = f"; say --labels {' or '.join(inside[:3])}" if inside else ""
        where = f"cannot be read ({error.strerror}), nor is it at that place in {tree.path}"
        raise DataRefused(f"--labels {path}: {where}{hint}") from error

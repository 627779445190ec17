"""From a table with image names to records: what bristol, multidiffsense, tacverse and flat have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from sarl_training.adapters.axes import Axis, axis_name
from sarl_training.adapters.base import Record, Refused
from sarl_training.adapters.sheet import Row, Sheet
from sarl_training.errors import DataRefused

MakeRecord = Callable[[Row, str, Mapping[str, float]], Record]
_SIX = ("x", "y", "z", "rx", "ry", "rz")
_SIX_UNITS = ("mm", "mm", "mm", "deg", "deg", "deg")


def sheet_items(
    sheet: Sheet, axes: Sequence[Axis], find: Callable[[Row], Iterable[str]], make: MakeRecord
) -> list[Record | Refused]:
    """A record per image that `find` gives for a row; rows without numbers or images are refused, each with a reason.

    DataRefused names file and line when a cell is written in another unit than its column.
    """
    items: list[tuple[int, Record | Refused]] = [
        (line, Refused(f"{sheet.name}:{line}", reason)) for line, reason in sheet.ragged
    ]
    for row in sheet.rows:
        try:
            labels = {axis.label_column: axis.read(row.cells[axis.column]) for axis in axes}
            items.extend((row.line, make(row, image, labels)) for image in find(row))
        except DataRefused as error:
            raise DataRefused(f"{sheet.name}: line {row.line}: {error}") from error
        except ValueError as error:
            items.append((row.line, Refused(f"{sheet.name}:{row.line}", str(error))))
    return _each_image_once(sheet.name, items)


def _each_image_once(name: str, items: Sequence[tuple[int, Record | Refused]]) -> list[Record | Refused]:
    """Of several lines for one image the first stands when they agree, and none when they do not."""
    by_image: dict[str, dict[int, Record]] = {}
    for line, item in items:
        if isinstance(item, Record):
            by_image.setdefault(item.source, {})[line] = item
    return [_unless_repeated(name, line, item, by_image.get(item.source, {})) for line, item in items]


def _unless_repeated(name: str, line: int, item: Record | Refused, same: Mapping[int, Record]) -> Record | Refused:
    if isinstance(item, Refused):
        return item
    if any((other.labels, other.group) != (item.labels, item.group) for other in same.values()):
        others = ", ".join(str(number) for number in same if number != line)
        return Refused(f"{name}:{line}", f"{item.source} has other labels in line {others}; correct the table")
    first = min(same)
    return item if line == first else Refused(f"{name}:{line}", f"repeats line {first}, {item.source}")


def six_axes(columns: Iterable[str], prefixes: Sequence[str]) -> list[Axis]:
    """`pose_1..6` and `pose_x..Rz` (likewise other prefixes) as axes in mm and deg, as the field writes them."""
    axes = []
    for column in columns:
        prefix, _, end = axis_name(column).rpartition("_")
        if prefix in prefixes and (end in _SIX or (end.isdigit() and 1 <= int(end) <= len(_SIX))):
            index = _SIX.index(end) if end in _SIX else int(end) - 1
            axes.append(Axis(f"{prefix}_{_SIX[index]}", column, _SIX_UNITS[index]))
    return axes


def varying(axes: Sequence[Axis], sheets: Sequence[Sheet]) -> tuple[list[Axis], list[Axis]]:
    """The axes whose cells differ from row to row, and those with nothing to learn."""
    changing = [axis for axis in axes if not is_constant(_values(axis, sheets))]
    return changing, [axis for axis in axes if axis not in changing]


def is_constant(values: Sequence[float]) -> bool:
    """Whether finite numbers differ by noise only: by less than a 32-bit label resolves, or by 1e-9 of the unit."""
    finite = np.asarray(values, np.float64)
    finite = finite[np.isfinite(finite)]
    noise = max(1e-9, np.finfo(np.float32).eps * np.abs(finite).max(initial=0.0))
    return finite.size == 0 or bool(np.ptp(finite) <= noise)


def _values(axis: Axis, sheets: Sequence[Sheet]) -> list[float]:
    """The numbers of a column."""
    found: list[float] = []
    for sheet in sheets:
        for row in sheet.rows:
            try:
                found.append(axis.read(row.cells[axis.column]))
            except (ValueError, DataRefused):  # told of when the row is read
                continue
    return found


def units(axes: Sequence[Axis]) -> dict[str, str]:
    """Axis name -> dataset unit."""
    return {axis.name: axis.unit for axis in axes}


def blank_note(sheets: Sequence[Sheet]) -> tuple[str, ...]:
    """How many empty rows were passed over."""
    blank = sum(sheet.blank for sheet in sheets)
    return (f"{blank} empty rows in {len(sheets)} tables passed over",) if blank else ()


def common_columns(sheets: Sequence[Sheet]) -> list[str]:
    """Columns of all sheets; DataRefused names the sheet that has others."""
    first = sheets[0]
    for sheet in sheets[1:]:
        if set(sheet.columns) != set(first.columns):
            differ = ", ".join(sorted(set(sheet.columns) ^ set(first.columns)))
            raise DataRefused(f"{sheet.name}: its columns differ from those of {first.name} in {differ}; ingest apart")
    return list(first.columns)

"""Label columns by name and unit: `shear_x:mm`, `theta=pose_6:deg`, `z=-pose_z:m`; cells become dataset units."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sarl_training.errors import DataRefused, UsageError
from sarl_training.labels import LARGEST
from sarl_training.units import ACCEPTED

_WISH = re.compile(r"(?:(?P<name>[^=:]+)=)?(?P<sign>-?)(?P<column>[^=:]+?)(?::(?P<unit>[^:]*))?")
_LONG = {"degree": "deg", "degrees": "deg", "radian": "rad", "radians": "rad", "newton": "N", "n": "N", "pixel": "px"}
_UNIT = "|".join(sorted([*(name for name in ACCEPTED if name != "1"), *_LONG], key=len, reverse=True))
_HEADER = re.compile(rf"(?P<base>.*?)(?:[_\s]+(?P<tail>{_UNIT})|\s*[\[(]\s*(?P<boxed>{_UNIT})\s*[\])])")
_CELL = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?:nan|inf))\s*(?P<unit>[A-Za-z]*)",
    re.IGNORECASE,
)
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+")


@dataclass(frozen=True)
class Axis:
    """One label: `column` of the source, in `source_unit`, becomes `name` in `unit`."""

    name: str
    column: str
    source_unit: str
    sign: float = 1.0

    @property
    def unit(self) -> str:
        """Dataset unit."""
        return ACCEPTED[self.source_unit][0]

    @property
    def label_column(self) -> str:
        """Column of labels.csv."""
        return f"{self.name}_{self.unit}"

    def read(self, cell: str) -> float:
        """The cell in dataset units. ValueError: not a finite number. DataRefused: it names another unit."""
        found = _CELL.fullmatch(cell.strip())
        if found is None:
            hint = "; write decimals with a point" if _DECIMAL_COMMA.fullmatch(cell.strip()) else ""
            raise ValueError(f"{self.column} is {cell!r}, not a number{hint}")
        unit = _LONG.get(found["unit"].lower(), found["unit"])
        if unit and unit != self.source_unit:
            raise DataRefused(f"{self.column} is {cell!r}, but the column is in {self.source_unit}; use one unit")
        return self.convert(float(found["number"]))

    def convert(self, number: float) -> float:
        """A number in the source's unit, in dataset units; ValueError when it is not finite or no 32-bit float."""
        if not math.isfinite(number):
            raise ValueError(f"{self.column} is {number}")
        value = self.sign * number * ACCEPTED[self.source_unit][1]
        if abs(value) > LARGEST:
            raise ValueError(f"{self.column} is {number:g}, at most {LARGEST:.2g} {self.unit} fits a 32-bit float")
        return value


def header_unit(column: str) -> tuple[str, str | None]:
    """Base name and unit of a header such as `shear_x (mm)` or `fz_N`; the unit is None when there is none."""
    found = _HEADER.fullmatch(column)
    if found is None or not found["base"]:
        return column, None
    unit = found["tail"] or found["boxed"]
    return found["base"].strip(" _"), _LONG.get(unit, unit)


def axis_name(text: str) -> str:
    """A column's name as an axis may be called."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def choose_axes(wishes: Sequence[str], columns: Sequence[str], where: str) -> list[Axis]:
    """The axes that `--axes` asks for, among a source's columns.

    UsageError: a word that is no axis, an unknown unit, a column that is missing. DataRefused: the header names
    another unit.
    """
    by_base: dict[str, list[str]] = {}
    for column in columns:
        by_base.setdefault(header_unit(column)[0], []).append(column)
    axes = [_choose(wish, columns, by_base, where) for wish in wishes]
    names = [axis.name for axis in axes]
    if len(set(names)) != len(names):
        raise UsageError(f"--axes: {', '.join(names)} must be different; name them as NAME=COLUMN:UNIT")
    return axes


def _choose(wish: str, columns: Sequence[str], by_base: Mapping[str, list[str]], where: str) -> Axis:
    found = _WISH.fullmatch(wish.strip())
    if found is None:
        raise UsageError(f"--axes {wish}: say COLUMN:UNIT or NAME=COLUMN:UNIT, for example yaw=pose_6:deg")
    asked = found["column"].strip()
    matches = [asked] if asked in columns else by_base.get(asked, [])
    if len(matches) != 1:
        what = f"both {' and '.join(matches)}" if matches else "no such column"
        raise UsageError(f"--axes {wish}: {what} in {where}; its columns are {', '.join(columns)}")
    base, written = header_unit(matches[0])
    unit = found["unit"].strip() if found["unit"] is not None else written
    if unit is None:
        raise UsageError(f"--axes {wish}: its unit is needed, for example {asked}:mm; known: {', '.join(ACCEPTED)}")
    if unit not in ACCEPTED:
        raise UsageError(f"--axes {wish}: unknown unit {unit!r}; known: {', '.join(ACCEPTED)}")
    if written is not None and written != unit:
        raise DataRefused(f"{where}: column {matches[0]!r} says {written}, --axes says {unit}; use the file's unit")
    name = found["name"].strip() if found["name"] else axis_name(base)
    return Axis(name, matches[0], unit, -1.0 if found["sign"] else 1.0)

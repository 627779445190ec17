"""Label tables of other people: headers with blanks, empty and ragged rows, cells with units, names of all kinds."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from sarl_training.adapters.tree import Tree, unsafe
from sarl_training.errors import DataRefused

IMAGE_COLUMNS = (
    "image_name",
    "sensor_image",
    "image",
    "img_names",
    "img_name",
    "filename",
    "file_name",
    "file",
    "frame",
)


@dataclass(frozen=True)
class Row:
    """One line of a sheet: its cells by column, stripped."""

    line: int
    cells: dict[str, str]


@dataclass(frozen=True)
class Sheet:
    """A CSV file: header stripped, blank rows counted, rows of another length named."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    blank: int
    ragged: tuple[tuple[int, str], ...]
    """Line number and reason."""

    def image_column(self) -> str:
        """The column with image names; DataRefused when none has a usual name."""
        lower = {column.lower(): column for column in self.columns}
        found = next((lower[name] for name in IMAGE_COLUMNS if name in lower), None)
        if found is None:
            raise DataRefused(
                f"{self.name}: no column with image names; found {', '.join(self.columns)}; "
                f"call it one of {', '.join(IMAGE_COLUMNS)}"
            )
        return found


def read_sheet(tree: Tree, name: str) -> Sheet:
    """Raises DataRefused when the file is no table with a header and different column names."""
    try:
        return parse_sheet(name, tree.read(name))
    except ValueError as error:
        raise DataRefused(f"{name}: {error}; write it again") from error


def parse_sheet(name: str, data: bytes) -> Sheet:
    """UTF-8 or Latin-1; comma, semicolon or tab, whichever the header has most of. DataRefused names what is wrong."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in data:
        raise DataRefused(f"{name}: UTF-16 or no text; save it as CSV in UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise DataRefused(f"{name}: not a table ({error}); save it again as CSV") from error
    full = [(number, cells) for number, cells in lines if any(cells)]
    if not full:
        raise DataRefused(f"{name}: empty; a header and rows are needed")
    (_, header), body = full[0], full[1:]
    while header and not header[-1]:  # a trailing comma
        header.pop()
    if "" in header or len(set(header)) != len(header):
        raise DataRefused(f"{name}: column names {', '.join(header)} must be different and not empty; rename them")
    rows, ragged = [], []
    for number, cells in body:
        while len(cells) > len(header) and not cells[-1]:
            cells.pop()
        if len(cells) != len(header):
            ragged.append((number, f"{len(cells)} cells, the header has {len(header)}"))
        else:
            rows.append(Row(number, dict(zip(header, cells, strict=True))))
    return Sheet(name, tuple(header), tuple(rows), len(lines) - len(full), tuple(ragged))


class ImageFinder:
    """Finds the image that a cell of a table names, never outside the source."""

    def __init__(self, tree: Tree, folders: Sequence[str], by_tail: bool = False) -> None:
        """`folders` are tried in turn; `by_tail` also matches the longest end of a name written on another machine."""
        self._tree, self._folders = tree, folders
        self._by_stem = {str(PurePosixPath(name).with_suffix("")): name for name in reversed(tree.images())}
        self._tails: dict[str, list[str]] = {}
        for name in tree.images() if by_tail else []:
            parts = PurePosixPath(name).parts
            for start in range(len(parts)):
                self._tails.setdefault("/".join(parts[start:]), []).append(name)

    def find(self, cell: str) -> str:
        """Name in the tree; ValueError says why there is none."""
        posix = cell.strip().replace("\\", "/")
        if self._tails:
            return self._find_by_tail(posix)
        if (reason := unsafe(posix)) is not None:
            raise ValueError(f"image name {cell!r} refused: {reason}")
        for folder in self._folders:
            name = str(PurePosixPath(folder, posix))
            if name in self._tree:
                return name
            if name in self._by_stem:
                return self._by_stem[name]
        raise ValueError(f"no such image: {posix}")

    def _find_by_tail(self, posix: str) -> str:
        parts = [part for part in posix.split("/") if part]
        for start in range(len(parts)):
            found = self._tails.get("/".join(parts[start:]), [])
            if len(found) > 1:
                raise ValueError(f"{posix}: {len(found)} images end like this, {found[0]} and {found[1]} among them")
            if found:
                return found[0]
        raise ValueError(f"no such image: {posix}")

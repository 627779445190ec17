"""One labels.csv: five fixed columns (sample_id, image, latent_id, group_id, split), then the task's own."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from sarl_training.atomic_file import write_atomically
from sarl_training.errors import DataRefused

FIXED_COLUMNS = ("sample_id", "image", "latent_id", "group_id", "split")
SPLITS = ("train", "val", "test")
LABEL = "label"
LARGEST = float(np.finfo(np.float32).max)  # what labels are learned in


@dataclass(frozen=True)
class Table:
    """The samples of one task and sensor, all fields of length N."""

    path: Path
    images: list[Path]
    sample_id: np.ndarray
    latent_id: np.ndarray
    group_id: np.ndarray
    split: np.ndarray
    columns: dict[str, np.ndarray]
    """Task columns: float64 where every cell is a number, `label` int64 (index into `class_names`), else str."""
    class_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def part(self, *splits: str) -> "Table":
        """The rows of these splits, in file order."""
        return self.rows(np.flatnonzero(np.isin(self.split, splits)))

    def rows(self, index_N: np.ndarray) -> "Table":
        """The rows at these positions."""
        arrays = {name: getattr(self, name)[index_N] for name in ("sample_id", "latent_id", "group_id", "split")}
        columns = {name: values[index_N] for name, values in self.columns.items()}
        return replace(self, images=[self.images[i] for i in index_N], columns=columns, **arrays)

    def targets(self, columns: Sequence[str]) -> np.ndarray:
        """float64 [N, len(columns)] in the dataset's units."""
        return np.stack([self.columns[name] for name in columns], axis=1).astype(np.float64)


def read_table(path: Path, required: Iterable[str] = ()) -> Table:
    """Read and check one labels.csv; `required` are task columns that must be there and finite.

    Raises DataRefused naming the file, the line and the column.
    """
    header, lines = _read_cells(path)
    missing = [name for name in (*FIXED_COLUMNS, *required) if name not in header]
    if missing:
        raise DataRefused(
            f"{path}: missing column {', '.join(missing)}; found {', '.join(header)}; add what is missing"
        )
    numbers = [number for number, _ in lines]
    cells = {name: [row[i] for _, row in lines] for i, name in enumerate(header)}
    _check_fixed(path, numbers, cells)
    class_names = _read_class_names(path)
    columns = {}
    for name in header:
        if name == LABEL:
            columns[name] = _read_labels(path, numbers, cells[name], class_names)
        elif name not in FIXED_COLUMNS:
            columns[name] = _read_column(path, numbers, name, cells[name], name in required)
    if LABEL in columns and not class_names:
        class_names = tuple(str(i) for i in range(int(columns[LABEL].max()) + 1))
    images = [path.parent / name for name in cells["image"]]
    for number, image in zip(numbers, images, strict=True):
        if not image.is_file():
            raise DataRefused(f"{path}: line {number}: image {image} is not there; restore it or remove the line")
    fixed = {name: np.array(cells[name]) for name in FIXED_COLUMNS if name != "image"}
    return Table(path=path, images=images, columns=columns, class_names=class_names, **fixed)


def write_table(path: Path, rows: Sequence[Mapping[str, object]], class_names: Sequence[str] = ()) -> None:
    """Write labels.csv (and classes.json beside it when there are `class_names`), each atomically.

    `label` is the index of a class; the file has its name where names could be taken for indices. Raises ValueError
    when rows lack a fixed column or differ in their columns.
    """
    header = [*FIXED_COLUMNS, *(name for name in rows[0] if name not in FIXED_COLUMNS)]
    for row in rows:
        if set(row) != set(header):
            raise ValueError(f"{path}: row {row} does not have exactly the columns {', '.join(header)}")
    if _look_like_indices(class_names):
        rows = [{**row, LABEL: class_names[row[LABEL]]} for row in rows]
    if class_names:
        write_atomically(path.with_name("classes.json"), json.dumps(list(class_names), indent=1).encode())
    text = io.StringIO()
    writer = csv.DictWriter(text, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())


def _read_cells(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header and the non-blank rows with their line numbers, cells stripped."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataRefused(f"{path}: cannot be read as UTF-8 comma-separated text ({error}); write it again") from error
    rows = [(number, row) for number, row in rows if any(row)]
    if len(rows) < 2:
        raise DataRefused(f"{path}: no rows, at least a header and one sample are needed; write it again")
    (_, header), lines = rows[0], rows[1:]
    if len(set(header)) != len(header):
        raise DataRefused(f"{path}: a column appears twice in {', '.join(header)}; rename or remove one")
    for number, row in lines:
        if len(row) != len(header):
            raise DataRefused(f"{path}: line {number} has {len(row)} cells, the header {len(header)}; correct the line")
    return header, lines


def _check_fixed(path: Path, numbers: list[int], cells: dict[str, list[str]]) -> None:
    samples: dict[str, int] = {}
    rows = zip(numbers, *(cells[name] for name in FIXED_COLUMNS), strict=True)
    for number, sample, image, latent, group, split in rows:
        if not (sample and latent and group):
            raise DataRefused(f"{path}: line {number}: sample_id, latent_id or group_id is empty; fill it in")
        if sample in samples:
            raise DataRefused(
                f"{path}: line {number}: sample_id {sample!r} is on line {samples[sample]} too; rename one"
            )
        samples[sample] = number
        if split not in SPLITS:
            raise DataRefused(f"{path}: line {number}: split is {split!r}, allowed are {', '.join(SPLITS)}; correct it")
        inside = PurePosixPath(image)
        if not image or inside.is_absolute() or ".." in inside.parts:
            raise DataRefused(
                f"{path}: line {number}: image is {image!r}, a path below the folder is needed; correct it"
            )


def _read_column(path: Path, numbers: list[int], name: str, cells: list[str], required: bool) -> np.ndarray:
    """float64 when numbers are asked for or every filled cell is one (a blank is then an error), else text."""
    values = [_number(cell) for cell in cells]
    filled = [value for value, cell in zip(values, cells, strict=True) if cell]
    if not required and (not filled or None in filled):
        return np.array(cells)
    for number, value, cell in zip(numbers, values, cells, strict=True):
        if value is None or not abs(value) <= LARGEST:
            raise DataRefused(f"{path}: line {number}: {name} is {cell!r}, a finite float32 is needed; correct it")
    return np.array(values, dtype=np.float64)


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _read_labels(path: Path, numbers: list[int], cells: list[str], class_names: tuple[str, ...]) -> np.ndarray:
    """Class index from a class name or, where no name could be taken for one, from an index."""
    index = {name: i for i, name in enumerate(class_names)}
    only_names = _look_like_indices(class_names)
    labels = []
    for number, cell in zip(numbers, cells, strict=True):
        label = index.get(cell, -1 if only_names else _whole_number(cell))
        if label < 0 or (class_names and label >= len(class_names)):
            allowed = f"0..{len(class_names) - 1} or a name in classes.json" if class_names else "0, 1, 2, ..."
            if only_names:
                allowed = f"the names in classes.json ({', '.join(class_names)}; not indices, since names are numbers)"
            raise DataRefused(f"{path}: line {number}: label is {cell!r}, allowed are {allowed}; correct it")
        labels.append(label)
    return np.array(labels, dtype=np.int64)


def _look_like_indices(class_names: Sequence[str]) -> bool:
    """Whether a name could be taken for the index of another class, as `1` or `01` for the second."""
    return any(0 <= _whole_number(name) < len(class_names) for name in class_names)


def _whole_number(text: str) -> int:
    """The number that digits are, -1 for other text and for more digits than any index has."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


def _read_class_names(path: Path) -> tuple[str, ...]:
    file = path.with_name("classes.json")
    if not file.exists():
        return ()
    try:
        names = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataRefused(f"{file}: cannot be read as JSON ({error}); write the list of class names again") from error
    strings = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if strings:
        names = [name.strip() for name in names]  # as the cells are
    if not strings or not names or len(set(names)) != len(names):
        raise DataRefused(f"{file}: found {str(names)[:80]}, a list of different class names is needed; write it again")
    return tuple(names)

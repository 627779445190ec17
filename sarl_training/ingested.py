"""Records into a dataset folder: images checked and stored as they come, labels and splits once all are known."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from tqdm import tqdm

from sarl_training.adapters.base import NO_CONTACT, IngestConfig, Reading, Record, Refused, commonest, natural
from sarl_training.adapters.labelled import is_constant
from sarl_training.atomic_file import write_atomically
from sarl_training.dataset_writer import JPEG_QUALITY, DatasetWriter
from sarl_training.errors import DataRefused
from sarl_training.group_splits import assign_splits
from sarl_training.image_file import decode_bytes, square_and_resize
from sarl_training.labels import SPLITS
from sarl_training.tasks import TASKS

READ_TABLE = "read.csv"
SPLIT_ADVICE = "splits are of whole groups, three are needed; add contacts or group them finer"
_KEPT = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png"}  # first bytes of files that are stored as they are


@dataclass
class Ingested:
    """What came of a reading."""

    rows: list[tuple[Record, str]] = field(default_factory=list)
    """Records with the names of their stored images."""
    table: list[dict[str, str]] = field(default_factory=list)
    """One line per item of the source, for read.csv."""
    splits: dict[str, str] = field(default_factory=dict)

    def tasks(self) -> list[str]:
        """Tasks that have at least one image."""
        return sorted({record.task for record, _ in self.rows})

    def refuse(self, source: str, reason: str) -> None:
        """Note an item that is not in the dataset."""
        self.table.append({"source": source, "task": "", "sensor": "", "image": "", "refused": reason})

    def withdraw(self, record: Record, reason: str, writer: DatasetWriter) -> None:
        """Refuse a record that was taken; one that was withdrawn before stays so."""
        row = next((row for row in self.rows if row[0] is record), None)
        if row is None:
            return
        self.rows.remove(row)
        place = {"source": record.source, "task": record.task, "sensor": record.sensor, "image": row[1], "refused": ""}
        self.table[self.table.index(place)] |= {"task": "", "sensor": "", "image": "", "refused": reason}
        (writer.folder / record.task / record.sensor / row[1]).unlink()

    def refused(self) -> list[Refused]:
        """What is not in the dataset."""
        return [Refused(line["source"], line["refused"]) for line in self.table if line["refused"]]

    def _cause(self) -> str:
        """Why most were refused, with the first example."""
        if not self.table:
            return "nothing there"
        example = commonest(self.refused())
        hint = "; turn its sign with --axes z=-COLUMN:UNIT" if example.reason.startswith(NO_CONTACT) else ""
        return f"{example.source}: {example.reason}{hint}"

    def write(self, writer: DatasetWriter, config: IngestConfig) -> None:
        """labels.csv and classes.json per task and sensor, and read.csv.

        DataRefused when no image could be read or a label never changes.
        """
        if not self.rows:
            raise DataRefused(f"{config.src}: nothing in it can be used: {self._cause()}")
        self._check_labels()
        writer.keep_only({writer.folder / record.task / record.sensor / image for record, image in self.rows})
        strata = {record.group: str(record.labels.get("label", "")) for record, _ in self.rows}
        provided = {record.group: record.split for record, _ in self.rows if record.split}
        shares = tuple(int(part) / 100 for part in config.splits.split("/"))
        self.splits = assign_splits(strata, provided, shares, config.seed)
        for task in self.tasks():
            names = _class_names(task, [record for record, _ in self.rows if record.task == task])
            for sensor in sorted({record.sensor for record, _ in self.rows if record.task == task}):
                mine = [(r, image) for r, image in self.rows if (r.task, r.sensor) == (task, sensor)]
                lines = [self._line(record, image, names) for record, image in mine]
                writer.write_labels(task, sensor, lines, names)
        text = io.StringIO()
        table = csv.DictWriter(text, ["source", "task", "sensor", "image", "refused"], lineterminator="\n")
        table.writeheader()
        table.writerows(self.table)
        write_atomically(writer.folder / READ_TABLE, text.getvalue().encode())

    def _line(self, record: Record, image: str, class_names: tuple[str, ...]) -> dict[str, object]:
        number = image.partition("/")[2].partition(".")[0]
        labels = dict(record.labels)
        if class_names:
            labels["label"] = class_names.index(str(labels["label"]))
        name = f"{record.task}-{record.sensor}-{number}"
        fixed = {"sample_id": name, "image": image, "latent_id": record.latent or name, "group_id": record.group}
        return {**fixed, "split": self.splits[record.group], **labels}

    def _check_labels(self) -> None:
        for task in self.tasks():
            labels = [record.labels for record, _ in self.rows if record.task == task]
            for column in (name for name, value in labels[0].items() if isinstance(value, float)):
                if is_constant([line[column] for line in labels]):
                    raise DataRefused(
                        f"task {task}: {column} is {labels[0][column]:g} in every row: nothing to learn; "
                        "leave it out with --axes, or record contacts in which it changes"
                    )


def ingest_items(reading: Reading, config: IngestConfig, writer: DatasetWriter) -> Ingested:
    """Store every image that can be read, one at a time; an image that is there twice is kept once."""
    found, seen = Ingested(), dict[bytes, Record]()
    counts: Counter[tuple[str, str]] = Counter()
    for item in tqdm(reading.items, "ingest", reading.total, unit="img", delay=1):
        if isinstance(item, Refused):
            found.refuse(item.source, item.reason)
            continue
        place = item.task, item.sensor
        index, counts[place] = counts[place], counts[place] + 1
        record = replace(item, load=_loaded)  # what is kept of it must not hold the picture
        try:
            data = item.load()
            first = seen.setdefault(hashlib.blake2b(data, digest_size=16).digest(), record)
            if first.task == record.task and first.labels != record.labels and not reading.video:
                found.withdraw(first, f"same content as {record.source}, but other labels", writer)
                raise ValueError(f"same content as {first.source}, but other labels")
            _check_new(record, first)
            name = writer.add_encoded(*place, index, *_prepared(data, config))
        except ValueError as error:
            found.refuse(item.source, str(error))
            continue
        found.rows.append((record, name))
        found.table.append(
            {"source": item.source, "task": item.task, "sensor": item.sensor, "image": name, "refused": ""}
        )
    return found


def _loaded() -> bytes:
    raise ValueError("its image was read before")


def _check_new(record: Record, first: Record) -> None:
    """One picture may serve several tasks of one contact; otherwise the copy could end up in another split."""
    if first is not record and (first.group != record.group or first.task == record.task):
        raise ValueError(f"same content as {first.source}")


def _prepared(data: bytes, config: IngestConfig) -> tuple[bytes, str]:
    """The file's bytes as they are when they can be, else cropped and resized; ValueError when they do not decode."""
    rgb_HWC = decode_bytes(data)[0]
    kept = next((suffix for start, suffix in _KEPT.items() if data.startswith(start)), None)
    if kept and config.region is None and config.image_size is None:
        return data, kept
    if config.region is not None:
        rgb_HWC = _cropped(rgb_HWC, config.region)
    if config.image_size is not None:
        rgb_HWC = square_and_resize(rgb_HWC, config.image_size)
    suffix, quality = (".jpg", [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]) if kept == ".jpg" else (".png", [])
    return cv2.imencode(suffix, cv2.cvtColor(rgb_HWC, cv2.COLOR_RGB2BGR), quality)[1].tobytes(), suffix


def _cropped(rgb_HWC: np.ndarray, region: tuple[int, int, int, int]) -> np.ndarray:
    x, y, width, height = region
    if x + width > rgb_HWC.shape[1] or y + height > rgb_HWC.shape[0]:
        raise ValueError(f"{rgb_HWC.shape[1]}x{rgb_HWC.shape[0]} pixels, --region {x} {y} {width} {height} leads out")
    return rgb_HWC[y : y + height, x : x + width]


def _class_names(task: str, records: list[Record]) -> tuple[str, ...]:
    """Classes over all sensors, in natural order; `contact` has its own order, and no other names."""
    found = {str(record.labels["label"]) for record in records if "label" in record.labels}
    if task != "contact":
        return tuple(sorted(found, key=natural))
    if not found <= set(TASKS[task].class_names):
        allowed = " and ".join(TASKS[task].class_names)
        raise DataRefused(f"task contact: the classes are {', '.join(sorted(found))}; call them {allowed}")
    return TASKS[task].class_names


def report_lines(found: Ingested, config: IngestConfig) -> list[str]:
    """What `sarl-train ingest` prints: images by task, sensor and split, then refusals by reason with an example."""
    lines = [f"{config.out}: {len(found.rows)} real images"]
    counts = Counter((record.task, record.sensor, found.splits[record.group]) for record, _ in found.rows)
    for task, sensor in sorted({key[:2] for key in counts}):
        groups = len({record.group for record, _ in found.rows if (record.task, record.sensor) == (task, sensor)})
        shares = ", ".join(f"{counts[task, sensor, split]} {split}" for split in SPLITS)
        lines.append(f"  {task:<16} {sensor:<18} {shares}; {groups} groups")
        empty = " or ".join(split for split in SPLITS if not counts[task, sensor, split])
        if empty:
            lines.append(f"  warning: no {empty} images: {SPLIT_ADVICE}")
    refused = found.refused()
    for kind, count in Counter(item.kind for item in refused).most_common():
        example = next(item for item in refused if item.kind == kind)
        more = f" and {count - 1} more" if count > 1 else ""
        lines.append(f"  refused {count}: {example.reason} ({example.source}{more})")
    lines.append(f"  every file and row: {config.out / READ_TABLE}")
    return lines

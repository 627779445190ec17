"""What an adapter gives: a stream of records, each an image with its labels, and of what it refused with reasons."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from sarl_training.config import check_image_size, check_region, check_seed
from sarl_training.errors import UsageError

Shares = Literal["70/15/15", "60/20/20"]
SPLIT_FOLDERS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
}  # fmt: skip
UNLABELLED = "unlabelled"
NO_CONTACT = "no contact"  # how the reason begins
LEAST_RUNS = 7  # of a sequence: 5 for train, 1 for val, 1 for test


@dataclass(frozen=True)
class Record:
    """One image. `load` reads its bytes only when called; `labels` are in dataset units, a class by its name."""

    source: str
    """Where it was found, for people."""
    task: str
    sensor: str
    group: str
    """Contact or stretch of time; no group straddles two splits."""
    load: Callable[[], bytes]
    """Raises ValueError that says why the image cannot be read."""
    labels: Mapping[str, float | str] = field(default_factory=dict)
    split: str = ""
    """Split that the source provides, else empty."""
    latent: str = ""
    """Contact, where several sensors or tasks show the same one; else the record is a contact of its own."""

    def __post_init__(self) -> None:
        """ValueError when the press depth of an edge pose says that nothing touches: such a picture shows no edge."""
        depth_mm = self.labels.get("z_mm") if self.task == "edge_pose" else None
        if depth_mm is not None and depth_mm <= 0:
            raise ValueError(f"{NO_CONTACT}: z {depth_mm:g} mm")


@dataclass(frozen=True)
class Refused:
    """One image or label row that was not read."""

    source: str
    reason: str

    @property
    def kind(self) -> str:
        """Reasons that differ in names and numbers only count as one."""
        return " ".join(word for word in self.reason.split() if word.isalpha())


def commonest(refused: Sequence[Refused]) -> Refused:
    """The first example of what most were refused for."""
    kind = Counter(item.kind for item in refused).most_common(1)[0][0]
    return next(item for item in refused if item.kind == kind)


@dataclass(frozen=True)
class Reading:
    """What one source holds. `total` is how many items will come; `axes` maps each regression task to axis -> unit."""

    total: int
    items: Iterable[Record | Refused]
    axes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    """Tasks whose labels are classes."""
    notes: tuple[str, ...] = ()
    """What a user should know: assumptions, clocks, columns left out."""
    video: bool = False
    """A picture that comes again is a tip at rest or a camera that stalled: the first stands, whatever the labels."""


@dataclass(frozen=True)
class IngestConfig:
    """What every layout has in common."""

    src: tyro.conf.Positional[Path]
    """Folder (or zip file) to read."""
    out: Path
    """Dataset folder to write; must not exist."""
    task: str = ""
    """Task that the labels are for, a built-in one or a name of your own; the layout's usual one when not given."""
    sensor: str = ""
    """Sensor that took the images, where the layout does not name it, for example vitactip."""
    splits: Shares = "70/15/15"
    """Shares of train / val / test by group, where the source provides no split (60/20/20 for transfer sets)."""
    seed: int = 0
    """Seed of the splits."""
    image_size: int | None = None
    """Store squares of this many pixels; the files as they are when not given."""
    region: tuple[int, int, int, int] | None = None
    """Part of the camera image that shows the sensor, x y width height in pixels; the node's `region` likewise."""
    licence: str = ""
    """Licence of the data, for dataset.json."""
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Go on with an interrupted dataset (`<out>.partial`)."""

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if self.image_size is not None:
            check_image_size(self.image_size)
        if self.region is not None:
            check_region(self.region)


@dataclass(frozen=True)
class LabelledConfig(IngestConfig):
    """Of layouts whose labels are numbers in named columns."""

    axes: tuple[str, ...] = ()
    """Columns that become labels, each COLUMN:UNIT or NAME=COLUMN:UNIT (NAME=-COLUMN:UNIT turns the sign), for example
    `shear_x:mm yaw=pose_6:deg`. Units: mm cm m um deg rad N mN Nmm Nm px 1."""


_SENSORS = {
    "vitactip": "vitactip", "vitactip2": "vitactip2", "vitac": "vitac", "tactip": "tactip", "minitip": "minitip",
    "gelsight": "gelsight", "gelsightmini": "gelsight_mini", "gelsightmarker": "gelsight_marker",
    "gelsightnomarker": "gelsight_no_marker", "gelsigntnomarker": "gelsight_no_marker",
    "gelsigntmarker": "gelsight_marker", "digit": "digit", "magicgripper": "magicgripper", "magictac": "magictac",
    "magictact": "magictac_t", "magictacd": "magictac_d", "pnutac": "pnutac",
}  # fmt: skip


def sensor_name(text: str) -> str:
    """One spelling per sensor: known variants are mapped, other names written in snake case; UsageError when empty."""
    bare = re.sub(r"[^a-z0-9]", "", text.lower())
    name = _SENSORS.get(bare) or re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UsageError(f"sensor {text!r}: a name that starts with a letter is needed; give one with --sensor")
    return name


def known_sensor(words: Iterable[str]) -> str:
    """The first known sensor among folder names such as `cr_tactip_331`, or empty."""
    for word in words:
        for part in [word, *re.split(r"[_\-\s]+", word)]:
            if name := _SENSORS.get(re.sub(r"[^a-z0-9]", "", part.lower())):
                return name
    return ""


def asked_sensor(config: IngestConfig, layout: str) -> str:
    """`--sensor`; UsageError where the layout needs it and it is missing."""
    if not config.sensor:
        raise UsageError(f"--sensor: {layout} does not say which sensor took the images; name it, for example vitactip")
    return sensor_name(config.sensor)


def natural(text: str) -> list[tuple[int, int, str]]:
    """Sort key that puts press-2 before press-10."""
    parts = re.split(r"([0-9]+)", text)
    return [(0, int(part), part) if part.isascii() and part.isdigit() else (1, 0, part) for part in parts]


def trailing_number(stem: str) -> int | None:
    """12 of `press-012`; None without digits at the end."""
    found = re.search(r"([0-9]+)$", stem)
    return int(found[1]) if found else None


def runs_of(names: list[str], length: int) -> dict[str, str]:
    """Name -> group: neighbours in the order given, at most `length` at a time, so that a sequence is cut in stretches.

    A short sequence is cut shorter, so that every split gets some of it.
    """
    length = max(min(length, len(names) // LEAST_RUNS), 1)
    return {name: f"run{index // length:05d}" for index, name in enumerate(names)}

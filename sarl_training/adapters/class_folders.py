"""One folder per class (Cardiff's VTac, MagicTac, any ImageFolder), with or without train, val and test above.

[<train|val|test>/]<class>/**/*.png
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

from sarl_training.adapters.base import (
    SPLIT_FOLDERS,
    IngestConfig,
    Reading,
    Record,
    Refused,
    asked_sensor,
    runs_of,
)
from sarl_training.adapters.tree import Tree
from sarl_training.errors import DataRefused, UsageError


@dataclass(frozen=True)
class ClassFoldersConfig(IngestConfig):
    """One folder per class, with or without train, val and test above; --task and --sensor are needed."""

    frames_per_group: int = 10
    """Neighbouring frames of a class, in the order of their names, that stay in one split: sequences show the same
    contact many times."""


def read(tree: Tree, config: ClassFoldersConfig) -> Reading:
    """Raises UsageError without --task or --sensor, DataRefused with fewer than two classes."""
    if not config.task:
        raise UsageError("--task: name what the folders are classes of, for example material")
    sensor = asked_sensor(config, "a class folder")
    tops = {PurePosixPath(name).parts[0].lower() for name in tree.images()}
    provided = bool(tops) and tops <= set(SPLIT_FOLDERS)
    members: dict[tuple[str, str], list[str]] = {}
    items: list[Record | Refused] = []
    for name in tree.images():
        parts = PurePosixPath(name).parts
        split, parts = (SPLIT_FOLDERS[parts[0].lower()], parts[1:]) if provided else ("", parts)
        if len(parts) < 2:
            items.append(Refused(name, "in no class folder"))
        else:
            members.setdefault((split, parts[0]), []).append(name)
    classes = sorted({kind for _, kind in members})
    if len(classes) < 2:
        found = f"only the folder {classes[0]}" if classes else "no folders"
        raise DataRefused(f"{config.src}: {found} of images in it; at least two are needed, one for each class")
    for (split, kind), names in members.items():
        for name, run in runs_of(names, config.frames_per_group).items():
            group = f"{split}/{kind}/{run}".lstrip("/")
            items.append(Record(name, config.task, sensor, group, partial(tree.read, name), {"label": kind}, split))
    return Reading(len(items), iter(items), classes=(config.task,))

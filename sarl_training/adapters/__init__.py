"""Foreign layouts by name: each reads a source lazily and gives records. A new layout is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from sarl_training.adapters import bristol, class_folders, flat, multidiffsense, rosbag, tacverse
from sarl_training.adapters.base import IngestConfig, Reading, Record, Refused
from sarl_training.adapters.tree import Tree, open_tree

__all__ = ["ADAPTERS", "Adapter", "IngestConfig", "Reading", "Record", "Refused"]


@dataclass(frozen=True)
class Adapter:
    """`with adapter.open(config) as reading` gives the records of `config.src`; images are read inside the block."""

    Config: type[IngestConfig]
    open: Callable[[Any], AbstractContextManager[Reading]]


@contextmanager
def _files(read: Callable[[Tree, Any], Reading], config: IngestConfig) -> Iterator[Reading]:
    with open_tree(config.src) as tree:
        yield read(tree, config)


ADAPTERS: dict[str, Adapter] = {
    "tacverse": Adapter(tacverse.TacVerseConfig, partial(_files, tacverse.read)),
    "bristol": Adapter(bristol.BristolConfig, partial(_files, bristol.read)),
    "multidiffsense": Adapter(multidiffsense.MultiDiffSenseConfig, partial(_files, multidiffsense.read)),
    "class_folders": Adapter(class_folders.ClassFoldersConfig, partial(_files, class_folders.read)),
    "flat": Adapter(flat.FlatConfig, partial(_files, flat.read)),
    "rosbag": Adapter(rosbag.RosbagConfig, rosbag.open_bag),
}

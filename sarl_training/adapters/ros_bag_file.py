"""One rosbag2 recording, sqlite3 or mcap, read without ROS; whatever is broken in it is one line."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import Reader, ReaderError
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore

from sarl_training.errors import DataRefused

# What rosbags lets through when a file is cut or overwritten, found by cutting bags at many places.
_BROKEN = (
    ReaderError, SerdeError, OSError, sqlite3.Error, struct.error, ValueError, KeyError, IndexError, TypeError,
    AttributeError, AssertionError, RuntimeError, EOFError,
)  # fmt: skip


class BagFile:
    """An open recording. Raises DataRefused for a broken one."""

    def __init__(self, path: Path, reader: Reader) -> None:
        self.path, self._reader = path, reader
        self._types = get_typestore(Stores.ROS2_JAZZY)

    def topics(self) -> dict[str, str]:
        """Topic -> message type, of topics that have messages."""
        return {name: info.msgtype or "mixed types" for name, info in self._reader.topics.items() if info.msgcount}

    def listing(self) -> str:
        """The topics for an error message."""
        return ", ".join(f"{name} ({kind})" for name, kind in sorted(self.topics().items())) or "none with messages"

    def messages(self, topic: str) -> Iterator[tuple[int, Any]]:
        """Receive time (ns) and message, in the order of recording. DataRefused when some are missing."""
        connections = [connection for connection in self._reader.connections if connection.topic == topic]
        count, promised = 0, sum(connection.msgcount for connection in connections)
        with _one_line(self.path):
            for connection, received_ns, data in self._reader.messages(connections=connections):
                count += 1
                yield received_ns, self._types.deserialize_cdr(data, connection.msgtype)
            if count < promised:
                raise ReaderError(f"{count} of {promised} messages on {topic}")


@contextmanager
def open_bag_file(path: Path) -> Iterator[BagFile]:
    """Raises DataRefused when the recording does not open."""
    with _one_line(path):
        reader = Reader(path)
        reader.open()
    try:
        yield BagFile(path, reader)
    finally:
        reader.close()


def find_bags(path: Path) -> list[Path]:
    """The recording at `path`, or those in its folders; DataRefused when there is none."""
    if not path.exists():
        raise DataRefused(f"{path}: no such file or folder")
    if path.is_file() or (path / "metadata.yaml").exists():
        return [path]
    found: Sequence[Path] = sorted(file.parent for file in path.glob("*/metadata.yaml"))
    loose = sorted([*path.glob("*.mcap"), *path.glob("*.db3")])
    if not found and not loose:
        raise DataRefused(
            f"{path}: no rosbag2 recording: neither metadata.yaml nor an .mcap or .db3 file; give its folder"
        )
    return [*found] or loose


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise DataRefused(
            f"{path}: the recording is cut or broken ({what}); try `ros2 bag reindex` or `mcap recover`, then again"
        ) from error

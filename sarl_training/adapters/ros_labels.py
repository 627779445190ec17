"""The label topics of a recording: numbers in the sensor frame, or why a message gives none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from sarl_training.adapters.ros_bag_file import BagFile
from sarl_training.adapters.ros_config import RosbagConfig
from sarl_training.adapters.ros_messages import LABEL_KINDS, matrix, pose_values, stamp_ns
from sarl_training.adapters.ros_stamps import Stamps
from sarl_training.errors import DataRefused


@dataclass(frozen=True)
class TopicLabels:
    """One label topic of one recording."""

    stamps: Stamps
    columns: tuple[str, ...]
    values_MC: np.ndarray
    """NaN where a message does not convert."""
    unusable: Mapping[int, str]
    """Number of such a message -> why."""
    tilt_deg_M: np.ndarray
    """Angle between the z axes of a pose and of the sensor, whichever way they point; empty for other kinds."""

    def value(self, message: int, column: str) -> float:
        """A number of a message; ValueError says why there is none."""
        if message in self.unusable:
            raise ValueError(f"{self.stamps.topic}: {self.unusable[message]}")
        return float(self.values_MC[message, self.columns.index(column)])


def read_stamps(
    bag: BagFile, topic: str, read: Callable[[object], list[float] | str] | None = None
) -> tuple[Stamps, list[list[float] | str]]:
    """Stamps of a topic, and what `read` makes of each message."""
    headers, received, values = [], [], []
    for received_ns, message in bag.messages(topic):
        headers.append(stamp_ns(message))
        received.append(received_ns)
        if read is not None:
            values.append(read(message))
    return Stamps(topic, np.array(headers, np.int64), np.array(received, np.int64)), values


def read_labels(bag: BagFile, kind: str, topic: str, config: RosbagConfig) -> TopicLabels:
    """All labels of one topic; DataRefused when it is not there, or of another kind."""
    if topic not in bag.topics():
        raise DataRefused(f"{bag.path}: --{kind}-topic {topic} is not in it, or empty; its topics: {bag.listing()}")
    columns, read = LABEL_KINDS[kind]
    transform = matrix(config.frame_transform) if config.frame_transform else np.eye(4)
    tilts_deg: list[float] = []

    def values(message: object) -> list[float] | str:
        try:
            found = read(message)
        except ValueError as error:
            tilts_deg.append(np.nan)
            return str(error)
        except AttributeError as error:
            raise DataRefused(
                f"{bag.path}: --{kind}-topic {topic} is a {bag.topics()[topic]}, which holds no {kind}; "
                f"its topics: {bag.listing()}"
            ) from error
        if kind == "pose":
            pose = transform @ (np.linalg.inv(found) @ matrix(config.object_pose) if config.object_pose else found)
            tilts_deg.append(float(np.degrees(np.arccos(np.clip(abs(pose[2, 2]), 0, 1)))))
            return pose_values(pose, pressed=-1 if config.object_pose else 1)
        return list((transform @ found)[:3]) if kind == "point" else found

    stamps, rows = read_stamps(bag, topic, values)
    unusable = {number: row for number, row in enumerate(rows) if isinstance(row, str)}
    numbers = [[np.nan] * len(columns) if isinstance(row, str) else row for row in rows]
    return TopicLabels(stamps, columns, np.array(numbers, np.float64), unusable, np.array(tilts_deg))

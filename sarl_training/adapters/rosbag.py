"""A rosbag2 recording: an image topic, and pose, wrench or point topics matched to it by stamp as labels.

Poses may be turned into the sensor frame: label = frame_transform * pose, or frame_transform * pose^-1 * object_pose
when the topic is the fingertip's pose and the object stands still.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from sarl_training.adapters.axes import Axis
from sarl_training.adapters.base import Reading, Record, Refused, asked_sensor
from sarl_training.adapters.labelled import units
from sarl_training.adapters.ros_angles import unwrap_labels
from sarl_training.adapters.ros_bag_file import BagFile, find_bags, open_bag_file
from sarl_training.adapters.ros_config import RosbagConfig
from sarl_training.adapters.ros_labels import read_labels, read_stamps
from sarl_training.adapters.ros_messages import IMAGE_TYPES, image_file
from sarl_training.adapters.ros_stamps import check_some_match, choose_clock, cut, nearest
from sarl_training.adapters.ros_tasks import check_tilt, choose_tasks, learnable, tilt_notes
from sarl_training.errors import DataRefused

__all__ = ["RosbagConfig", "open_bag"]


@contextmanager
def open_bag(config: RosbagConfig) -> Iterator[Reading]:
    """Read labels and stamps of all recordings, then give their images one at a time."""
    sensor = asked_sensor(config, "a recording")
    with ExitStack() as stack:
        bags = [stack.enter_context(open_bag_file(path)) for path in find_bags(config.src)]
        names = _names([bag.path for bag in bags])
        parts = [_Recording(bag, name, config, sensor) for bag, name in zip(bags, names, strict=True)]
        tasks = choose_tasks(config, [part.labels for part in parts])
        notes = _cut_time(parts, config)
        for part in parts:
            part.label(tasks)
        notes += unwrap_labels(tasks, [part.labelled for part in parts], config)
        labelled = {task: [item for part in parts for item in part.labelled[task]] for task in tasks}
        tasks, left_out = learnable(tasks, labelled, config)
        notes = [*(f"{part.bag.path.name}: {note}" for part in parts for note in part.notes), *notes, *left_out]
        items = (item for part in parts for item in part.items(tasks))
        axes = {name: units(axes) for name, axes in tasks.items() if axes}
        yield Reading(sum(len(labelled[task]) for task in tasks), items, axes, notes=tuple(notes), video=True)


def _names(paths: Sequence[Path]) -> list[str]:
    """A name per recording: without its suffix, unless two would then be the same."""
    full = [path.absolute().name for path in paths]  # `.` has no name
    bare = [re.sub(r"\.(mcap|db3)$", "", name) for name in full]
    return bare if len(set(bare)) == len(bare) else full


def _cut_time(parts: Sequence[_Recording], config: RosbagConfig) -> list[str]:
    """Set the groups of all recordings; returns notes. Loose files may be parts of one recording: their time is one."""
    loose = len(parts) > 1 and all(part.bag.path.is_file() for part in parts)
    lines = {config.src.absolute().name: parts} if loose else {part.name: [part] for part in parts}
    notes = []
    for name, line in lines.items():
        clock = "header" if all(part.clock == "header" for part in line) else "receive"
        stretches = cut({part.name: part.images.times(clock) for part in line}, config.segment_s)
        for part in line:
            part.groups = tuple(group and f"{name}/{group}" for group in stretches.groups[part.name])
        notes += [f"{name}: {note}" for note in stretches.notes]
    return notes


class _Recording:
    """Stamps and labels of one recording; `items` then reads its images."""

    def __init__(self, bag: BagFile, name: str, config: RosbagConfig, sensor: str) -> None:
        self.bag, self.name, self._config, self._sensor = bag, name, config, sensor
        self._topic = _image_topic(bag, config)
        self.images = read_stamps(bag, self._topic)[0]
        self.labels = {kind: read_labels(bag, kind, topic, config) for kind, topic in config.label_topics().items()}
        topics = [self.images, *(part.stamps for part in self.labels.values())]
        self.clock, self.notes = choose_clock(config.clock, topics, config.tolerance_s)
        times_N = self.images.times(self.clock)
        self._matches = {}
        for kind, part in self.labels.items():
            index_N, distance_N = nearest(times_N, part.stamps.times(self.clock))
            check_some_match(part.stamps.topic, distance_N, config.tolerance_s, self.clock)
            self._matches[kind] = index_N, distance_N
        self.groups: Sequence[str] = ()
        self.labelled: dict[str, list[Record | Refused]] = {}

    def label(self, tasks: Mapping[str, Sequence[Axis]]) -> None:
        """Fill `labelled` once `groups` is set: task -> a record without its image, or a refusal, per frame."""
        frames = range(len(self.groups))
        self.labelled = {task: [self._record(number, task, axes) for number in frames] for task, axes in tasks.items()}
        if "edge_pose" in tasks and "pose" in self.labels:
            edges = self.labelled["edge_pose"]
            self.notes += tilt_notes([self._tilt_deg(n) for n, item in enumerate(edges) if isinstance(item, Record)])

    def items(self, tasks: Mapping[str, Sequence[Axis]]) -> Iterator[Record | Refused]:
        """What `label` found per frame and task, with the images."""
        for number, (_, message) in enumerate(self.bag.messages(self._topic)):
            for task in tasks:
                item = self.labelled[task][number]
                yield item if isinstance(item, Refused) else replace(item, load=partial(image_file, message))

    def _record(self, number: int, task: str, axes: Sequence[Axis]) -> Record | Refused:
        place, group = f"{self.bag.path.name}:{self._topic}#{number}", self.groups[number]
        try:
            if not group:
                raise ValueError("in the unused time between two stretches")
            labels = {axis.label_column: self._label(number, task, axis) for axis in axes}
            return Record(place, task, self._sensor, group, _unread, labels, latent=f"{self.name}#{number}")
        except ValueError as error:
            return Refused(place, str(error))

    def _label(self, number: int, task: str, axis: Axis) -> float:
        """One label of frame `number`; ValueError when it is too far away, not finite, or no edge in the plane."""
        kind = next(kind for kind, part in self.labels.items() if axis.column in part.columns)
        part, (index_N, distance_N) = self.labels[kind], self._matches[kind]
        if distance_N[number] > self._config.tolerance_s:
            raise ValueError(
                f"no {part.stamps.topic} within {self._config.tolerance_s:g} s: nearest {distance_N[number]:.3f} s"
            )
        value = axis.convert(part.value(index_N[number], axis.column))
        if task == "edge_pose" and kind == "pose":
            check_tilt(self._tilt_deg(number))
        return value

    def _tilt_deg(self, number: int) -> float:
        return float(self.labels["pose"].tilt_deg_M[self._matches["pose"][0][number]])


def _unread() -> bytes:
    raise ValueError("its image was not read yet")


def _image_topic(bag: BagFile, config: RosbagConfig) -> str:
    topics = bag.topics()
    images = [name for name, kind in topics.items() if kind in IMAGE_TYPES]
    if config.image_topic:
        if topics.get(config.image_topic) in IMAGE_TYPES:
            return config.image_topic
        kind = topics.get(config.image_topic)
        what = f"is a {kind}" if kind else "is not in it, or has no messages"
        raise DataRefused(f"{bag.path}: --image-topic {config.image_topic} {what}; its topics: {bag.listing()}")
    if len(images) != 1:
        raise DataRefused(
            f"{bag.path}: {len(images)} image topics; choose one with --image-topic; its topics: {bag.listing()}"
        )
    return images[0]

"""A rosbag2 recording: an image topic, and pose, wrench or point topics matched to it by stamp as labels.

Poses may be turned into the sensor frame: label = frame_transform * pose, or frame_transform * pose^-1 * object_pose
when the topic is the fingertip's pose and the object stands still.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np

from sarl_training.adapters.axes import Axis, choose_axes
from sarl_training.adapters.base import UNLABELLED, LabelledConfig, Reading, Record, Refused, asked_sensor
from sarl_training.adapters.labelled import units
from sarl_training.adapters.ros_bag_file import BagFile, find_bags, open_bag_file
from sarl_training.adapters.ros_messages import (
    IMAGE_TYPES,
    LABEL_KINDS,
    image_file,
    matrix,
    pose_values,
    stamp_ns,
)
from sarl_training.adapters.ros_stamps import Clock, Stamps, check_some_match, choose_clock, cut, nearest
from sarl_training.errors import DataRefused, UsageError

EDGE_POSE = ("x=edge_x", "z=edge_z", "theta=edge_theta")
POSE = ("x", "y", "z", "roll", "pitch", "yaw")
DEFAULTS = {"wrench": ("force", ("fx", "fy", "fz")), "point": ("contact_point", ("px", "py", "pz"))}


@dataclass(frozen=True)
class RosbagConfig(LabelledConfig):
    """A rosbag2 recording (sqlite3 or mcap), or a folder of them. Without label topics its images are unlabelled.

    A pose topic gives x y z roll pitch yaw (task `pose`), and edge_x edge_z edge_theta (with --task edge_pose: the pose
    of an edge, x axis along its normal, y axis along it); a wrench topic fx fy fz tx ty tz (task force); a point topic
    px py pz (task contact_point). With --axes these names make one task of your own.
    """

    image_topic: str = ""
    """Image or CompressedImage topic; the only one of the recording when not given."""
    pose_topic: str = ""
    """Topic of poses: PoseStamped, PoseWithCovarianceStamped, TransformStamped, Odometry, Pose."""
    wrench_topic: str = ""
    """Topic of forces on the sensor in its frame: WrenchStamped or Wrench; pressing gives fz < 0."""
    point_topic: str = ""
    """Topic of contact points: PointStamped or Point."""
    tolerance_s: float = 0.02
    """Furthest that a label's stamp may be from the image's, seconds."""
    clock: Clock = "auto"
    """Which time: header stamps, or when the recorder received a message. auto: header stamps unless they are missing
    or come from two clocks."""
    frame_transform: tuple[float, ...] = ()
    """x y z qx qy qz qw, or 16 numbers of a 4x4 row by row, in metres: turns poses and points into the sensor frame."""
    object_pose: tuple[float, ...] = ()
    """Pose of the object, likewise, when the pose topic is that of the fingertip in the same fixed frame."""
    segment_s: float | None = None
    """Length of the stretches that splits are made of, seconds; a twentieth of the recording, 0.5 to 5 s, when not
    given."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for flag, value in {"--tolerance-s": self.tolerance_s, "--segment-s": self.segment_s}.items():
            if value is not None and not value > 0:
                raise UsageError(f"{flag} {value}: must be above 0 s")
        for name in ("frame_transform", "object_pose"):
            if getattr(self, name):
                try:
                    matrix(getattr(self, name))
                except ValueError as error:
                    raise UsageError(f"--{name.replace('_', '-')}: {error}") from error
        if self.axes and not self.task:
            raise UsageError("--task: name what the --axes are labels of, for example shear")

    def label_topics(self) -> dict[str, str]:
        """Kind -> topic, of those given."""
        topics = {kind: getattr(self, f"{kind}_topic") for kind in LABEL_KINDS}
        return {kind: topic for kind, topic in topics.items() if topic}


@dataclass(frozen=True)
class _Labels:
    """One label topic of one recording."""

    stamps: Stamps
    columns: tuple[str, ...]
    values_MC: np.ndarray


@contextmanager
def open_bag(config: RosbagConfig) -> Iterator[Reading]:
    """Read labels and stamps of all recordings, then give their images one at a time."""
    sensor = asked_sensor(config, "a recording")
    with ExitStack() as stack:
        bags = [stack.enter_context(open_bag_file(path)) for path in find_bags(config.src)]
        parts = [_Recording(bag, config, sensor) for bag in bags]
        tasks = _tasks(config, [part.labels for part in parts])
        notes = [f"{part.bag.path.name}: {note}" for part in parts for note in part.notes]
        items = (item for part in parts for item in part.items(tasks))
        count = sum(len(part.images.received_N) for part in parts) * len(tasks)
        yield Reading(count, items, {name: units(axes) for name, axes in tasks.items() if axes}, notes=tuple(notes))


def _tasks(config: RosbagConfig, labels: Sequence[Mapping[str, _Labels]]) -> dict[str, list[Axis]]:
    """Task -> axes over the columns of the topics given."""
    topics = config.label_topics()
    if not topics:
        if config.axes or config.task:
            raise UsageError("--task: a recording has labels only with --pose-topic, --wrench-topic or --point-topic")
        return {UNLABELLED: []}
    columns = [column for kind in topics for column in LABEL_KINDS[kind][0]]
    if config.axes:
        return {config.task: choose_axes(config.axes, columns, "the recording")}
    tasks = {}
    for kind in topics:
        if kind != "pose":
            name, wishes = DEFAULTS[kind]
        elif config.task == "edge_pose":
            name, wishes = "edge_pose", EDGE_POSE
        else:
            name, wishes = config.task or "pose", [axis for axis in POSE if _varies(labels, axis)]
        tasks[name] = choose_axes(wishes, columns, "the recording")
    return tasks


def _varies(labels: Sequence[Mapping[str, _Labels]], axis: str) -> bool:
    columns = LABEL_KINDS["pose"][0]
    index = next(i for i, column in enumerate(columns) if column.partition(" ")[0] == axis)
    values = np.concatenate([kinds["pose"].values_MC[:, index] for kinds in labels])
    return bool(np.ptp(values) > 1e-9)


class _Recording:
    """Stamps and labels of one recording; `items` then reads its images."""

    def __init__(self, bag: BagFile, config: RosbagConfig, sensor: str) -> None:
        self.bag, self._config, self._sensor = bag, config, sensor
        self._topic = _image_topic(bag, config)
        self.images = _stamps(bag, self._topic)[0]
        self.labels = {kind: _labels(bag, kind, topic, config) for kind, topic in config.label_topics().items()}
        clock, why = choose_clock(config.clock, [self.images, *(part.stamps for part in self.labels.values())])
        self._times_N = self.images.times(clock)
        self._stretches = cut(self._times_N, config.segment_s)
        self._matches = {}
        for kind, part in self.labels.items():
            index_N, distance_N = nearest(self._times_N, part.stamps.times(clock))
            check_some_match(part.stamps.topic, distance_N, config.tolerance_s, clock)
            self._matches[kind] = index_N, distance_N
        gaps, length, guard = self._stretches.gaps, self._stretches.length_s, self._stretches.guard_s
        self.notes = [
            why,
            f"{len(self._times_N)} frames in stretches of {length:.2f} s, {guard:.2f} s unused between two",
            *([f"{gaps['count']:.0f} gaps, the longest {gaps['longest_s']:.2f} s"] if gaps["count"] else []),
        ]

    def items(self, tasks: Mapping[str, Sequence[Axis]]) -> Iterator[Record | Refused]:
        """A record per frame and task."""
        for number, (_, message) in enumerate(self.bag.messages(self._topic)):
            place = f"{self.bag.path.name}:{self._topic}#{number}"
            group = self._stretches.groups[number]
            for task, axes in tasks.items():
                try:
                    if not group:
                        raise ValueError("in the unused time between two stretches")
                    labels = self._labels_at(number, axes)
                except ValueError as error:
                    yield Refused(place, str(error))
                    continue
                yield Record(
                    place, task, self._sensor, f"{self.bag.path.stem}/{group}", partial(image_file, message), labels,
                    latent=f"{self.bag.path.stem}#{number}",
                )  # fmt: skip

    def _labels_at(self, number: int, axes: Sequence[Axis]) -> dict[str, float]:
        """Labels of frame `number`; ValueError when one is too far away or not finite."""
        labels = {}
        for axis in axes:
            kind = next(kind for kind, part in self.labels.items() if axis.column in part.columns)
            part, (index_N, distance_N) = self.labels[kind], self._matches[kind]
            if distance_N[number] > self._config.tolerance_s:
                raise ValueError(
                    f"no {part.stamps.topic} within {self._config.tolerance_s:g} s: nearest {distance_N[number]:.3f} s"
                )
            value = part.values_MC[index_N[number], part.columns.index(axis.column)]
            labels[axis.label_column] = axis.convert(float(value))
        return labels


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


def _stamps(
    bag: BagFile, topic: str, read: Callable[[object], list[float]] | None = None
) -> tuple[Stamps, list[list[float]]]:
    """Stamps of a topic, and what `read` makes of each message."""
    headers, received, values = [], [], []
    for received_ns, message in bag.messages(topic):
        headers.append(stamp_ns(message))
        received.append(received_ns)
        if read is not None:
            values.append(read(message))
    return Stamps(topic, np.array(headers, np.int64), np.array(received, np.int64)), values


def _labels(bag: BagFile, kind: str, topic: str, config: RosbagConfig) -> _Labels:
    """All labels of one topic, poses and points in the sensor frame; what does not convert is NaN."""
    if topic not in bag.topics():
        raise DataRefused(f"{bag.path}: --{kind}-topic {topic} is not in it, or empty; its topics: {bag.listing()}")
    columns, read = LABEL_KINDS[kind]
    transform = matrix(config.frame_transform) if config.frame_transform else np.eye(4)

    def values(message: object) -> list[float]:
        try:
            found = read(message)
            if kind == "pose":
                pose = np.linalg.inv(found) @ matrix(config.object_pose) if config.object_pose else found
                return pose_values(transform @ pose)
            return list((transform @ found)[:3]) if kind == "point" else found
        except ValueError:
            return [np.nan] * len(columns)
        except AttributeError as error:
            raise DataRefused(
                f"{bag.path}: --{kind}-topic {topic} is a {bag.topics()[topic]}, which holds no {kind}; "
                f"its topics: {bag.listing()}"
            ) from error

    stamps, rows = _stamps(bag, topic, values)
    return _Labels(stamps, columns, np.array(rows, np.float64))

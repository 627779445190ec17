"""Writes small real rosbag2 recordings, sqlite3 or mcap, with the rosbags library: a camera and label topics."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from tiny_dataset import bar_image

from sarl_training.cli import main
from sarl_training.dataset import Table

TYPES = get_typestore(Stores.ROS2_JAZZY)
START_NS = 1_700_000_000_000_000_000
Messages = list[tuple[str, int, Any]]
"""Topic, receive time (ns) and message."""
POSE_WORDS = ["--pose-topic", "/tip_pose", "--sensor", "vitactip"]


def ingest(*words: object) -> int:
    """Exit code of `sarl-train ingest rosbag`."""
    return main(["ingest", "rosbag", *map(str, words)])


def frames(table: Table) -> list[int]:
    """Numbers of the frames in the recording."""
    return [int(latent.partition("#")[2]) for latent in table.latent_id]


def message(kind: str, **fields: Any) -> Any:
    """A message of type `package/Name`."""
    package, name = kind.split("/")
    return TYPES.types[f"{package}/msg/{name}"](**fields)


def header(stamp_ns: int, frame: str = "camera") -> Any:
    stamp = message("builtin_interfaces/Time", sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return message("std_msgs/Header", stamp=stamp, frame_id=frame)


def frame(number: int, size: int = 24) -> np.ndarray:
    """RGB picture that differs from every other number's."""
    rgb = bar_image(((number * 37) % 100) / 50 - 1, (number * 53) % 90 - 45, size)
    rgb[0, :16] = ((number >> np.arange(16)) & 1)[:, None] * 200
    return rgb


def image(stamp_ns: int, rgb: np.ndarray, encoding: str = "rgb8", padding: int = 0) -> Any:
    """sensor_msgs/Image, rows padded by so many bytes of junk."""
    pixels = {"rgb8": rgb, "bgr8": rgb[..., ::-1], "mono8": rgb[..., :1]}[encoding]
    rows = np.ascontiguousarray(pixels).reshape(len(rgb), -1)
    rows = np.concatenate([rows, np.full((len(rgb), padding), 77, np.uint8)], axis=1)
    return message(
        "sensor_msgs/Image", header=header(stamp_ns), height=rgb.shape[0], width=rgb.shape[1], encoding=encoding,
        is_bigendian=0, step=rows.shape[1], data=rows.ravel(),
    )  # fmt: skip


def compressed(stamp_ns: int, rgb: np.ndarray) -> Any:
    data = cv2.imencode(".jpg", rgb[..., ::-1])[1].ravel()
    return message(
        "sensor_msgs/CompressedImage", header=header(stamp_ns), format="rgb8; jpeg compressed bgr8", data=data
    )


def _xyz(kind: str, values: Any) -> Any:
    return message(f"geometry_msgs/{kind}", **dict(zip("xyz", map(float, values), strict=True)))


def pose(stamp_ns: int, position: Any, yaw: float = 0.0, quaternion: Any = None) -> Any:
    """geometry_msgs/PoseStamped turned about z, or by x y z w."""
    numbers = (0.0, 0.0, np.sin(yaw / 2), np.cos(yaw / 2)) if quaternion is None else quaternion
    turn = message("geometry_msgs/Quaternion", **dict(zip("xyzw", map(float, numbers), strict=True)))
    inner = message("geometry_msgs/Pose", position=_xyz("Point", position), orientation=turn)
    return message("geometry_msgs/PoseStamped", header=header(stamp_ns, "base"), pose=inner)


def wrench(stamp_ns: int, force: Any) -> Any:
    inner = message("geometry_msgs/Wrench", force=_xyz("Vector3", force), torque=_xyz("Vector3", (0, 0, 0)))
    return message("geometry_msgs/WrenchStamped", header=header(stamp_ns, "sensor"), wrench=inner)


def point(stamp_ns: int, position: Any) -> Any:
    return message("geometry_msgs/PointStamped", header=header(stamp_ns, "sensor"), point=_xyz("Point", position))


def write_bag(path: Path, messages: Messages, storage: str = "sqlite3") -> Path:
    """Write in the order of receive times."""
    plugin = {"sqlite3": StoragePlugin.SQLITE3, "mcap": StoragePlugin.MCAP}[storage]
    with Writer(path, version=9, storage_plugin=plugin) as writer:
        connections = {}
        for topic, received_ns, content in sorted(messages, key=lambda entry: entry[1]):
            kind = content.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=TYPES)
            writer.write(connections[topic], received_ns, TYPES.serialize_cdr(content, kind))
    return path


def times(seconds: float, rate_hz: float, start_s: float = 0.0) -> list[int]:
    """Stamps (ns) at a rate."""
    return [START_NS + round((start_s + i / rate_hz) * 1e9) for i in range(int(seconds * rate_hz))]


def camera(stamps_ns: list[int], delay_s: float = 0.004, make: Callable[[int, np.ndarray], Any] = image) -> Messages:
    """`/camera/image_raw`, each frame received so long after its stamp."""
    delay = round(delay_s * 1e9)
    return [("/camera/image_raw", t + delay, make(t, frame(k))) for k, t in enumerate(stamps_ns)]


def poses(stamps_ns: list[int], delay_s: float = 0.001, clock_s: float = 0.0, height_m: float = 0.0) -> Messages:
    """`/tip_pose`: x grows 1 mm/s, z 2 mm/s, yaw 0.01 rad/s; its clock is so far ahead of the camera's."""
    messages: Messages = []
    for t in stamps_ns:
        seconds = (t - START_NS) / 1e9
        stamped = pose(t + round(clock_s * 1e9), (0.001 * seconds, 0.0, height_m + 0.002 * seconds), 0.01 * seconds)
        messages.append(("/tip_pose", t + round(delay_s * 1e9), stamped))
    return messages


def turned_poses(stamps_ns: list[int], quaternions: Any) -> Messages:
    """`/tip_pose` turned by x y z w each; x and z grow 1 mm/s."""
    messages: Messages = []
    for t, quaternion in zip(stamps_ns, quaternions, strict=True):
        metres = (t - START_NS) / 1e12
        messages.append(("/tip_pose", t, pose(t, (metres, 0.0, 0.001 + metres), quaternion=quaternion)))
    return messages

"""ROS messages as rosbags deserialises them: camera images to image files, label messages to named numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")


class _Encoding(NamedTuple):
    """Bytes of the one plane, or of the luma, per pixel; `to_bgr` is the conversion to what OpenCV writes, if any."""

    channels: int
    to_bgr: int | None = None
    depth: int = 1
    two_planes: bool = False


def _family(depth: int) -> dict[str, _Encoding]:
    bits = 8 * depth
    known = {
        f"rgb{bits}": (3, cv2.COLOR_RGB2BGR), f"bgr{bits}": (3, None), f"{bits}UC3": (3, None),
        f"rgba{bits}": (4, cv2.COLOR_RGBA2BGR), f"bgra{bits}": (4, cv2.COLOR_BGRA2BGR),
        f"{bits}UC4": (4, cv2.COLOR_BGRA2BGR), f"mono{bits}": (1, None), f"{bits}UC1": (1, None),
        f"bayer_rggb{bits}": (1, cv2.COLOR_BayerRGGB2BGR), f"bayer_bggr{bits}": (1, cv2.COLOR_BayerBGGR2BGR),
        f"bayer_gbrg{bits}": (1, cv2.COLOR_BayerGBRG2BGR), f"bayer_grbg{bits}": (1, cv2.COLOR_BayerGRBG2BGR),
    }  # fmt: skip
    return {name: _Encoding(*layout, depth) for name, layout in known.items()}


_UYVY, _YUY2 = _Encoding(2, cv2.COLOR_YUV2BGR_UYVY), _Encoding(2, cv2.COLOR_YUV2BGR_YUY2)
ENCODINGS = {
    **_family(1), **_family(2),
    "yuv422": _UYVY, "uyvy": _UYVY, "yuv422_yuy2": _YUY2, "yuyv": _YUY2,
    "nv12": _Encoding(1, cv2.COLOR_YUV2BGR_NV12, two_planes=True),
    "nv21": _Encoding(1, cv2.COLOR_YUV2BGR_NV21, two_planes=True),
}  # fmt: skip
"""Of sensor_msgs/image_encodings; of 16-bit channels the high byte is kept."""


def stamp_ns(message: Any) -> int:
    """Header stamp in ns; 0 when the message has none."""
    header = getattr(message, "header", None)
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec if header is not None else 0


def image_file(message: Any) -> bytes:
    """The image as a file: compressed ones as they are, raw ones as PNG. ValueError says what is wrong with it."""
    if not hasattr(message, "encoding"):
        if "compressedDepth" in message.format:
            raise ValueError(f"compressed format {message.format!r} is a depth image; use a colour topic")
        return bytes(message.data)
    name, height, width, step = message.encoding, message.height, message.width, message.step
    if name not in ENCODINGS:
        raise ValueError(f"encoding {name!r} is not supported; known: {', '.join(ENCODINGS)}")
    encoding = ENCODINGS[name]
    if encoding.two_planes and (height % 2 or width % 2):
        raise ValueError(f"{width}x{height} {name}: both sides must be even")
    row = width * encoding.channels * encoding.depth
    rows = height + height // 2 if encoding.two_planes else height
    needed = step * (rows - 1) + row
    if min(height, width) < 1 or step < row or len(message.data) < needed:
        raise ValueError(
            f"{width}x{height} {name} with step {step} needs {needed} bytes in rows of {row}, found {len(message.data)}"
        )
    raw = np.ascontiguousarray(message.data, np.uint8)
    shape, strides = (rows, width, encoding.channels), (step, encoding.channels * encoding.depth, encoding.depth)
    high_byte = 0 if message.is_bigendian else encoding.depth - 1
    pixels = np.ascontiguousarray(np.ndarray(shape, np.uint8, raw, offset=high_byte, strides=strides))
    try:
        bgr = pixels if encoding.to_bgr is None else cv2.cvtColor(pixels, encoding.to_bgr)
        return cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()  # fast rather than small
    except cv2.error as error:
        raise ValueError(f"{name} image does not convert ({' '.join(str(error).split())})") from error


def pose_matrix(message: Any) -> np.ndarray:
    """4x4 (m) of a Pose, Transform or a message that holds one, stamped or with covariance."""
    inner = message
    for name in ("pose", "transform"):
        while hasattr(inner, name):
            inner = getattr(inner, name)
    place = inner.position if hasattr(inner, "position") else inner.translation
    turn = inner.orientation if hasattr(inner, "orientation") else inner.rotation
    return matrix([place.x, place.y, place.z, turn.x, turn.y, turn.z, turn.w])


def matrix(numbers: Sequence[float]) -> np.ndarray:
    """4x4 from x y z qx qy qz qw or from its 16 numbers row by row; ValueError when they are neither."""
    values = np.asarray(numbers, np.float64)
    if not np.isfinite(values).all():
        raise ValueError("not finite")
    if values.size == 16:
        whole = values.reshape(4, 4)
        turn = whole[:3, :3]
        if not np.allclose(turn @ turn.T, np.eye(3), atol=1e-3) or not np.allclose(whole[3], [0, 0, 0, 1]):
            raise ValueError("its rotation is not orthonormal or its last row not 0 0 0 1")
        return whole
    if values.size != 7:
        raise ValueError(f"{values.size} numbers, 7 (x y z qx qy qz qw) or 16 (4x4) are needed")
    length = np.linalg.norm(values[3:])
    if not 0.9 < length < 1.1:
        raise ValueError(f"its quaternion has length {length:.3g}, 1 is needed")
    x, y, z, w = values[3:] / length
    whole = np.eye(4)
    whole[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    whole[:3, 3] = values[:3]
    return whole


POSE_COLUMNS = (
    "x (m)", "y (m)", "z (m)", "roll (rad)", "pitch (rad)", "yaw (rad)", "edge_x (m)", "edge_z (m)", "edge_theta (rad)",
)  # fmt: skip
WRENCH_COLUMNS = ("fx (N)", "fy (N)", "fz (N)", "tx (Nm)", "ty (Nm)", "tz (Nm)")
POINT_COLUMNS = ("px (m)", "py (m)", "pz (m)")


def pose_values(pose: np.ndarray, pressed: int = 1) -> list[float]:
    """`POSE_COLUMNS` of a 4x4 in the sensor frame; the edge is the frame's y axis, its normal the x axis (CONTRACT).

    `pressed` is the sign of z in a touch: 1 for edge poses as the node publishes them, -1 for places in the sensor
    frame, whose z axis points out of the sensor.
    """
    turn, (x, y, z) = pose[:3, :3], pose[:3, 3]
    yaw = float(np.arctan2(turn[1, 0], turn[0, 0]))
    pitch = float(np.arcsin(np.clip(-turn[2, 0], -1, 1)))
    roll = float(np.arctan2(turn[2, 1], turn[2, 2]))
    return [x, y, z, roll, pitch, yaw, x * np.cos(yaw) + y * np.sin(yaw), pressed * z, yaw]


def wrench_values(message: Any) -> list[float]:
    """`WRENCH_COLUMNS` of a Wrench or WrenchStamped."""
    wrench = getattr(message, "wrench", message)
    return [getattr(part, axis) for part in (wrench.force, wrench.torque) for axis in "xyz"]


def point_of(message: Any) -> np.ndarray:
    """[x, y, z, 1] of a Point, PointStamped, Vector3 or Vector3Stamped."""
    inner = getattr(message, "point", getattr(message, "vector", message))
    return np.array([inner.x, inner.y, inner.z, 1.0])


LABEL_KINDS: dict[str, tuple[tuple[str, ...], Callable[[Any], Any]]] = {
    "pose": (POSE_COLUMNS, pose_matrix),
    "wrench": (WRENCH_COLUMNS, wrench_values),
    "point": (POINT_COLUMNS, point_of),
}
"""Kind of topic -> the columns it gives and how a message is read."""

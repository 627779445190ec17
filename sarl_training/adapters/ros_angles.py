"""Angle labels without a jump: roll, yaw and theta come from arctan2, which leaps by a turn at 180 deg."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from sarl_training.adapters.axes import Axis
from sarl_training.adapters.base import Record, Refused
from sarl_training.adapters.ros_config import RosbagConfig

WIDEST_DEG = 300.0
TURNED_DEG = 45.0  # theta this near 180 is an edge seen from its other side, as one this near 0 is not


def around_mean(angle_N: np.ndarray, turn: float) -> np.ndarray:
    """Angles moved by whole turns (360 or 2 pi) to within half a turn of their circular mean; NaN stays."""
    return angle_N + turn * np.round((_mean_deg(angle_N * 360 / turn) * turn / 360 - angle_N) / turn)


def unwrap_labels(
    tasks: Mapping[str, Sequence[Axis]],
    recordings: Sequence[Mapping[str, list[Record | Refused]]],
    config: RosbagConfig,
) -> list[str]:
    """Put each angle label of `recordings` (task -> items) around its mean over all of them, in place.

    The mean is that of what is used: where the tip rests between touches does not move the labels of touches. Returns
    warnings.
    """
    notes = []
    for task, axes in tasks.items():
        for axis in (axis for axis in axes if axis.unit == "deg"):
            column = axis.label_column
            found = [(items[task], n, item) for items in recordings for n, item in enumerate(items[task])
                     if isinstance(item, Record)]  # fmt: skip
            angle_deg_N = around_mean(np.array([record.labels[column] for _, _, record in found], np.float64), 360)
            for (items, number, record), angle_deg in zip(found, angle_deg_N, strict=True):
                items[number] = replace(record, labels={**record.labels, column: float(angle_deg)})
            if found:
                notes += _warnings(task, axis, angle_deg_N, config)
    return notes


def _mean_deg(angle_deg_N: np.ndarray) -> float:
    """Circular mean from -170 to 190 deg: between -180 and 180 noise would choose the turn of a tool that points down.

    0 where there is no angle.
    """
    finite = np.radians(angle_deg_N[np.isfinite(angle_deg_N)])
    return float((np.degrees(np.angle(np.exp(1j * finite).sum())) + 170) % 360 - 170)


def _warnings(task: str, axis: Axis, angle_deg_N: np.ndarray, config: RosbagConfig) -> list[str]:
    low, high = angle_deg_N.min(), angle_deg_N.max()
    said = f"warning: task {task}: {axis.label_column} is {low:.0f} to {high:.0f}"
    if high - low > WIDEST_DEG:
        return [
            f"{said}, {high - low:.0f} deg: above {WIDEST_DEG:.0f} its ends are nearly one orientation, with labels a "
            "turn apart; record over less, or leave it out with --axes"
        ]
    if task == "edge_pose" and axis.name == "theta" and abs(_mean_deg(angle_deg_N) % 360 - 180) < TURNED_DEG:
        frame = "--object-pose" if config.object_pose else config.pose_topic
        return [
            f"{said}, around 180 (simulated edges are around 0): the x axis of {frame}, the edge's normal, "
            "points along the sensor's -x; if the material is on its +x side, turn it 180 deg about its z; if the "
            "sensor is mounted the other way round, turn --frame-transform about z"
        ]
    return []

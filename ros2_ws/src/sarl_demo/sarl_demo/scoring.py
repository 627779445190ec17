"""Published poses against the truth: who was answered, how far off, how late. No ROS."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

Stamp = tuple[int, int]
Edge = tuple[float, float, float]
"""(x mm, z mm, theta degree)."""


@dataclass
class Record:
    """What was heard: truth and answers by image stamp, and the answers' latencies in ms.

    A frame counts as answered when any output carries its stamp: without contact the node says so and gives no pose.
    """

    sent: dict[Stamp, Edge] = field(default_factory=dict)
    answered: set[Stamp] = field(default_factory=set)
    poses: dict[Stamp, Edge] = field(default_factory=dict)
    latencies_ms: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, float | None]:
        """Counts, latency percentiles and mean absolute errors per axis; None where nothing was heard."""
        matched = [stamp for stamp in self.poses if stamp in self.sent]
        errors = np.array([_error(self.poses[stamp], self.sent[stamp]) for stamp in matched]).reshape(-1, 3)
        x_mm, z_mm, theta_deg = errors.mean(axis=0).tolist() if matched else [None] * 3
        p50, p99 = np.percentile(self.latencies_ms, (50, 99)).tolist() if self.latencies_ms else [None] * 2
        answered = len(self.answered & set(self.sent))
        return {
            "sent": len(self.sent),
            "answered": answered,
            "dropped": len(self.sent) - answered,
            "posed": len(matched),
            "unknown_stamps": len(self.answered - set(self.sent)),
            "latency_ms_p50": p50,
            "latency_ms_p99": p99,
            "x_mm": x_mm,
            "z_mm": z_mm,
            "theta_deg": theta_deg,
        }


def _error(pose: Edge, truth: Edge) -> Edge:
    """Absolute error per axis; angles the short way round."""
    turn = math.remainder(pose[2] - truth[2], 360.0)
    return abs(pose[0] - truth[0]), abs(pose[1] - truth[1]), abs(turn)

"""A PID controller per axis with limited integral. No ROS."""

from __future__ import annotations

import numpy as np


class Pid:
    """Gains [N] of the error, its integral and its rate; the integral's share of the output stays within its limit."""

    def __init__(
        self, proportional: np.ndarray, integral: np.ndarray, derivative: np.ndarray, limit: np.ndarray
    ) -> None:
        self._proportional, self._integral, self._derivative = proportional, integral, derivative
        self._limit = limit
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._sum = np.zeros_like(self._limit)
        self._last: np.ndarray | None = None

    def step(self, error: np.ndarray, duration_s: float, *, is_limited: bool) -> np.ndarray:
        """Output [N] for an error [N]; the integral rests while the output before this one was cut (`is_limited`)."""
        if not is_limited:
            self._sum = np.clip(self._sum + self._integral * error * duration_s, -self._limit, self._limit)
        is_first = self._last is None or duration_s == 0
        rate = np.zeros_like(error) if is_first else (error - self._last) / duration_s
        self._last = error
        return self._proportional * error + self._sum + self._derivative * rate

"""What happened to the frames: counts since activation, rates since the last report, recent latencies."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

import numpy as np

RECENT = 300
OUTCOMES = ("answered", "dropped", "stale", "rejected", "failed")


@dataclass(frozen=True)
class Report:
    """One look at the counters; rates in Hz over the time since the look before, latencies in ms of recent frames.

    `age_ms` runs from the image's stamp to the publishing of its outputs, `processing_ms` from its arrival.
    """

    received: int
    outcomes: dict[str, int]
    input_hz: float
    output_hz: float
    age_ms: tuple[float, float]
    processing_ms: tuple[float, float]


@dataclass
class FrameCounters:
    """Thread-safe. received = answered + dropped + stale + rejected + failed + frames under way.

    dropped: overwritten by a newer frame before the worker took it; stale: stamp out of range; rejected: malformed
    message; failed: the model gave no answer.
    """

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _received: int = 0
    _outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    _age_ms: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    _processing_ms: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    _last: tuple[float, int, int] | None = None

    def receive(self) -> None:
        """A frame arrived."""
        with self._lock:
            self._received += 1

    def count(self, outcome: str) -> None:
        """A frame ended as one of `OUTCOMES` other than answered."""
        with self._lock:
            self._outcomes[outcome] += 1

    def answer(self, *, age_s: float, processing_s: float) -> None:
        """A frame's outputs were published."""
        with self._lock:
            self._outcomes["answered"] += 1
            self._age_ms.append(1e3 * age_s)
            self._processing_ms.append(1e3 * processing_s)

    def report(self, now_s: float) -> Report:
        """Counts so far, and rates since the previous report (`now_s` from a steady clock)."""
        with self._lock:
            answered = self._outcomes["answered"]
            then_s, received_then, answered_then = self._last or (now_s, self._received, answered)
            self._last = (now_s, self._received, answered)
            elapsed_s = now_s - then_s
            return Report(
                received=self._received,
                outcomes=dict(self._outcomes),
                input_hz=(self._received - received_then) / elapsed_s if elapsed_s > 0 else 0.0,
                output_hz=(answered - answered_then) / elapsed_s if elapsed_s > 0 else 0.0,
                age_ms=_percentiles(self._age_ms),
                processing_ms=_percentiles(self._processing_ms),
            )


def _percentiles(values: deque[float]) -> tuple[float, float]:
    """50th and 99th percentile; NaN before the first value."""
    if not values:
        return float("nan"), float("nan")
    p50, p99 = np.percentile(np.fromiter(values, float), (50, 99)).tolist()
    return p50, p99

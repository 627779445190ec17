"""What happened to the frames: counts since activation, and what the last second looked like."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

RECENT = 300
WINDOW_S = 1.0
OUTCOMES = ("answered", "dropped", "stale", "rejected", "failed")


@dataclass(frozen=True)
class Answer:
    """One answered frame, times in seconds.

    `age_s` runs from the image's stamp to the publishing of its outputs, `processing_s` from its arrival,
    `inference_s` is the model alone. `unfamiliarity` is a multiple of the model's threshold; NaN when not known.
    """

    age_s: float
    processing_s: float
    inference_s: float
    unfamiliarity: float = float("nan")

    @property
    def transport_s(self) -> float:
        """From the stamp to the arrival."""
        return self.age_s - self.processing_s

    @property
    def overhead_s(self) -> float:
        """What the node adds to the model: from the arrival to the publishing, without the model's own time."""
        return self.processing_s - self.inference_s


@dataclass(frozen=True)
class Report:
    """One look at the counters: counts since the start, `recent` ones and rates (Hz) of about the last second.

    `waiting_s` is for how long frames have been there without one being finished, answered or refused; 0 when none is.
    `answers` are the newest, oldest first; `complaints` the reason -> text of what went wrong since the look before.
    """

    received: int
    lost: int
    outcomes: dict[str, int]
    recent: dict[str, int]
    input_hz: float
    output_hz: float
    since_input_s: float
    since_output_s: float
    waiting_s: float
    answers: list[Answer]
    complaints: dict[str, str]
    frame_bytes: int

    @property
    def sent_hz(self) -> float:
        """Frames per second that the camera sent: those that arrived and those known to be lost."""
        received = self.recent["received"]
        return self.input_hz * (received + self.recent["lost"]) / received if received else float("nan")

    @property
    def unfamiliarity(self) -> float:
        """Median of the answers of the last second, as a multiple of the model's threshold; NaN when not known."""
        count = self.recent["answered"]
        newest = [answer.unfamiliarity for answer in self.answers[-count:]] if count else []
        return float(np.median(newest)) if newest else float("nan")

    def latency_ms(self, name: str, percentile: float) -> float:
        """Percentile of age, transport, processing, inference or overhead; NaN before the first answer."""
        times_s = [getattr(answer, f"{name}_s") for answer in self.answers]
        return 1e3 * float(np.percentile(times_s, percentile)) if times_s else float("nan")


class FrameCounters:
    """Thread-safe. received = answered + dropped + stale + rejected + failed + frames under way.

    dropped: overwritten by a newer frame before the worker took it; stale: stamp out of range; rejected: malformed
    message; failed: the model gave no answer. lost: sent by the camera, never received. Times from a steady clock, s.
    """

    def __init__(self, now_s: float) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(("received", "lost", *OUTCOMES), 0)
        self._answers: deque[Answer] = deque(maxlen=RECENT)
        self._complaints: dict[str, str] = {}
        self._last_input_s = self._last_output_s = now_s
        self._waiting_since_s: float | None = None
        self._frame_bytes = 0
        self._looks = deque([(now_s, dict(self._counts))])

    def receive(self, now_s: float, size_bytes: int) -> None:
        """A frame arrived."""
        with self._lock:
            self._counts["received"] += 1
            self._last_input_s = now_s
            if self._waiting_since_s is None:
                self._waiting_since_s = now_s
            self._frame_bytes = size_bytes

    def lose(self, count: int) -> None:
        """The middleware says that frames were sent and did not arrive."""
        with self._lock:
            self._counts["lost"] += count

    def count(self, outcome: str) -> None:
        """A frame ended as one of `OUTCOMES` other than answered."""
        with self._lock:
            self._counts[outcome] += 1

    def refuse(self, outcome: str, reason: str, text: str) -> None:
        """A frame got no answer: count it and note why."""
        with self._lock:
            self._waiting_since_s = None
            self._counts[outcome] += 1
            self._complaints[reason] = text

    def complain(self, reason: str, text: str) -> None:
        """Something else went wrong, which cost no frame its answer."""
        with self._lock:
            self._complaints[reason] = text

    def answer(self, answer: Answer, now_s: float) -> None:
        """A frame's outputs were published."""
        with self._lock:
            self._counts["answered"] += 1
            self._answers.append(answer)
            self._last_output_s = now_s
            self._waiting_since_s = None

    def report(self, now_s: float) -> Report:
        """What there is to say now."""
        with self._lock:
            counts, answers = dict(self._counts), list(self._answers)
            complaints, self._complaints = self._complaints, {}
            self._looks.append((now_s, counts))
            while len(self._looks) > 2 and self._looks[1][0] <= now_s - WINDOW_S:
                self._looks.popleft()
            then_s, before = self._looks[0]
            since_input_s, since_output_s = now_s - self._last_input_s, now_s - self._last_output_s
            waiting_s = 0.0 if self._waiting_since_s is None else now_s - self._waiting_since_s
            frame_bytes = self._frame_bytes
        recent = {name: counts[name] - before[name] for name in counts}
        elapsed_s = max(now_s - then_s, 1e-9)
        return Report(
            received=counts["received"],
            lost=counts["lost"],
            outcomes={name: counts[name] for name in OUTCOMES},
            recent=recent,
            input_hz=recent["received"] / elapsed_s,
            output_hz=recent["answered"] / elapsed_s,
            since_input_s=since_input_s,
            since_output_s=since_output_s,
            waiting_s=waiting_s,
            answers=answers,
            complaints=complaints,
            frame_bytes=frame_bytes,
        )

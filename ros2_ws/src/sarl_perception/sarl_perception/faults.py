"""Standing faults: which began, which ended, which is worst. No ROS."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """Levels of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


SEVERITY = (Level.OK, Level.WARN, Level.STALE, Level.ERROR)


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: a short name, a level, one line with the cause and what to do.

    It stands for `hold_s` after it was last seen, so that what comes and goes is one fault and not many. It is said to
    be over when it stood last `away_s` ago; until then it is not said again when it comes back.
    """

    name: str
    level: Level
    text: str
    hold_s: float = 0.0
    away_s: float = 10.0


@dataclass(frozen=True)
class News:
    """What changed: whether other faults stand than before, the faults to say once, and the names of those over."""

    has_changed: bool
    began: list[Fault]
    over: list[str]


class FaultBoard:
    """The faults that stand, worst first; one that comes and goes is said once, and over when it stays away."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Fault, float]] = {}
        self._said: dict[str, tuple[Fault, float]] = {}

    def update(self, faults: Iterable[Fault], now_s: float) -> News:
        """Take in the faults seen now."""
        before = set(self._seen)
        self._seen |= {fault.name: (fault, now_s) for fault in faults}
        for name, (fault, seen_s) in list(self._seen.items()):
            if seen_s < now_s and now_s - seen_s >= fault.hold_s:
                del self._seen[name]
        began = [fault for name, (fault, _) in self._seen.items() if name not in self._said]
        self._said |= {name: (fault, now_s) for name, (fault, _) in self._seen.items()}
        over = [
            name
            for name, (fault, stood_s) in self._said.items()
            if name not in self._seen and now_s - stood_s >= fault.away_s
        ]
        for name in over:
            del self._said[name]
        return News(set(self._seen) != before, began, over)

    @property
    def standing(self) -> list[Fault]:
        """Worst first; of the same level, the first to begin first."""
        return sorted((fault for fault, _ in self._seen.values()), key=lambda fault: -SEVERITY.index(fault.level))

    @property
    def level(self) -> Level:
        """Level of the worst."""
        return self.standing[0].level if self._seen else Level.OK

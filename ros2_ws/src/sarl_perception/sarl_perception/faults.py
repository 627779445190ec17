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

    It stands for `hold_s` after it was last seen, so that what comes and goes is one fault and not many.
    """

    name: str
    level: Level
    text: str
    hold_s: float = 0.0


class FaultBoard:
    """The faults that stand, worst first; tells once when one begins and once when it ends."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Fault, float]] = {}

    def update(self, faults: Iterable[Fault], now_s: float) -> tuple[list[Fault], list[Fault]]:
        """Take in the faults seen now; returns (those that began, those that ended)."""
        began = []
        for fault in faults:
            if fault.name not in self._seen:
                began.append(fault)
            self._seen[fault.name] = (fault, now_s)
        ended = [fault for fault, seen_s in self._seen.values() if seen_s < now_s and now_s - seen_s >= fault.hold_s]
        for fault in ended:
            del self._seen[fault.name]
        return began, ended

    @property
    def standing(self) -> list[Fault]:
        """Worst first; of the same level, the first to begin first."""
        return sorted((fault for fault, _ in self._seen.values()), key=lambda fault: -SEVERITY.index(fault.level))

    @property
    def level(self) -> Level:
        """Level of the worst."""
        return self.standing[0].level if self._seen else Level.OK

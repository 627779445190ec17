"""When things in a recording happened: which clock to trust, which label belongs to which image, where time is cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sarl_training.errors import DataRefused, UsageError

Clock = Literal["auto", "header", "receive"]
CLOCKS_APART_S = 0.5  # delays of cameras and networks stay below, clocks that nobody set do not
GAP_PERIODS = 5  # a pause longer than so many frame periods is a gap
APART_S = 0.5  # frames further apart show different touches


@dataclass(frozen=True)
class Stamps:
    """Times of one topic's messages, ns, in the order of recording."""

    topic: str
    header_N: np.ndarray
    """0 where a message has none."""
    received_N: np.ndarray

    @property
    def offset_s(self) -> float:
        """Median of receive time minus header stamp."""
        return float(np.median(self.received_N - self.header_N)) / 1e9

    def times(self, clock: str) -> np.ndarray:
        """ns by one clock, `header` or `receive`."""
        return self.header_N if clock == "header" else self.received_N


def choose_clock(asked: Clock, topics: list[Stamps], tolerance_s: float) -> tuple[str, list[str]]:
    """`header` or `receive`, and why, with a warning when header stamps of two topics may not belong together.

    UsageError when header stamps are asked for and not there.
    """
    unstamped = [stamps.topic for stamps in topics if not (stamps.header_N > 0).all()]
    offsets = ", ".join(f"{s.topic} {s.offset_s:+.3f} s" for s in topics if s.topic not in unstamped)
    if asked == "header" and unstamped:
        raise UsageError(f"--clock header: {unstamped[0]} has messages without a header stamp; use --clock receive")
    if asked != "auto":
        return asked, [f"clock: {asked} time, as asked; receive time minus header stamp: {offsets or 'no stamps'}"]
    if unstamped:
        return "receive", [f"clock: receive time, because {unstamped[0]} has messages without a header stamp"]
    first, last = min(topics, key=lambda s: s.offset_s), max(topics, key=lambda s: s.offset_s)
    apart = last.offset_s - first.offset_s
    if apart > CLOCKS_APART_S:
        return "receive", [
            f"clock: receive time, because the header stamps come from two clocks {apart:.3f} s apart "
            f"(receive time minus header stamp: {offsets}); --clock header overrules"
        ]
    notes = [f"clock: header stamps (receive time minus header stamp: {offsets})"]
    if apart > tolerance_s:
        notes.append(
            f"warning: {last.topic} arrives {apart:.3f} s longer after its stamp than {first.topic}: a slow transport, "
            "or two clocks, and then labels belong to other frames; compare with --clock receive, or set the clocks "
            f"and record again; --tolerance-s above {apart:.3f} says that so much does not matter"
        )
    return "header", notes


def nearest(image_ns_N: np.ndarray, label_ns_M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each image the index of the nearest label, and how far it is (s)."""
    order = np.argsort(label_ns_M, kind="stable")
    sorted_M = label_ns_M[order]
    right = np.searchsorted(sorted_M, image_ns_N).clip(1, len(sorted_M) - 1) if len(sorted_M) > 1 else None
    if right is None:
        index = np.zeros(len(image_ns_N), np.int64)
    else:
        left_is_nearer = image_ns_N - sorted_M[right - 1] <= sorted_M[right] - image_ns_N
        index = np.where(left_is_nearer, right - 1, right)
    return order[index], np.abs(sorted_M[index] - image_ns_N) / 1e9


def check_some_match(topic: str, distance_N: np.ndarray, tolerance_s: float, clock: str) -> None:
    """DataRefused with the nearest distance found when no image has a label."""
    if not (distance_N <= tolerance_s).any():
        raise DataRefused(
            f"{topic}: no message within {tolerance_s:g} s of any image; the nearest is {distance_N.min():.6g} s away "
            f"({clock} time); raise --tolerance-s, or try --clock {'receive' if clock == 'header' else 'header'}"
        )


@dataclass(frozen=True)
class Stretches:
    """Where time is cut."""

    groups: Mapping[str, tuple[str, ...]]
    """File -> a group per image, empty in the guard between two groups."""
    notes: tuple[str, ...]
    """How long they are; how many gaps there are, the longest and where it is."""
    guard_s: float


def cut(files: Mapping[str, np.ndarray], length_s: float | None) -> Stretches:
    """Cut the images' time (file -> ns, one clock) every `length_s` (a twentieth of the time recorded, 0.5 to 5 s, when
    None) and at pauses; where a file ends is no pause, since recorders cut files too.

    Images of two groups are never nearer than the guard, a tenth of the length; those between go unused. Images that
    are `APART_S` apart are no neighbours: of one picture per touch none goes unused.
    """
    names = [(name, number) for name, times_N in files.items() for number in range(len(times_N))]
    times_N = np.concatenate([*files.values()])
    order = np.argsort(times_N, kind="stable")
    times_s = (times_N[order] - times_N[order[0]]) / 1e9
    steps_s = np.diff(times_s, prepend=0.0)
    period_s = _period_s([*files.values()])
    gap_N = steps_s > GAP_PERIODS * max(period_s, 1e-3)
    sparse = period_s >= APART_S
    if length_s is None:
        length_s = period_s if sparse else float(np.clip(steps_s[~gap_N].sum() / 20, 0.5, 5.0))
    guard_s = min(period_s / 2, APART_S) if sparse else max(length_s / 10, 1.5 * period_s)
    found = dict.fromkeys(names, "")
    for place, group in zip(order, _groups(times_s, gap_N & (steps_s >= guard_s), length_s, guard_s), strict=True):
        found[names[place]] = group
    notes = [f"{len(names)} frames in stretches of {length_s:.2f} s, at least {guard_s:.2f} s between two"]
    if gap_N.any():
        end = int(np.argmax(np.where(gap_N, steps_s, 0.0)))
        name, number = names[order[end - 1]]
        notes.append(
            f"{gap_N.sum()} gaps, the longest {steps_s[end]:.2f} s, after frame {number} of {name}, "
            f"{times_s[end - 1]:.2f} s from the start"
        )
    groups = {name: tuple(found[name, number] for number in range(len(files[name]))) for name in files}
    return Stretches(groups, tuple(notes), guard_s)


def _period_s(files: Sequence[np.ndarray]) -> float:
    """Median step within files: those of recordings made at the same time lie between each other."""
    steps_N = np.concatenate([np.diff(np.sort(times_N)) for times_N in files])
    return float(np.median(steps_N)) / 1e9 if len(steps_N) else 0.0


def _groups(times_s: np.ndarray, pause_N: np.ndarray, length_s: float, guard_s: float) -> Iterator[str]:
    """A group per time, in order; empty until the guard after the last image of the group before has passed."""
    run_N = np.cumsum(pause_N)
    number_N = np.floor((times_s - times_s[np.searchsorted(run_N, run_N)]) / length_s).astype(int)
    last, last_s = "", -np.inf
    for time_s, run, number in zip(times_s, run_N, number_N, strict=True):
        group = f"{run:03d}-{number:05d}"
        if group == last or time_s - last_s >= guard_s:
            last, last_s = group, time_s
            yield group
        else:
            yield ""

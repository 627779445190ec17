"""Every fault is named with its cause and what to do, begins once and ends once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sarl_perception.faults import Fault, FaultBoard, Level
from sarl_perception.frame_counters import Answer, FrameCounters
from sarl_perception.health import Situation, judge


def situation(
    *,
    received: int = 0,
    answered: int = 0,
    lost: int = 0,
    dropped: int = 0,
    refused: str = "",
    size_bytes: int = 1000,
    unfamiliarity: float = 0.1,
    silent_s: float = 0.0,
    **fields: Any,
) -> Situation:
    """One second after the start; frames arrived since, the last of them (which was answered) `silent_s` ago."""
    counters = FrameCounters(0.0)
    for number in range(received):
        counters.receive((1.0 - silent_s) * (number + 1) / received, size_bytes)
    for _ in range(answered):
        counters.answer(Answer(0.01, 0.01, 0.01, unfamiliarity), 1.0 - silent_s)
    for _ in range(dropped):
        counters.count("dropped")
    counters.lose(lost)
    if refused:
        counters.refuse("rejected", "encoding", refused)
    found = Situation(counters.report(1.0), "/image_raw", 1.0, "", False, 0.5)
    return replace(found, **fields)


CASES = {
    "all is well": (situation(received=30, answered=30), []),
    "nobody publishes": (situation(connected_s=None), [("no_camera", Level.STALE, "ROS_DOMAIN_ID")]),
    "the wrong QoS": (situation(connected_s=None, obstacle="cam: QoS"), [("qos", Level.ERROR, "cam: QoS")]),
    "connected, never heard": (situation(), [("camera_silent", Level.STALE, "LARGE_DATA")]),
    "just connected": (situation(connected_s=0.1), []),
    "the camera stopped": (
        situation(received=9, answered=9, silent_s=0.6),
        [("camera_silent", Level.STALE, "no images for 0.6 s")],
    ),
    "frames over 512 KB": (
        situation(received=2, answered=2, lost=28, size_bytes=921600),
        [("lost_frames", Level.ERROR, "900 KB are larger than the 512 KB")],
    ),
    "no frame gets through": (situation(lost=30), [("lost_frames", Level.ERROR, "LARGE_DATA")]),
    "a bad network": (
        situation(received=25, answered=25, lost=5),
        [("lost_frames", Level.WARN, "parameter reliability")],
    ),
    "one frame lost": (situation(received=29, answered=29, lost=1), []),
    "some are malformed": (situation(received=9, answered=5, refused="bad"), [("encoding", Level.WARN, "bad")]),
    "all are malformed": (situation(received=9, refused="bad"), [("encoding", Level.ERROR, "bad")]),
    "the model is slow": (
        situation(received=60, answered=20, dropped=40),
        [("slow_inference", Level.WARN, "one answer takes 10 ms")],
    ),
    "the model hangs": (situation(received=9, dropped=1), [("inference", Level.ERROR, "hangs")]),
    "no answer yet, so no time of one": (
        situation(received=9, dropped=8),
        [("slow_inference", Level.WARN, "8 of 9 were skipped). Lower"), ("inference", Level.ERROR, "hangs")],
    ),
    "another sensor": (
        situation(received=9, answered=9, unfamiliarity=2.5),
        [("unfamiliar", Level.WARN, "2.5 times its threshold")],
    ),
    "another sensor, malformed too": (
        situation(received=9, answered=5, unfamiliarity=2.5, refused="bad"),
        [("encoding", Level.WARN, "bad"), ("unfamiliar", Level.WARN, "overlay")],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_faults_are_named_with_what_to_do(case: str) -> None:
    given, expected = CASES[case]
    found = list(judge(given))
    assert [(fault.name, fault.level) for fault in found] == [(name, level) for name, level, _ in expected]
    assert all(words in fault.text for fault, (_, _, words) in zip(found, expected, strict=True))
    assert all("\n" not in fault.text for fault in found)


def told(board: FaultBoard, faults: list[Fault], now_s: float) -> tuple[list[str], list[str], list[str]]:
    """Names of the faults that stand, that are said and that are said to be over."""
    news = board.update(faults, now_s)
    return [fault.name for fault in board.standing], [fault.name for fault in news.began], news.over


def test_a_fault_that_comes_and_goes_is_said_once() -> None:
    board = FaultBoard()
    fault = Fault("a", Level.WARN, "one", away_s=2.0)
    assert told(board, [fault], 0.0) == (["a"], ["a"], [])
    assert told(board, [replace(fault, text="two")], 0.1) == (["a"], [], [])
    assert board.standing[0].text == "two"
    assert told(board, [], 0.2) == ([], [], [])
    assert told(board, [fault], 1.9) == (["a"], [], [])
    assert told(board, [], 3.8) == ([], [], [])
    assert told(board, [], 3.9) == ([], [], ["a"])
    assert told(board, [fault], 4.0) == (["a"], ["a"], [])


def test_a_fault_of_the_model_is_said_each_time() -> None:
    board = FaultBoard()
    fault = Fault("a", Level.WARN, "one", away_s=0.0)
    for now_s in (0.0, 0.2):
        assert told(board, [fault], now_s) == (["a"], ["a"], [])
        assert told(board, [], now_s + 0.1) == ([], [], ["a"])


def test_a_held_fault_outlasts_its_gaps() -> None:
    board = FaultBoard()
    fault = Fault("a", Level.WARN, "one", hold_s=3.0)
    assert board.update([fault], 0.0).has_changed
    assert not board.update([], 2.9).has_changed
    assert not board.update([fault], 2.9).has_changed
    assert not board.update([], 5.8).has_changed
    assert board.update([], 6.0).has_changed
    assert not board.standing


def test_the_worst_comes_first() -> None:
    board = FaultBoard()
    assert board.level == Level.OK
    board.update([Fault(level.name, level, "") for level in (Level.WARN, Level.STALE, Level.ERROR)], 0.0)
    assert [fault.level for fault in board.standing] == [Level.ERROR, Level.STALE, Level.WARN]
    assert board.level == Level.ERROR

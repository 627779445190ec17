"""What /diagnostics says first, and that it says it once per report."""

from __future__ import annotations

import pytest

pytest.importorskip("diagnostic_msgs.msg", reason="needs the ROS 2 message types: run through ros2_ws/env.sh")

from diagnostic_msgs.msg import DiagnosticStatus
from sarl_perception.diagnostics import Faults, judge
from sarl_perception.frame_counters import FrameCounters, Report


def report(*, received: int, answered: int) -> Report:
    counters = FrameCounters()
    counters.report(0.0)
    for _ in range(received):
        counters.receive()
    for _ in range(answered):
        counters.answer(age_s=0.01, processing_s=0.01)
    return counters.report(1.0)


def faults(*, model: str = "", qos: str = "", refused: str = "") -> Faults:
    result = Faults(model=model, qos=qos)
    if refused:
        result.note("encoding", refused)
    return result


@pytest.mark.parametrize(
    ("counts", "standing", "active", "level", "words"),
    [
        ((0, 0), faults(model="model refused: x"), False, DiagnosticStatus.ERROR, "model refused"),
        ((0, 0), faults(), False, DiagnosticStatus.OK, "not active"),
        ((0, 0), faults(qos="QoS differs"), True, DiagnosticStatus.ERROR, "QoS differs"),
        ((0, 0), faults(), True, DiagnosticStatus.STALE, "no images"),
        ((9, 0), faults(refused="bad encoding"), True, DiagnosticStatus.ERROR, "no image answered: bad encoding"),
        ((9, 5), faults(refused="bad encoding"), True, DiagnosticStatus.WARN, "bad encoding"),
        ((9, 9), faults(qos="another camera differs"), True, DiagnosticStatus.OK, "answering"),
    ],
)
def test_the_most_important_thing_first(
    counts: tuple[int, int], standing: Faults, active: bool, level: bytes, words: str
) -> None:
    received, answered = counts
    found, message = judge(report(received=received, answered=answered), standing, active=active)
    assert found == level
    assert words in message


def test_a_reason_is_new_once_and_reported_once() -> None:
    standing = Faults()
    assert [standing.note("encoding", "a"), standing.note("encoding", "b"), standing.note("size", "c")] == [
        True,
        False,
        True,
    ]
    assert standing.take_refused() == "b; c"
    assert standing.take_refused() == ""
    assert standing.note("encoding", "d") is False

"""Counts add up, rates are of the last second, percentiles are of recent frames."""

from __future__ import annotations

import math

import pytest
from sarl_perception.frame_counters import OUTCOMES, Answer, FrameCounters


def test_counts_and_rates() -> None:
    counters = FrameCounters(10.0)
    for _ in range(30):
        counters.receive(10.5, 300)
    for age_ms in range(1, 21):
        counters.answer(Answer(age_s=age_ms * 1e-3, processing_s=1e-3, inference_s=5e-4), 11.5)
    for outcome in OUTCOMES[1:]:
        counters.count(outcome)
    counters.lose(15)
    report = counters.report(12.0)
    assert (report.input_hz, report.output_hz, report.sent_hz) == (15.0, 10.0, 22.5)
    assert (report.received, report.lost, report.frame_bytes) == (30, 15, 300)
    assert report.outcomes == {"answered": 20, "dropped": 1, "stale": 1, "rejected": 1, "failed": 1}
    assert (report.since_input_s, report.since_output_s) == (1.5, 0.5)
    assert report.latency_ms("age", 50) == pytest.approx(10.5)
    assert report.latency_ms("transport", 50) == pytest.approx(9.5)
    assert report.latency_ms("inference", 99) == pytest.approx(0.5)
    assert counters.report(13.0).input_hz == 0


def test_rates_are_of_the_last_second_however_often_one_looks() -> None:
    counters = FrameCounters(0.0)
    for tick in range(1, 41):
        for _ in range(3 if tick <= 20 else 6):
            counters.receive(tick * 0.1, 1)
        report = counters.report(tick * 0.1)
    assert report.input_hz == pytest.approx(60)
    assert report.recent["received"] == 60


def test_a_refusal_is_reported_once() -> None:
    counters = FrameCounters(0.0)
    counters.refuse("rejected", "encoding", "a")
    counters.refuse("rejected", "encoding", "b")
    counters.complain("overlay", "c")
    assert counters.report(1.0).complaints == {"encoding": "b", "overlay": "c"}
    assert counters.report(1.1).complaints == {}
    assert counters.report(1.2).outcomes["rejected"] == 2


def test_frames_wait_from_their_arrival_until_one_is_finished() -> None:
    counters = FrameCounters(0.0)
    assert counters.report(9.0).waiting_s == 0, "a silent camera is no waiting frame"
    counters.receive(10.0, 1)
    counters.receive(10.5, 1)
    assert counters.report(11.0).waiting_s == 1.0
    counters.refuse("rejected", "encoding", "a")
    assert counters.report(11.5).waiting_s == 0
    counters.receive(12.0, 1)
    counters.answer(Answer(0.01, 0.01, 0.01), 12.1)
    report = counters.report(12.2)
    assert (report.waiting_s, report.since_output_s) == (0, pytest.approx(0.1))


def test_unfamiliarity_is_the_median_of_the_last_second() -> None:
    counters = FrameCounters(0.0)
    for value in (9.0, 9.0, 0.5, 3.0, 0.4):
        counters.answer(Answer(0.01, 0.01, 0.01, value), 0.5)
    assert counters.report(0.6).unfamiliarity == 3.0
    counters.report(2.0)
    assert math.isnan(counters.report(3.0).unfamiliarity), "nothing was answered"
    counters.answer(Answer(0.01, 0.01, 0.01, 0.1), 3.4)
    assert counters.report(3.5).unfamiliarity == 0.1


def test_before_the_first_frame() -> None:
    report = FrameCounters(0.0).report(1.0)
    assert report.input_hz == 0
    assert math.isnan(report.latency_ms("age", 50)) and math.isnan(report.unfamiliarity)

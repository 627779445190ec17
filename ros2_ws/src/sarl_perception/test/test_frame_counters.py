"""Counts add up, rates are per report, percentiles are of recent frames."""

from __future__ import annotations

import math

import pytest
from sarl_perception.frame_counters import OUTCOMES, FrameCounters


def test_counts_and_rates() -> None:
    counters = FrameCounters()
    counters.report(10.0)
    for _ in range(30):
        counters.receive()
    for age_ms in range(1, 21):
        counters.answer(age_s=age_ms * 1e-3, processing_s=1e-3)
    for outcome in OUTCOMES[1:]:
        counters.count(outcome)
    report = counters.report(12.0)
    assert (report.input_hz, report.output_hz) == (15.0, 10.0)
    assert report.outcomes == {"answered": 20, "dropped": 1, "stale": 1, "rejected": 1, "failed": 1}
    assert report.age_ms[0] == pytest.approx(10.5)
    assert report.processing_ms == pytest.approx((1.0, 1.0))
    assert counters.report(13.0).input_hz == 0


def test_before_the_first_frame() -> None:
    report = FrameCounters().report(1.0)
    assert report.input_hz == 0
    assert all(math.isnan(value) for value in report.age_ms)

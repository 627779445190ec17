"""Hysteresis: contact begins at one probability and ends at a lower one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from sarl_perception.contact_gate import ContactGate

LIMITS = {"on": 0.6, "off": 0.4, "forget_after_s": 0.5}


def run(probabilities: list[float], step_s: float = 0.1) -> list[bool]:
    gate = ContactGate()
    return [gate.update(value, index * step_s, **LIMITS) for index, value in enumerate(probabilities)]


def test_between_the_thresholds_nothing_changes() -> None:
    assert run([0.5, 0.6, 0.5, 0.41, 0.39, 0.5, 0.59, 0.7]) == [False, True, True, True, False, False, False, True]


def test_contact_is_forgotten_over_a_gap_and_when_time_goes_back() -> None:
    gate = ContactGate()
    assert gate.update(0.9, 10.0, **LIMITS)
    assert gate.update(0.5, 10.4, **LIMITS)
    assert not gate.update(0.5, 11.0, **LIMITS)
    assert gate.update(0.9, 11.1, **LIMITS)
    assert not gate.update(0.5, 3.0, **LIMITS)


def test_a_model_without_a_contact_head_always_touches() -> None:
    assert ContactGate().update(None, 0.0, **LIMITS)


@given(st.lists(st.floats(0, 1), max_size=60))
def test_one_threshold_twice_is_a_plain_comparison(probabilities: list[float]) -> None:
    gate = ContactGate()
    found = [
        gate.update(value, 0.1 * index, on=0.5, off=0.5, forget_after_s=1) for index, value in enumerate(probabilities)
    ]
    assert found == [value >= 0.5 for value in probabilities]


@given(st.lists(st.floats(0, 1), max_size=60))
def test_every_change_crosses_its_threshold(probabilities: list[float]) -> None:
    before = False
    for probability, touches in zip(probabilities, run(probabilities), strict=True):
        if touches != before:
            assert probability >= 0.6 if touches else probability < 0.4
        before = touches

"""One frame from message to published outputs, without DDS: malformed fields, stamps, regions, overlays that fail."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import robot_side
from fuzzed_images import fuzzed

pytest.importorskip("rclpy", reason=robot_side.NOT_BUILT)
pytest.importorskip("sarl_msgs.msg", reason=robot_side.NOT_BUILT)

from rclpy.clock import Clock
from sarl_perception.estimator import TactileEstimator
from sarl_perception.frame_counters import FrameCounters
from sarl_perception.frame_pipeline import FramePipeline
from sarl_perception.parameters import Settings, read_defaults
from sensor_msgs.msg import Image

BLACK = np.zeros((48, 64, 3), np.uint8)


class Collector:
    """Stands for the topics: collects what would be published; the overlay, where wanted, cannot be."""

    needs_contact = False

    def __init__(self, output: Any, overlay_is_wanted: bool) -> None:
        self.output = output
        self.overlay_is_wanted = overlay_is_wanted
        self.stamps: list[int] = []

    def __iter__(self) -> Iterator[Collector]:
        yield self

    def publish(self, reading: Any) -> None:
        self.stamps.append(reading.header.stamp.sec)

    def publish_overlay(self, message: Any) -> None:
        raise OSError("no way\nout")


def pipeline_of(
    model: Path, *, overlay_is_wanted: bool = False, **settings: Any
) -> tuple[FramePipeline, Collector, FrameCounters]:
    """The message path of the node without the node."""
    estimator = TactileEstimator(model)
    estimator.warm_up()
    outputs, counters = Collector(estimator.contract.outputs["force"], overlay_is_wanted), FrameCounters(0.0)
    pipeline = FramePipeline(
        settings=Settings(**{**read_defaults(), **settings}),
        estimator=estimator,
        outputs=outputs,
        clock=Clock(),
        counters=counters,
        convert_other=None,
        is_running=lambda: True,
    )
    return pipeline, outputs, counters


def image_of(pixels: np.ndarray, **fields: Any) -> Image:
    height, width = pixels.shape[:2]
    return Image(height=height, width=width, encoding="rgb8", step=3 * width, data=pixels.tobytes(), **fields)


@pytest.mark.parametrize(
    ("sec", "nanosec", "reason"), [(0, 0, "old"), (-5, 2**32 - 1, "old"), (2**31 - 1, 0, "future")]
)
def test_stamps_that_no_clock_shows_are_stale(model: Path, sec: int, nanosec: int, reason: str) -> None:
    pipeline, outputs, counters = pipeline_of(model, max_age=60.0)
    message = image_of(BLACK)
    message.header.stamp.sec, message.header.stamp.nanosec = sec, nanosec
    pipeline.answer((message, time.perf_counter()))
    report = counters.report(1.0)
    assert list(report.complaints) == [reason] and report.outcomes["stale"] == 1 and not outputs.stamps


def test_an_overlay_that_fails_costs_no_answer(model: Path) -> None:
    pipeline, outputs, counters = pipeline_of(model, max_age=0.0, overlay_is_wanted=True)
    pipeline.answer((image_of(BLACK), time.perf_counter()))
    report = counters.report(1.0)
    assert outputs.stamps == [0] and report.outcomes["answered"] == 1 and report.outcomes["failed"] == 0
    assert report.complaints == {"overlay": "overlay: unexpected OSError: no way out"}


def test_a_region_outside_the_frame_is_named(model: Path) -> None:
    pipeline, outputs, counters = pipeline_of(model, max_age=0.0, region=[0, 0, 10**9, 10**9])
    pipeline.answer((image_of(BLACK), time.perf_counter()))
    report = counters.report(1.0)
    assert "is not inside the 64x48 image" in report.complaints["region"]
    assert report.outcomes["rejected"] == 1 and not outputs.stamps


def test_ten_thousand_fuzzed_images_through_the_message_path(model: Path) -> None:
    pipeline, outputs, counters = pipeline_of(model, max_age=0.0)
    rng = np.random.default_rng(7)
    well_formed = set()
    for number in range(10_000):
        fields, is_good = fuzzed(rng)
        message = Image(**fields)
        message.header.stamp.sec = number
        if is_good:
            well_formed.add(number)
        pipeline.answer((message, time.perf_counter()))
    report = counters.report(1.0)
    assert set(outputs.stamps) <= well_formed, "published from a malformed message"
    assert set(outputs.stamps) == well_formed, "a well-formed message was refused"
    assert 1000 < len(well_formed) < 9000
    assert report.outcomes == {
        "answered": len(well_formed),
        "rejected": 10_000 - len(well_formed),
        "dropped": 0,
        "stale": 0,
        "failed": 0,
    }

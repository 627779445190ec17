"""One camera frame from message to published outputs, or the reason why not. Runs in the worker thread."""

from __future__ import annotations

import array
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time as TimeMessage
from rclpy.time import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sarl_perception.diagnostics import Faults
from sarl_perception.estimator import Estimate, InferenceFailed, TactileEstimator
from sarl_perception.frame_counters import FrameCounters
from sarl_perception.image_input import ImageRefused, message_to_rgb
from sarl_perception.overlay import draw_overlay
from sarl_perception.parameters import Settings
from sarl_perception.publishers import OutputPublisher, Reading

Arrival = tuple[Any, float]
"""An image message and when it arrived (s, steady clock)."""


@dataclass(frozen=True)
class FramePipeline:
    """Decode, check the age, estimate, publish. `clock` is the node's (simulated time included)."""

    settings: Settings
    estimator: TactileEstimator
    outputs: Sequence[OutputPublisher]
    overlay: Any
    clock: Any
    logger: Any
    counters: FrameCounters
    faults: Faults
    is_running: Callable[[], bool]

    def answer(self, arrival: Arrival) -> None:
        """Publish the answer to one frame; a frame that gets none is counted and its fault noted."""
        message, arrived_s = arrival
        stamp = message.header.stamp
        try:
            if self._is_stale(stamp):
                return
            rgb = message_to_rgb(message)
            estimate = self.estimator.estimate(rgb)
            if self._is_stale(stamp):
                return
            in_contact = self._publish(stamp, estimate)
            self.counters.answer(age_s=self._age_s(stamp), processing_s=time.perf_counter() - arrived_s)
            if self.overlay.get_subscription_count() > 0:
                self._publish_overlay(message.header, rgb, estimate, in_contact)
        except ImageRefused as error:
            self._refuse("rejected", error.reason, f"image refused: {error}")
        except ValueError as error:
            self._refuse("rejected", "shape", f"image refused: {error}")
        except InferenceFailed as error:
            self._refuse("failed", "inference", f"no estimate: {error}")
        except Exception as error:  # the last line of defence: one frame must not end the worker
            if self.is_running():  # else ROS is shutting down under us
                self._refuse("failed", type(error).__name__, f"unexpected {type(error).__name__}: {error}")

    def _publish(self, stamp: TimeMessage, estimate: Estimate) -> bool:
        """Publish every output that may speak; returns whether the sensor is in contact (true when not known)."""
        probability = estimate.contact_probability
        in_contact = probability is None or probability >= self.settings.contact_threshold
        may_pose = in_contact or not self.settings.contact_gate
        for output in self.outputs:
            if may_pose or not output.needs_contact:
                frame = self.settings.frame_id or output.output.frame or estimate.contract.frame
                output.publish(Reading(estimate, Header(stamp=stamp, frame_id=frame), in_contact))
        return in_contact

    def _publish_overlay(self, header: Header, rgb: np.ndarray, estimate: Estimate, in_contact: bool) -> None:
        """The overlay keeps the whole header of the image: it is in the camera's frame."""
        drawn = draw_overlay(
            rgb,
            estimate,
            region=self.estimator.region,
            field_of_view_m=self.settings.overlay_field_of_view,
            in_contact=in_contact or not self.settings.contact_gate,
        )
        height, width = drawn.shape[:2]
        message = Image(header=header, height=height, width=width, encoding="rgb8", step=3 * width)
        message.data = array.array("B", drawn.tobytes())  # the only assignment that is fast in every distribution
        self.overlay.publish(message)

    def _is_stale(self, stamp: TimeMessage) -> bool:
        """Count and name a frame whose stamp is out of range of the clock."""
        age_s, limit_s = self._age_s(stamp), self.settings.max_age
        if limit_s == 0 or abs(age_s) <= limit_s:
            return False
        reason, fault = ("old", f"{age_s:.3f} s old") if age_s > 0 else ("future", f"{-age_s:.3f} s in the future")
        self._refuse(
            "stale",
            reason,
            f"image stamp is {fault}; allowed {limit_s} s (parameter max_age): check the camera's clock, use_sim_time"
            " for bags, or the load of this machine",
        )
        return True

    def _age_s(self, stamp: TimeMessage) -> float:
        return (self.clock.now() - Time.from_msg(stamp, clock_type=self.clock.clock_type)).nanoseconds * 1e-9

    def _refuse(self, outcome: str, reason: str, message: str) -> None:
        """Count a frame that gets no answer, and log the first of its kind."""
        self.counters.count(outcome)
        if self.faults.note(reason, message):
            self.logger.warning(f"{message} (from here on counted in /diagnostics)")

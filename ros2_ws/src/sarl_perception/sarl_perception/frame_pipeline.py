"""One camera frame from message to published outputs, or the reason why not. Runs in the worker thread."""

from __future__ import annotations

import array
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time as TimeMessage
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sarl_perception.contact_gate import ContactGate
from sarl_perception.error_text import one_line
from sarl_perception.estimator import Estimate, InferenceFailed, RegionRefused, TactileEstimator
from sarl_perception.frame_counters import Answer, FrameCounters
from sarl_perception.image_input import Converter, ImageRefused, message_to_rgb, orient
from sarl_perception.outputs import Outputs
from sarl_perception.overlay import draw_overlay
from sarl_perception.parameters import Settings
from sarl_perception.publishers import Reading

Arrival = tuple[Any, float]
"""An image message and when it arrived (s, steady clock)."""


@dataclass
class FramePipeline:
    """Check the age, decode, estimate, publish. `clock` is the node's (simulated time included).

    `settings` may be replaced at any time; it holds from the next frame on.
    """

    settings: Settings
    estimator: TactileEstimator
    outputs: Outputs
    clock: Any
    counters: FrameCounters
    convert_other: Converter | None
    is_running: Callable[[], bool]
    _gate: ContactGate = field(default_factory=ContactGate)

    def answer(self, arrival: Arrival) -> None:
        """Publish the answer to one frame; a frame that gets none is counted, with the reason."""
        message, arrived_s = arrival
        try:
            self._answer(message, arrived_s, self.settings)
        except ImageRefused as error:
            self.counters.refuse("rejected", error.reason, f"image refused: {error}")
        except RegionRefused as error:
            self.counters.refuse("rejected", "region", f"image refused: {error}")
        except InferenceFailed as error:
            self.counters.refuse("failed", "inference_failed", f"no estimate: {error}")
        except Exception as error:  # the last line of defence: one frame must not end the worker
            if self.is_running():  # else ROS is shutting down under us
                self.counters.refuse("failed", "unexpected", _unexpected(error))

    def _answer(self, message: Any, arrived_s: float, settings: Settings) -> None:
        stamp = message.header.stamp
        if self._is_stale(stamp, settings.max_age):
            return
        rgb = orient(
            message_to_rgb(message, self.convert_other),
            mirror_horizontal=settings.mirror_horizontal,
            mirror_vertical=settings.mirror_vertical,
            swap_red_blue=settings.swap_red_blue,
        )
        is_drawn = self.outputs.overlay_is_wanted
        estimate = self.estimator.estimate(rgb, region=settings.region_of_interest, saliency=is_drawn)
        if self._is_stale(stamp, settings.max_age):
            return
        in_contact = self._gate.update(
            estimate.contact_probability,
            stamp.sec + 1e-9 * stamp.nanosec,
            on=settings.contact_on,
            off=settings.contact_off,
            forget_after_s=settings.stale_after,
        )
        self._publish(stamp, estimate, in_contact, settings)
        answered_s = time.perf_counter()
        threshold = estimate.contract.unfamiliar_threshold
        self.counters.answer(
            Answer(
                age_s=self._age_s(stamp),
                processing_s=answered_s - arrived_s,
                inference_s=estimate.inference_s,
                unfamiliarity=estimate.unfamiliarity / threshold if threshold else float("nan"),
            ),
            answered_s,
        )
        if is_drawn:
            try:
                self._publish_overlay(message.header, rgb, estimate, in_contact, settings)
            except Exception as error:  # the frame is answered and counted: a picture must not undo that
                if self.is_running():
                    self.counters.complain("overlay", f"overlay: {_unexpected(error)}")

    def _publish(self, stamp: TimeMessage, estimate: Estimate, in_contact: bool, settings: Settings) -> None:
        """Publish every output that may speak."""
        may_pose = in_contact or not settings.contact_gate
        for output in self.outputs:
            if may_pose or not output.needs_contact:
                frame = settings.frame_id or output.output.frame or estimate.contract.frame
                output.publish(Reading(estimate, Header(stamp=stamp, frame_id=frame), in_contact))

    def _publish_overlay(
        self, header: Header, rgb: np.ndarray, estimate: Estimate, in_contact: bool, settings: Settings
    ) -> None:
        """The overlay keeps the whole header of the image: it is in the camera's frame."""
        drawn = draw_overlay(
            rgb,
            estimate,
            region=settings.region_of_interest,
            field_of_view_m=settings.overlay_field_of_view,
            in_contact=in_contact or not settings.contact_gate,
        )
        height, width = drawn.shape[:2]
        message = Image(header=header, height=height, width=width, encoding="rgb8", step=3 * width)
        message.data = array.array("B", drawn.tobytes())  # the only assignment that is fast in every distribution
        self.outputs.publish_overlay(message)

    def _is_stale(self, stamp: TimeMessage, limit_s: float) -> bool:
        """Count and name a frame whose stamp is out of range of the clock."""
        age_s = self._age_s(stamp)
        if limit_s == 0 or abs(age_s) <= limit_s:
            return False
        allowed = f"allowed {limit_s} s (parameter max_age)"
        if self.clock.now().nanoseconds == 0:
            reason, text = "no_clock", "use_sim_time is true and /clock is silent: play the bag with --clock"
        elif age_s > 0:
            reason = "old"
            text = (
                f"image stamp is {age_s:.3f} s old; {allowed}: check the camera's clock, use_sim_time for bags, or the"
                " load of this machine"
            )
        else:
            reason = "future"
            text = (
                f"image stamp is {-age_s:.3f} s in the future; {allowed}: check the camera's clock (NTP, PTP), or"
                " use_sim_time for bags"
            )
        self.counters.refuse("stale", reason, text)
        return True

    def _age_s(self, stamp: TimeMessage) -> float:
        """From the stamp, which may be any number, to now."""
        return (self.clock.now().nanoseconds - stamp.sec * 10**9 - stamp.nanosec) * 1e-9


def _unexpected(error: Exception) -> str:
    return f"unexpected {type(error).__name__}: {one_line(error)}"

"""What is wrong with the stream of frames, judged from the counters: each fault with its cause and what to do."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from sarl_perception.faults import Fault, Level
from sarl_perception.frame_counters import Report

HOLD_S = 3.0
SEGMENT_BYTES = 512 * 1024  # of shared memory in Fast DDS' defaults: larger best-effort frames do not arrive
LARGE_FRAMES = (
    "larger than the 512 KB of shared memory that Fast DDS has by default: start the camera AND this node through the"
    " launch file or ros2_ws/env.sh, or both with FASTDDS_BUILTIN_TRANSPORTS=LARGE_DATA, or send smaller frames (mono8,"
    " cropped, compressed)"
)


@dataclass(frozen=True)
class Situation:
    """What the judgement needs to know. `topic` is the camera's.

    `connected_s` says for how long a publisher has been connected (None: there is none), `obstacle` why the publishers
    of that topic are not heard, or where else images are; empty when neither is so.
    """

    report: Report
    topic: str
    connected_s: float | None
    obstacle: str
    is_reliable: bool
    stale_after_s: float


def judge(situation: Situation) -> Iterator[Fault]:
    """The faults of an active node, causes before effects."""
    report, limit_s = situation.report, situation.stale_after_s
    is_silent, is_mute = report.since_input_s >= limit_s, report.since_output_s >= limit_s
    if is_silent and situation.connected_s is None:
        yield _no_camera(situation)
    yield from _losses(situation)
    if is_silent and (situation.connected_s or 0.0) >= limit_s and not report.recent["lost"]:
        yield _silent_camera(situation)
    for reason, text in report.complaints.items():
        yield Fault(reason, Level.ERROR if is_mute else Level.WARN, text, HOLD_S)
    yield from _overload(report)
    if report.waiting_s >= limit_s and not is_silent:
        yield Fault(
            "inference",
            Level.ERROR,
            f"frames arrive at {report.input_hz:.0f} Hz and none was finished for {report.waiting_s:.1f} s: the model"
            " or its execution provider hangs or is far too slow; see inference_ms, try another provider",
        )
    if report.unfamiliarity > 1:
        yield Fault(
            "unfamiliar",
            Level.WARN,
            f"images are unlike those the model was trained on ({report.unfamiliarity:.1f} times its threshold): look"
            " at the overlay; check lights, lens, region, mirroring, colours, and that the model is for this sensor",
            HOLD_S,
        )


def _no_camera(situation: Situation) -> Fault:
    if situation.obstacle:
        return Fault("qos", Level.ERROR, situation.obstacle)
    return Fault(
        "no_camera",
        Level.STALE,
        f"no images: nobody publishes {situation.topic}. Is the camera running, on this topic (remapping, namespace)"
        " and this ROS_DOMAIN_ID?",
    )


def _silent_camera(situation: Situation) -> Fault:
    report = situation.report
    never = f"the first of them may be {LARGE_FRAMES}" if not report.received else "it stopped, hangs or was killed"
    return Fault(
        "camera_silent",
        Level.STALE,
        f"no images for {report.since_input_s:.1f} s from the camera on {situation.topic}, which is connected: {never}",
    )


def _losses(situation: Situation) -> Iterator[Fault]:
    """Frames that the camera sent and that did not arrive, as the middleware counts them."""
    report = situation.report
    lost, received = report.recent["lost"], report.recent["received"]
    if lost < 2 or lost < 0.1 * (lost + received):
        return
    size = report.frame_bytes
    if size > SEGMENT_BYTES:
        cause = f"frames of {size / 1024:.0f} KB are {LARGE_FRAMES}"
    elif size == 0:
        cause = f"they may be {LARGE_FRAMES}"
    else:
        cause = f"frames of {size / 1024:.0f} KB; the network or this machine is overloaded" + (
            "" if situation.is_reliable else ", or use a reliable camera with parameter reliability reliable"
        )
    level = Level.ERROR if lost > received else Level.WARN
    yield Fault(
        "lost_frames",
        level,
        f"{lost} of the {lost + received} frames that the camera sent in the last second were lost on the way: {cause}",
        HOLD_S,
    )


def _overload(report: Report) -> Iterator[Fault]:
    """Frames overwritten because the model is slower than the camera; the newest are answered all the same."""
    dropped, received = report.recent["dropped"], report.recent["received"]
    if dropped < 3 or dropped < 0.1 * received:
        return
    took_ms = report.latency_ms("processing", 50)
    takes = "" if math.isnan(took_ms) else f": one answer takes {took_ms:.0f} ms"
    yield Fault(
        "slow_inference",
        Level.WARN,
        f"the camera sends {report.input_hz:.0f} Hz, {report.output_hz:.0f} Hz are answered (the newest; {dropped} of"
        f" {received} were skipped){takes}. Lower the camera's rate, or use an int8 model, a faster provider, more"
        " threads",
        HOLD_S,
    )

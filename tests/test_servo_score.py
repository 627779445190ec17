"""Scoring of a followed outline on trajectories whose errors are known."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import robot_side
from sarl_demo.servo_score import SETTLING_S, Trajectory
from sarl_demo.tip_motion import TipPose

from sarl_training.simulation.outlines import OUTLINES

RADIUS, SPEED = 30.0, 10.0


def round_the_disc(seconds: float, *, off_mm: float = 0.3, stops: tuple[float, float] = (1e9, 1e9)) -> Trajectory:
    """A tip `off_mm` outside the disc at 10 mm/s, 0.1 mm too deep, standing still in `stops`."""
    trajectory = Trajectory(OUTLINES["disc"])
    moved_s = 0.0
    for tick in range(int(seconds * 50)):
        time_s = tick / 50
        moved_s += 0.0 if stops[0] <= time_s < stops[1] else 1 / 50
        angle = moved_s * SPEED / RADIUS
        pose = TipPose((RADIUS + off_mm) * math.cos(angle), (RADIUS + off_mm) * math.sin(angle), 1.6, 0.0)
        trajectory.add(time_s, pose, "following" if time_s >= 1.0 else "approaching")
    return trajectory


def test_errors_count_once_settled() -> None:
    trajectory = round_the_disc(10.0)
    assert trajectory.errors(1.5) == pytest.approx(
        {"lateral_rms_mm": 0.3, "lateral_max_mm": 0.3, "depth_rms_mm": 0.1, "depth_max_mm": 0.1}, abs=1e-4
    )
    assert sum(trajectory.settled) == pytest.approx(50 * (10.0 - 1.0 - SETTLING_S), abs=1)
    assert Trajectory(OUTLINES["disc"]).errors(1.5)["lateral_rms_mm"] is None


def test_the_way_round_is_counted_over_the_seam() -> None:
    once_s = 1.0 + SETTLING_S + 2 * math.pi * RADIUS / SPEED
    assert not round_the_disc(once_s - 0.5).is_round
    assert round_the_disc(once_s + 0.5).is_round


def test_a_standstill_is_timed() -> None:
    trajectory = round_the_disc(8.0, stops=(5.15, 6.0))
    assert trajectory.still_after_s(5.0) == pytest.approx(0.14, abs=0.021)
    assert trajectory.still_after_s(6.5) is None


def test_the_verdict_holds_every_bar(tmp_path: Path) -> None:
    pytest.importorskip("rclpy", reason=robot_side.NOT_BUILT)
    pytest.importorskip("sarl_msgs.msg", reason=robot_side.NOT_BUILT)
    from sarl_demo.servo import is_good, table
    from sarl_demo.servo_pictures import draw_outline, draw_sheet

    good = {
        "outline": "disc", "seed": 0, "fault": "none", "is_round": True, "share_round": 1.0, "seconds": 19.0,
        "lateral_rms_mm": 0.5, "lateral_max_mm": 1.0, "depth_rms_mm": 0.3, "depth_max_mm": 0.5, "stopped_after_s": None,
    }  # fmt: skip
    assert is_good(good) and "MISSED" not in table([good])[1]
    worse = ({"is_round": False}, {"lateral_rms_mm": 0.51}, {"depth_rms_mm": 0.31}, {"fault": "kill"})
    for change in (*worse, {"fault": "kill", "stopped_after_s": 0.21}):
        assert not is_good(good | change) and "MISSED" in table([good | change])[1]
    assert is_good(good | {"fault": "kill", "stopped_after_s": 0.2})
    draw_outline(tmp_path / "disc.png", "disc", [round_the_disc(4.0)])
    draw_sheet(tmp_path / "sheet.png", [tmp_path / "disc.png"] * 3)
    assert (tmp_path / "sheet.png").stat().st_size > (tmp_path / "disc.png").stat().st_size

"""The follower's law and its parts: signs, limits, silence, and noiseless loops over edges known in closed form."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import robot_side
from hypothesis import given
from hypothesis import strategies as st
from sarl_demo.edge_servo import EdgeServo, Phase, Reading
from sarl_demo.edge_trail import EdgeTrail
from sarl_demo.pid import Pid
from sarl_demo.settings import FollowerSettings, read_file
from sarl_demo.tip_motion import STILL, MovingTip, TipPose, advance, limited, towards

from sarl_training.simulation.outlines import OUTLINES, Outline

FILE = robot_side.ROOT / "ros2_ws" / "src" / "sarl_demo" / "config" / "servo.yaml"
SETTINGS = read_file(FILE, "edge_follower", FollowerSettings)
SD = np.array([0.06, 0.04, 0.01])
small = st.floats(-5, 5)


@given(small, small, small, st.floats(-3, 3), st.floats(0.01, 2))
def test_a_twist_is_the_limit_of_small_steps(vx: float, vy: float, vz: float, turn: float, duration: float) -> None:
    start, twist = TipPose(1.0, -2.0, 0.5, 0.7), np.array([vx, vy, vz, turn])
    stepped = start
    for _ in range(400):
        stepped = advance(stepped, twist, duration / 400)
    whole = advance(start, twist, duration)
    assert dataclasses.astuple(stepped) == pytest.approx(dataclasses.astuple(whole), abs=1e-9)


def test_twists_are_in_the_tip_frame() -> None:
    turned = TipPose(0.0, 0.0, 0.0, math.pi / 2)
    moved = advance(turned, np.array([1.0, 0.0, 0.0, 0.0]), 2.0)
    assert (moved.x_mm, moved.y_mm) == pytest.approx((0.0, 2.0))
    assert advance(turned, np.array([0.0, 0.0, 3.0, 0.0]), 1.0).depth_mm == 3.0  # +z presses in


@given(small, small, small, st.floats(-3, 3))
def test_towards_reaches_the_goal(x: float, y: float, depth: float, yaw: float) -> None:
    pose, goal = TipPose(0.3, 0.1, 0.0, 0.4), TipPose(x, y, depth, yaw)
    for _ in range(200):
        pose = advance(pose, towards(pose, goal, 0.1), 0.02)
    assert (pose.x_mm, pose.y_mm, pose.depth_mm) == pytest.approx((x, y, depth), abs=1e-3)
    assert math.remainder(pose.yaw_rad - yaw, 2 * math.pi) == pytest.approx(0, abs=1e-3)


def test_limits_keep_directions() -> None:
    twist = limited(np.array([30.0, 40.0, 0.0, -9.0]), 5.0, 2.0)
    assert twist == pytest.approx([3.0, 4.0, 0.0, -2.0])
    assert limited(STILL, 5.0, 2.0) == pytest.approx(STILL)


def test_a_tip_stops_without_commands_and_remembers() -> None:
    tip = MovingTip(TipPose(0, 0, 0, 0), 10.0, speed_mm_s=50, turn_rad_s=3, timeout_s=0.1)
    tip.command(np.array([10.0, 0.0, 0.0, 0.0]), 10.0)
    assert tip.pose(10.05).x_mm == pytest.approx(0.5)
    assert tip.pose(12.0).x_mm == pytest.approx(1.0)
    tip.command(np.array([0.0, 500.0, 0.0, 0.0]), 12.0)
    assert tip.pose(12.1).y_mm == pytest.approx(5.0)  # limited to 50 mm/s
    assert tip.pose(10.05).x_mm == pytest.approx(0.5)


@pytest.mark.parametrize("set_to_s", [3.0, 9.95, 10.05])
def test_a_tip_goes_on_from_its_last_pose_when_the_clock_is_set_back(set_to_s: float) -> None:
    tip = MovingTip(TipPose(0, 0, 0, 0), 9.9, speed_mm_s=50, turn_rad_s=3, timeout_s=0.1)
    tip.command(np.array([10.0, 0.0, 0.0, 0.0]), 10.0)
    tip.command(np.array([0.0, 10.0, 0.0, 0.0]), 10.1)
    tip.command(np.array([0.0, 0.0, 10.0, 0.0]), set_to_s)
    moved = tip.pose(set_to_s + 0.1)
    assert (moved.x_mm, moved.y_mm, moved.depth_mm) == pytest.approx((1.0, 0.0, 1.0))


def test_pid_integral_is_limited_and_rests_while_cut() -> None:
    pid = Pid(np.array([2.0]), np.array([1.0]), np.array([0.5]), np.array([0.3]))
    assert pid.step(np.array([0.1]), 0.1, is_limited=False) == pytest.approx([0.2 + 0.01])
    assert pid.step(np.array([0.2]), 0.1, is_limited=True) == pytest.approx([0.4 + 0.01 + 0.5])
    for _ in range(100):
        output = pid.step(np.array([1.0]), 0.1, is_limited=False)
    assert output == pytest.approx([2.0 + 0.3])


@pytest.mark.parametrize("way", [1, -1])
def test_a_trail_finds_a_straight_edge(way: int) -> None:
    trail = EdgeTrail(ring_mm=7.0, bend_rad=0.2, way=way)
    for step in range(10):
        trail.add(TipPose(0.0, way * step * 0.5, 0.0, 0.0), 0.4, 0.0, 0.1, 0.02)
    beside, ahead = trail.under(np.array([0.0, way * 4.5]))
    assert beside == pytest.approx([0.4, way * 4.5], abs=1e-6)
    assert ahead == pytest.approx([0.0, way], abs=1e-6)


def reading_of(outline: Outline, pose: TipPose, taken_s: float, ring_mm: float) -> Reading:
    """What a model sees that draws its line through the two points where the edge crosses a ring round the apex."""
    along = float(outline.nearest(pose.position_mm[None]).along_mm[0])
    steps = along + np.linspace(-2 * ring_mm, 2 * ring_mm, 2001)
    rim = outline.point(steps) - pose.position_mm
    radius = np.linalg.norm(rim, axis=1)
    behind, ahead = rim[:1000], rim[1001:]
    first, last = behind[np.abs(radius[:1000] - ring_mm).argmin()], ahead[np.abs(radius[1001:] - ring_mm).argmin()]
    tangent = (last - first) / np.linalg.norm(last - first)
    normal = np.array([tangent[1], -tangent[0]])
    theta = math.remainder(math.atan2(normal[1], normal[0]) - pose.yaw_rad, 2 * math.pi)
    return Reading(taken_s, np.array([first @ normal, pose.depth_mm, theta]), SD)


def followed(outline: Outline, seconds: float, *, way: int = 1, silent: tuple[float, float] = (1e9, 1e9)):
    """(times, poses, phases) of a follower whose perception answers 60 ms late, and not at all in `silent`."""
    settings = dataclasses.replace(SETTINGS, way=way)
    start = outline.point(3.0)
    normal = outline.nearest(start[None]).normal[0]
    pose = TipPose(*(start + 1.0 * normal), -1.0, math.atan2(normal[1], normal[0]) + 0.15)
    tip = MovingTip(pose, 0.0, speed_mm_s=50, turn_rad_s=3, timeout_s=0.1)
    servo, pending, log = EdgeServo(settings, 0.0, steady_s=0.0), [], []
    for tick in range(int(seconds * 50)):
        now_s = tick / 50
        pose = tip.pose(now_s)
        if tick % 2 == 0 and not silent[0] <= now_s < silent[1]:
            pending.append((now_s + 0.06, pose.depth_mm > 0, reading_of(outline, pose, now_s, settings.ring * 1e3)))
        while pending and pending[0][0] <= now_s:
            _, touches, reading = pending.pop(0)
            servo.feel(touches, float(touches), now_s, steady_s=now_s)
            if touches:
                servo.read(reading, now_s, steady_s=now_s)
        tip.command(servo.command(now_s, steady_s=now_s), now_s)
        log.append((now_s, pose, servo.phase))
    return log


@pytest.mark.parametrize(("name", "way", "rms_mm"), [("disc", 1, 0.05), ("disc", -1, 0.05), ("clover", 1, 0.2)])
def test_a_noiseless_loop_stays_on_the_outline(name: str, way: int, rms_mm: float) -> None:
    """The model's chord lies up to 1.7 mm off these edges; the tip does not."""
    outline = OUTLINES[name]
    poses = [pose for now_s, pose, _ in followed(outline, 16.0, way=way) if now_s > 4.0]
    nearest = outline.nearest(np.array([pose.position_mm for pose in poses]))
    assert np.sqrt(np.mean(nearest.distance_mm**2)) < rms_mm
    assert [pose.depth_mm for pose in poses] == pytest.approx([SETTINGS.depth * 1e3] * len(poses), abs=0.05)
    gone = np.unwrap(nearest.along_mm, period=outline.length_mm)
    assert way * (gone[-1] - gone[0]) == pytest.approx(120, rel=0.1)  # 12 s at 10 mm/s


def test_silence_stops_then_lifts_then_it_goes_on() -> None:
    log = followed(OUTLINES["disc"], 16.0, silent=(5.0, 8.0))
    phases = [phase for now_s, _, phase in log if now_s > 4.0]
    order = [phase for phase, before in zip(phases, [None, *phases[:-1]], strict=True) if phase is not before]
    assert order == [Phase.FOLLOWING, Phase.HOLDING, Phase.RETRACTING, Phase.APPROACHING, Phase.FOLLOWING]
    held = [pose for now_s, pose, _ in log if 5.2 <= now_s < 5.9]
    assert all(pose == held[0] for pose in held)
    lowest = min(pose.depth_mm for now_s, pose, _ in log if 6.0 < now_s < 8.0)
    assert lowest == pytest.approx(SETTINGS.depth * 1e3 - SETTINGS.retract * 1e3, abs=0.2)
    _, last, phase = log[-1]
    assert phase is Phase.FOLLOWING
    assert abs(OUTLINES["disc"].nearest(last.position_mm[None]).distance_mm[0]) < 0.1


def servo_in_contact(reading: np.ndarray, sd: np.ndarray = SD) -> np.ndarray:
    """The command after half a second of the same reading (a tip that is held fast)."""
    servo = EdgeServo(dataclasses.replace(SETTINGS, integral=[0.0] * 3), 0.0, steady_s=0.0)
    for tick in range(25):
        now_s = tick / 50
        servo.feel(True, 1.0, now_s, steady_s=now_s)
        servo.read(Reading(now_s, reading, sd), now_s, steady_s=now_s)
        twist = servo.command(now_s, steady_s=now_s)
    return twist


def test_signs_of_the_law() -> None:
    depth = SETTINGS.depth * 1e3
    assert servo_in_contact(np.array([0.0, depth, 0.0])) == pytest.approx([0, 10, 0, 0], abs=0.01)  # along +t = +y
    assert servo_in_contact(np.array([0.0, depth - 0.2, 0.0]))[2] > 0.3  # too shallow: press in
    assert servo_in_contact(np.array([0.0, depth, 0.2]))[3] > 0.3  # the edge is turned by +theta: turn after it
    assert servo_in_contact(np.array([1.0, depth, 0.0]))[0] > 0.5  # the edge is at +x: go there


def test_speed_falls_with_uncertainty() -> None:
    reading = np.array([0.0, SETTINGS.depth * 1e3, 0.0])
    slow, stop = (np.array(values) * (1e3, 1e3, 1.0) for values in (SETTINGS.slow_sd, SETTINGS.stop_sd))
    speeds = [servo_in_contact(reading, sd)[1] for sd in (slow, (slow + stop) / 2, 0.99 * stop)]
    assert speeds == pytest.approx([10.0, 5.0, 0.0], abs=0.3)
    assert servo_in_contact(reading, stop) == pytest.approx([0, 0, SETTINGS.approach_speed * 1e3, 0], abs=1e-6)


@pytest.mark.parametrize("gap_s", [0.0, 0.2, 0.9, 1.1])
def test_a_tip_over_nothing_is_lost_within_the_limit(gap_s: float) -> None:
    """Pauses in the answers, short ones in which it holds and long ones in which it is lifted, allow no more depth."""
    servo = EdgeServo(SETTINGS, 0.0, steady_s=0.0)
    depths, phases = [0.0], set()
    for tick in range(2000):
        now_s = tick / 50
        if now_s % 2.0 >= gap_s:
            servo.feel(False, 0.1, now_s, steady_s=now_s)
        depths.append(depths[-1] + servo.command(now_s, steady_s=now_s)[2] / 50)
        phases.add(servo.phase)
    assert servo.phase is Phase.LOST
    assert (Phase.HOLDING in phases, Phase.RETRACTING in phases) == (gap_s > 0, gap_s > SETTINGS.retract_silence)
    assert max(depths) == pytest.approx(SETTINGS.approach_limit * 1e3, abs=0.2)
    assert min(depths) >= -SETTINGS.retract * 1e3 - 0.2


class HeldTip:
    """A follower whose tip feels one edge, its two clocks and its twist."""

    def __init__(self) -> None:
        self.now_s = self.steady_s = 1000.0
        self.servo = EdgeServo(SETTINGS, self.now_s, steady_s=self.steady_s)
        self.feel(1.0, x_mm=0.0)

    def feel(self, seconds: float, x_mm: float, *, theta: float = 0.0, stamped_s: float | None = None) -> None:
        """The edge lies there for so long; the image is 10 ms old or has that stamp."""
        for _ in range(round(seconds * 50)):
            taken_s = self.now_s - 0.01 if stamped_s is None else stamped_s
            reading = Reading(taken_s, np.array([x_mm, SETTINGS.depth * 1e3, theta]), SD)
            self.servo.feel(True, 1.0, self.now_s, steady_s=self.steady_s)
            self.servo.read(reading, self.now_s, steady_s=self.steady_s)
            self.go_on()

    def go_on(self, seconds: float = 0.02, *, pace: float = 1.0) -> list[Phase]:
        """Commands without an answer while the clock of the stamps goes at a pace; the phases."""
        phases = []
        for _ in range(round(seconds * 50)):
            self.twist = self.servo.command(self.now_s, steady_s=self.steady_s)
            phases.append(self.servo.phase)
            self.steady_s += 0.02
            self.now_s += 0.02 * pace
        return phases


@pytest.mark.parametrize("back_s", [0.3, 60.0, 900.0])
def test_silence_is_noticed_while_the_clock_is_set_back(back_s: float) -> None:
    tip = HeldTip()
    assert np.linalg.norm(tip.twist[:3]) > 9
    tip.now_s -= back_s
    assert tip.go_on(0.5) == [Phase.HOLDING] * 25 and not tip.twist.any()
    assert tip.go_on(1.0)[-1] is Phase.RETRACTING
    assert tip.twist[2] == pytest.approx(-SETTINGS.retract_speed * 1e3)
    tip.go_on(3.0)
    assert tip.twist[2] == 0  # lifted by `retract`, measured across the change


@pytest.mark.parametrize("back_s", [0.3, 60.0, 900.0])
def test_readings_count_again_once_the_clock_is_set_back(back_s: float) -> None:
    tip = HeldTip()
    stamped_s = tip.now_s
    tip.now_s -= back_s
    tip.feel(0.02, x_mm=1.0, stamped_s=stamped_s)  # one that was under way
    tip.feel(0.5, x_mm=1.0)
    assert tip.servo.phase is Phase.FOLLOWING
    assert tip.twist[0] > 0.5 and tip.twist[1] > 5.0  # towards this edge, and along it
    tip.go_on(0.3)
    assert not tip.twist.any()


def test_answers_without_poses_hold_the_tip_when_the_clock_is_set_back() -> None:
    tip = HeldTip()
    tip.now_s -= 60.0
    for _ in range(40):
        tip.servo.feel(True, 1.0, tip.now_s, steady_s=tip.steady_s)
        assert tip.go_on() == [Phase.HOLDING]


def test_a_clock_set_forward_is_no_time_gone() -> None:
    turns = []
    for forward_s in (0.0, 60.0):
        tip = HeldTip()
        tip.feel(0.1, x_mm=0.0, theta=0.05)
        tip.now_s += forward_s
        tip.feel(0.02, x_mm=0.0, theta=0.05)
        turns.append(tip.twist[3])
    assert turns[1] == pytest.approx(turns[0], abs=0.1)


def test_it_stands_still_only_while_simulated_time_rests() -> None:
    tip = HeldTip()
    assert set(tip.go_on(1.0, pace=0.1)) == {Phase.FOLLOWING}  # 0.1 s of a slow simulation
    assert tip.go_on(2.2, pace=0.0)[10:] == [Phase.HOLDING] * 100 and not tip.twist.any()
    assert tip.go_on(0.5)[-1] is Phase.RETRACTING  # time goes on, perception is as silent
    tip.feel(0.5, x_mm=0.0)
    assert tip.servo.phase is Phase.FOLLOWING


@pytest.mark.parametrize("phase", [Phase.APPROACHING, Phase.RETRACTING])
def test_a_tip_on_its_way_stops_when_the_clock_does(phase: Phase) -> None:
    """Its own record of the way, which ends the way, stands still with the clock."""
    tip = HeldTip()

    def go_on(seconds: float, pace: float) -> None:
        for _ in range(round(seconds * 50)):
            if phase is Phase.APPROACHING:
                tip.servo.feel(False, 0.1, tip.now_s, steady_s=tip.steady_s)
            tip.go_on(pace=pace)

    go_on(1.3, pace=1.0)
    assert tip.servo.phase is phase and tip.twist[2] != 0
    go_on(0.2, pace=0.0)
    assert tip.servo.phase is Phase.HOLDING and not tip.twist.any()

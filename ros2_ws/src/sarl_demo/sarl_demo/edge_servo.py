"""The follower's law: readings of an edge in, twists of the tip out. No ROS; millimetre, radian, second.

Tip frame: x right, y down in the image, z out of the sensor; the material lies on the side -n of the edge, n = (cos
theta, sin theta), t = (-sin theta, cos theta). With the tip at rest relative to the edge's line, a twist (vx, vy, vz,
turn) changes a reading by dx/dt = -n.v, dz/dt = +vz, dtheta/dt = curvature t.v - turn. So the error of the pose, as
pose-based tactile servoing has it, is (x, depth - z, theta) against the reference (0, depth, 0), and

    v = u_x n + way speed t,   vz = u_z,   turn = u_theta,   u = PID(error).

x and t come from the trail (`edge_trail`), so they are known at the apex and now, not where the pad sees them and when
the image was taken; theta is taken forward by the turn since the image. Speed along the edge shrinks with heading
error, covariance, depth error and the age of the last reading.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from sarl_demo.edge_trail import EdgeTrail
from sarl_demo.pid import Pid
from sarl_demo.settings import FollowerSettings
from sarl_demo.tip_motion import MM, STILL, MovingTip, TipPose, limited

_LEAST_SPEED = 0.15  # share of the speed that is kept whatever the heading error, or a corner is never left
_DEPTH_TOLERANCE_MM = 1.0  # depth error at which the tip stands still along the edge
_COMMAND_TIMEOUT_S = 0.1  # what listens to cmd_vel is taken to stop so soon without one, as outline_camera does
_UNITS = np.array([MM, MM, 1.0])  # SI to mm, mm, rad


class Phase(Enum):
    """What the follower is doing."""

    WAITING = "waiting"
    APPROACHING = "approaching"
    FOLLOWING = "following"
    HOLDING = "holding"
    RETRACTING = "retracting"
    LOST = "lost"


@dataclass(frozen=True)
class Reading:
    """The edge in the tip frame when an image was taken: (x mm, z mm, theta rad) and standard deviations."""

    taken_s: float
    pose: np.ndarray
    sd: np.ndarray


class EdgeServo:
    """One edge, followed. Feed it `feel` and `read`, ask for a `command` at a steady rate.

    `now_s` is of the clock of the stamps, by which the tip moves; that one may be slow, stand still as simulated time
    does, or be set. `steady_s` is of a clock that goes on: silence is measured by it while the other does not.
    """

    def __init__(self, settings: FollowerSettings, now_s: float, *, steady_s: float) -> None:
        self.phase = Phase.WAITING
        self._settings = settings
        self._trail = self._new_trail()
        self._pid = Pid(
            *(np.array(gains) for gains in (settings.proportional, settings.integral, settings.derivative)),
            np.array(settings.integral_limit) * _UNITS,
        )
        # Its own record of where its commands have taken the tip, from an arbitrary start.
        self._tip = MovingTip(
            TipPose(0.0, 0.0, 0.0, 0.0),
            now_s,
            speed_mm_s=settings.max_speed * MM,
            turn_rad_s=settings.max_turn_rate,
            timeout_s=_COMMAND_TIMEOUT_S,
        )
        self._last_answer_s = -math.inf
        self._last_reading: Reading | None = None
        self._last_reading_s = -math.inf
        self._last_command_s = self._looked_s = now_s
        self._looked_steady_s = self._last_tick_s = steady_s
        self._elapsed_s = 0.0
        self.twist = STILL
        """The last command."""
        self._is_limited = False
        self._is_touching = False
        self._pressed_depth_mm = 0.0
        self._approached_from_mm: float | None = None

    # ---- what is heard ---------------------------------------------------------------------------------------------

    def feel(self, in_contact: bool, probability: float, now_s: float, *, steady_s: float) -> None:
        """Perception answered. It takes a sure touch to begin, and no contact at all to end."""
        self._look_at_clocks(now_s, steady_s)
        self._last_answer_s = self._elapsed_s
        self._is_touching = in_contact and (self._is_touching or probability >= self._settings.touch_probability)

    def read(self, reading: Reading, now_s: float, *, steady_s: float) -> None:
        """An edge pose arrived; it counts while the tip touches."""
        self._look_at_clocks(now_s, steady_s)
        self._last_answer_s = self._elapsed_s
        if not self._is_touching or (reading.sd >= np.array(self._settings.stop_sd) * _UNITS).any():
            return
        taken_s = min(reading.taken_s, now_s)  # one from before the clock was set back would outdate all that follow
        if self._last_reading is not None and taken_s <= self._last_reading.taken_s:
            return
        self._last_reading, self._last_reading_s = replace(reading, taken_s=taken_s), self._elapsed_s
        self._pressed_depth_mm = self._tip.pose(now_s).depth_mm
        sd = np.hypot(reading.sd, np.array(self._settings.reading_sd) * _UNITS)
        self._trail.add(self._tip.pose(taken_s), reading.pose[0], reading.pose[2], sd[0], sd[2])

    # ---- what is done ----------------------------------------------------------------------------------------------

    def command(self, now_s: float, *, steady_s: float) -> np.ndarray:
        """Twist [4] of the tip in its own frame from now on: mm/s, rad/s."""
        self._look_at_clocks(now_s, steady_s)
        duration_s = min(now_s - self._last_command_s, _COMMAND_TIMEOUT_S)  # a clock may be set forward
        self._last_command_s = now_s
        self._change_phase(now_s)
        wanted = self._wanted(now_s, duration_s)
        if self.phase in {Phase.WAITING, Phase.HOLDING, Phase.LOST}:
            self.twist = STILL  # at once
        else:
            self.twist = self._smoothed(wanted, duration_s)
        self._tip.command(self.twist, now_s)
        return self.twist

    def _new_trail(self) -> EdgeTrail:
        settings = self._settings
        return EdgeTrail(ring_mm=settings.ring * MM, bend_rad=settings.bend, way=settings.way)

    def _look_at_clocks(self, now_s: float, steady_s: float) -> None:
        """Count the time in which there may be silence.

        Once the clock is set back, as when a simulator starts over, no earlier time can be compared with later ones.
        How deep the tip is counts on, and so do the limits of its depth.
        """
        step_s, steady_step_s = now_s - self._looked_s, steady_s - self._looked_steady_s
        self._looked_s, self._looked_steady_s = now_s, steady_s
        if step_s > 0:
            self._last_tick_s = steady_s
            self._elapsed_s += min(step_s, max(steady_step_s, _COMMAND_TIMEOUT_S))  # a clock may be set forward
        elif step_s < 0 or self._stands_still:
            self._elapsed_s += steady_step_s
        if step_s < 0:
            self._last_command_s = now_s
            self._last_reading = None
            self._trail = self._new_trail()
            self._tip.command(self.twist, now_s)

    @property
    def _stands_still(self) -> bool:
        """Whether the clock of the stamps does."""
        return self._looked_steady_s - self._last_tick_s > self._settings.stop_silence

    def _change_phase(self, now_s: float) -> None:
        settings = self._settings
        silent_s, blind_s = self._elapsed_s - self._last_answer_s, self._elapsed_s - self._last_reading_s
        if self.phase is Phase.WAITING and math.isinf(silent_s):
            return
        if self._stands_still and self.phase is not Phase.LOST:  # how far the tip would go cannot be told
            self._enter(Phase.HOLDING, now_s)
        elif self._last_reading is not None and blind_s <= settings.stop_silence:
            self._enter(Phase.FOLLOWING, now_s)
        elif self.phase is Phase.LOST:
            return
        elif silent_s > settings.retract_silence:
            if self.phase is not Phase.RETRACTING:
                self._enter(Phase.RETRACTING, now_s)
        elif silent_s > settings.stop_silence:
            if self.phase is not Phase.RETRACTING:
                self._enter(Phase.HOLDING, now_s)
        elif blind_s > settings.retract_silence or self.phase is Phase.APPROACHING:
            # Answers, but no contact for long.
            self._enter(Phase.APPROACHING, now_s)
            if self._tip.pose(now_s).depth_mm - self._approached_from_mm > settings.approach_limit * MM:
                self._enter(Phase.LOST, now_s)
        else:
            self._enter(Phase.HOLDING, now_s)

    def _enter(self, phase: Phase, now_s: float) -> None:
        if phase is self.phase:
            return
        self.phase = phase
        if phase is Phase.FOLLOWING:
            self._approached_from_mm = None
        elif phase is Phase.APPROACHING and self._approached_from_mm is None:
            # Kept until there is contact: else each pause in the answers would allow the whole limit again.
            self._approached_from_mm = self._tip.pose(now_s).depth_mm
        if phase in {Phase.APPROACHING, Phase.RETRACTING}:
            self._is_touching = False
            self._pid.reset()

    def _wanted(self, now_s: float, duration_s: float) -> np.ndarray:
        settings = self._settings
        if self.phase is Phase.APPROACHING:
            return np.array([0.0, 0.0, settings.approach_speed * MM, 0.0])
        if self.phase is Phase.RETRACTING:
            lifted_mm = self._pressed_depth_mm - self._tip.pose(now_s).depth_mm
            return np.array([0.0, 0.0, -settings.retract_speed * MM if lifted_mm < settings.retract * MM else 0.0, 0.0])
        return self._following(now_s, duration_s) if self.phase is Phase.FOLLOWING else STILL

    def _following(self, now_s: float, duration_s: float) -> np.ndarray:
        reading, tip = self._last_reading, self._tip.pose(now_s)
        taken = self._tip.pose(reading.taken_s)
        beside, ahead = self._trail.under(tip.position_mm)
        normal = self._settings.way * np.array([ahead[1], -ahead[0]])
        depth_mm = reading.pose[1] + tip.depth_mm - taken.depth_mm
        heading = reading.pose[2] + taken.yaw_rad - tip.yaw_rad
        error = np.array([(beside - tip.position_mm) @ normal, self._settings.depth * MM - depth_mm, heading])
        output = self._pid.step(error, duration_s, is_limited=self._is_limited)
        speed = self._settings.speed * MM * self._share(error, reading.sd, self._elapsed_s - self._last_reading_s)
        plane = tip.to_tip(output[0] * normal + speed * ahead)
        return np.array([*plane, output[1], output[2]])

    def _share(self, error: np.ndarray, sd: np.ndarray, age_s: float) -> float:
        """Share of the full speed, 0 to 1."""
        settings = self._settings
        slow, stop = np.array(settings.slow_sd) * _UNITS, np.array(settings.stop_sd) * _UNITS
        sure = float(((stop - sd) / (stop - slow)).min())
        fresh = (settings.stop_silence - age_s) / (settings.stop_silence - settings.slow_silence)
        aligned = max(1.5 - abs(error[2]) / settings.slow_angle, _LEAST_SPEED)
        deep = 1.5 - 1.5 * abs(error[1]) / _DEPTH_TOLERANCE_MM
        return float(np.clip([sure, fresh, aligned, deep], 0.0, 1.0).min())

    def _smoothed(self, wanted: np.ndarray, duration_s: float) -> np.ndarray:
        settings = self._settings
        allowed = limited(wanted, settings.max_speed * MM, settings.max_turn_rate)
        step = limited(
            allowed - self.twist,
            settings.max_acceleration * MM * duration_s,
            settings.max_turn_acceleration * duration_s,
        )
        self._is_limited = not np.allclose(allowed, wanted)
        return self.twist + step

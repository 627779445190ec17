"""Is the run healthy, collapsed or still improving? Rules on its curves, and the reason in words."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from sarl_training.diagnostics import COLLAPSED_RANK, COLLAPSED_STD, collapse_alarm
from sarl_training.online_probe import SCORE
from sarl_training.run_report.record import Curve

LEAST_MEASUREMENTS = 4
PROBE_GAIN = 0.01  # of the probe score, within the last third
LOSS_FALL = 0.02  # of the loss, from the third before the last to the last
PAST_BEST = 0.05  # of the probe score


class Verdict(NamedTuple):
    """What a run is, and why."""

    word: Literal["healthy", "collapsed", "still improving", "too short to judge"]
    reason: str


def judge(curves: Mapping[str, Curve]) -> Verdict:
    """The first rule that applies.

    Collapsed: at the last measurement the feature std or the effective rank is below its alarm. Too short: fewer than
    four measurements. Still improving: the best probe score of the last third is more than 0.01 above the best before
    it; without a probe, the median loss of the last third is more than 2 % below that of the third before. Else
    healthy.
    """
    std, rank = curves.get("feature_std"), curves.get("effective_rank")
    if std is not None and rank is not None:
        if collapse_alarm(std.value[-1], rank.value[-1]):
            return Verdict("collapsed", _collapse(std, rank))
        if len(std.value) >= LEAST_MEASUREMENTS:
            improving = _probe_gain(curves.get(SCORE)) or _loss_fall(curves.get("loss"))
            if improving is not None:
                still, reason = improving
                alive = f"feature std {std.value[-1]:.2f}, effective rank {rank.value[-1]:.0f}"
                return Verdict("still improving" if still else "healthy", f"{reason}; {alive}")
    return Verdict("too short to judge", f"fewer than {LEAST_MEASUREMENTS} measurements; lower --log-every or go on")


def _collapse(std: Curve, rank: Curve) -> str:
    dead = (std.value < COLLAPSED_STD) | (rank.value < COLLAPSED_RANK)
    alive = np.flatnonzero(~dead)
    since = std.epoch[alive[-1] + 1] if len(alive) else std.epoch[0]
    return (
        f"since epoch {since:.3g} all images have nearly one embedding: feature std {std.value[-1]:.3f} (alarm below "
        f"{COLLAPSED_STD}), effective rank {rank.value[-1]:.1f} (alarm below {COLLAPSED_RANK})"
    )


def _probe_gain(score: Curve | None) -> tuple[bool, str] | None:
    if score is None or len(score.value) < LEAST_MEASUREMENTS:
        return None
    late = score.epoch > score.epoch[-1] * 2 / 3
    gain = float(score.value[late].max() - score.value[~late].max()) if (~late).any() else 0.0
    if gain > PROBE_GAIN:
        return True, f"the probe score rose by {gain:.3f} in the last third: more epochs would help"
    best = int(score.value.argmax())
    if score.value[best] - score.value[-1] > PAST_BEST:
        return False, (
            f"the probe score was best at epoch {score.epoch[best]:.3g} ({score.value[best]:.3f}) and is "
            f"{score.value[-1]:.3f} now: take the best encoder, not the last"
        )
    return False, f"the probe score has levelled off at {score.value[-1]:.3f}"


def _loss_fall(loss: Curve | None) -> tuple[bool, str] | None:
    if loss is None or len(loss.value) < LEAST_MEASUREMENTS:
        return None
    end = loss.epoch[-1]
    late, before = loss.epoch > end * 2 / 3, (loss.epoch > end / 3) & (loss.epoch <= end * 2 / 3)
    if not before.any():
        return None
    was, now = float(np.median(loss.value[before])), float(np.median(loss.value[late]))
    fall = (was - now) / max(abs(was), 1e-12)
    if fall > LOSS_FALL:
        return True, f"the loss fell by {fall:.0%} from the second third to the last (no online probe to say more)"
    return False, "the loss has levelled off (no online probe to say more)"

"""Whether pictures and labels can belong together, and whether a model can read pictures that have no labels.

Not one picture again and again, not labels of other pictures, not pictures of something else. Shapes: N frames, D axes.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sarl_training.calibration.card import SPREAD, HeadFacts
from sarl_training.calibration.coverage import OUTSIDE_MARGIN, Ranges
from sarl_training.calibration.fit import KEEP
from sarl_training.calibration.unlabelled import Adapted, AdaptedHead
from sarl_training.errors import DataRefused
from sarl_training.file_hashes import content_hashes

MOST_COPIES = 0.1  # share of the pictures
# Of the mean label's error. With labels of other pictures the best axis of 25 sets of 10 contacts had .52, of 30
# contacts or more .73; with their own, .11 was the worst.
WORST_READ = 0.5
# Of pictures without labels. Measured (models/LOG.md): 320 simulated units have medians up to 2.06 times the threshold
# and 30 pictures of any of 15 units no answer outside and .54 of an axis or more; real pictures that the model cannot
# read have 3.4 to 9.1, and 67 to 100 % outside on some axis; one press covers .23 of an axis. At 2.65, adaptation made
# an altered unit worse.
MOST_UNFAMILIAR = 2.5
MOST_OUTSIDE = 0.1
LEAST_COVERED = 0.4  # of an axis, by the `SPREAD` of the answers
CHECK = "check the part of the camera image (ingest --region), the sensor and its light, or label 10 contacts"


def check_pictures(where: Path, pictures: Sequence[Path]) -> None:
    """DataRefused where many pictures are the very same one."""
    copies = len(pictures) - len(set(content_hashes(pictures)))
    if copies > MOST_COPIES * len(pictures):
        raise DataRefused(
            f"{where}: {copies} of {len(pictures)} pictures are copies of another one: a camera that stood still, or a "
            "wrong image column; record one picture a contact"
        )


def check_read(where: Path, facts: Sequence[HeadFacts]) -> None:
    """DataRefused where on contacts left out no axis of any head, old or calibrated, is much better than the mean
    label.
    """
    said = []
    for fact in facts:
        found_D, mean_D = fact.error(fact.held_out_ND), fact.error(fact.label_ND.mean(0))
        if np.any(found_D < WORST_READ * mean_D):
            return
        said += [
            f"{fact.task.output} {axis} {found / si:.3g} {unit} (mean label {mean / si:.3g})"
            for axis, unit, si, found, mean in zip(
                fact.task.axes, fact.task.units, fact.task.si_scale, found_D, mean_D, strict=True
            )
        ]
    raise DataRefused(
        f"{where}: the error on contacts left out is {', '.join(said)}; on one axis at least it must be below "
        f"{WORST_READ:g} of the mean label's: are these labels of other pictures? Check clock, order, object pose, "
        "region; nothing written"
    )


def check_answers(where: Path, fact: HeadFacts) -> Sequence[str]:
    """Warnings for axes whose calibrated answers, on contacts left out, are no better than the mean label or the old
    head's.
    """
    task = fact.task
    found_D, mean_D = fact.error(fact.held_out_ND), fact.error(fact.label_ND.mean(0))
    kept = [axis for axis, chosen in zip(task.axes, fact.chosen_D, strict=True) if chosen == KEEP]
    note = (
        f"{where}: {task.output}: no better than before on contacts left out: {', '.join(kept)}; the old head is kept"
    )
    return [note] * bool(kept) + [
        f"{where}: {task.output}: {axis} of contacts left out is off by {found / si:.3g} {unit}, the mean label by "
        f"{mean / si:.3g}: labels and pictures may not belong together (stamps, order, frame); compare a few by hand"
        for axis, unit, si, found, mean in zip(task.axes, task.units, task.si_scale, found_D, mean_D, strict=True)
        if found >= mean > 0
    ]


def check_readable(where: Path, adapted: Adapted) -> None:
    """DataRefused for frames without labels further from the training images than simulated units are."""
    found = float(np.median(adapted.unfamiliar_N))
    if found > MOST_UNFAMILIAR:
        raise DataRefused(
            f"{where}: half of the {adapted.frames} pictures are at {found:.1f} times the model's unfamiliar threshold "
            f"or above, allowed {MOST_UNFAMILIAR:g}: no simulated unit is so far off, and the model cannot read them; "
            f"{CHECK}"
        )


def check_adapted(where: Path, head: AdaptedHead, known: Ranges) -> None:
    """DataRefused where answers to frames without labels leave the model's ranges, or cover too little of an axis."""
    task = head.task
    answers_ND = head.after_ND / task.si_scale
    for name, unit, answer_N in zip(task.columns, task.units, answers_ND.T, strict=True):
        if name not in known:
            continue
        first, last = known[name]
        low, high = np.quantile(answer_N, SPREAD)
        margin = OUTSIDE_MARGIN * (last - first)
        outside = float(((answer_N < first - margin) | (answer_N > last + margin)).mean())
        said = f"{where}: {task.output}: answers for {name} would lie at {low:.3g} to {high:.3g} {unit}"
        if outside > MOST_OUTSIDE:
            raise DataRefused(
                f"{said}, {outside:.0%} of them outside the model's {first:.3g} to {last:.3g} (allowed "
                f"{MOST_OUTSIDE:.0%}): the model cannot read them, or they are no contacts of that range; {CHECK}"
            )
        share = (min(high, last) - max(low, first)) / (last - first)
        if share < LEAST_COVERED:
            raise DataRefused(
                f"{said}, {max(share, 0):.0%} of the model's {first:.3g} to {last:.3g} (at least {LEAST_COVERED:.0%} "
                "is needed): record contacts all over the range"
            )

"""Whether pictures and labels can belong together: not one picture again and again, not labels of other pictures."""

from collections.abc import Sequence
from pathlib import Path

from sarl_training.calibration.card import HeadFacts
from sarl_training.errors import DataRefused
from sarl_training.file_hashes import content_hashes

MOST_COPIES = 0.1  # share of the pictures


def check_pictures(where: Path, pictures: Sequence[Path]) -> None:
    """DataRefused where many pictures are the very same one."""
    copies = len(pictures) - len(set(content_hashes(pictures)))
    if copies > MOST_COPIES * len(pictures):
        raise DataRefused(
            f"{where}: {copies} of {len(pictures)} pictures are copies of another one: a camera that stood still, or a "
            "wrong image column; record one picture a contact"
        )


def check_answers(where: Path, fact: HeadFacts) -> Sequence[str]:
    """Warnings for axes whose calibrated answers, on contacts left out, are no better than the mean label."""
    task = fact.task
    found_D, mean_D = fact.error(fact.held_out_ND), fact.error(fact.label_ND.mean(0))
    return [
        f"{where}: {task.output}: {axis} of contacts left out is off by {found / si:.3g} {unit}, the mean label by "
        f"{mean / si:.3g}: labels and pictures may not belong together (stamps, order, frame); compare a few by hand"
        for axis, unit, si, found, mean in zip(task.axes, task.units, task.si_scale, found_D, mean_D, strict=True)
        if found >= mean > 0
    ]

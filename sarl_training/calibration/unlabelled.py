"""Heads for another unit from frames without labels: those of many units, aligned on this unit's frames.

Shapes: N frames, D axes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sarl_training.calibration.many_units import UnitHead
from sarl_training.calibration.model_file import ModelFile
from sarl_training.errors import DataRefused
from sarl_training.tasks import TASKS, Task

LEAST_FRAMES = 30


@dataclass(frozen=True)
class AdaptedHead:
    """One head that changed without labels; SI units."""

    task: Task
    before_ND: np.ndarray
    """Answers of the file as it was."""
    after_ND: np.ndarray
    expected_D: np.ndarray
    """Mean absolute error on simulated units left out, of each only unlabelled contacts known."""
    learned_from: tuple[int, int]
    """Contacts and units."""


@dataclass(frozen=True)
class Adapted:
    """What changes in the model file."""

    numbers: Mapping[str, np.ndarray]
    heads: list[AdaptedHead]
    unfamiliar_N: np.ndarray
    """How unlike the model's training images each frame was before, in multiples of its threshold."""

    @property
    def frames(self) -> int:
        return len(self.unfamiliar_N)


def adapt(model: ModelFile, images: np.ndarray, units: Mapping[str, UnitHead]) -> Adapted:
    """Align the heads of many `units` on frames, uint8 [N, size, size, 3].

    DataRefused for too few of them, or without such heads.
    """
    if len(images) < LEAST_FRAMES:
        raise DataRefused(
            f"{len(images)} frames without labels: at least {LEAST_FRAMES} of contacts all over the range are needed; "
            "record more, or label 10 contacts"
        )
    if not units:
        raise DataRefused(
            f"{model.path}: frames without labels need the file {model.path.stem}.units.npz beside it (how units "
            "differ); learn it (sarl-train calibrate --help), or label 10 or more contacts"
        )
    numbers: dict[str, np.ndarray] = {}
    heads = []
    tasks = {task.output: task for task in TASKS.values()}
    for output, unit_head in units.items():
        head, seen = model.head(output), model.read(images, output, f"{output} features")
        z_NF = head.standardise(seen["phi"].astype(np.float64))
        weight_FD, bias_D = unit_head.aligned(z_NF)
        answers_ND = z_NF @ weight_FD + bias_D
        inside = {"weight_FD": weight_FD, "bias_D": bias_D, "covariance_DD": unit_head.covariance_DD}
        numbers |= {f"heads.{output}.{name}": value for name, value in inside.items()}
        numbers |= model.recentred(seen["channels"])
        heads.append(
            AdaptedHead(
                task=tasks[output],
                before_ND=seen[output].astype(np.float64),
                after_ND=answers_ND,
                expected_D=unit_head.error_D,
                learned_from=(int(unit_head.size[0]), int(unit_head.size[1])),
            )
        )
    return Adapted(numbers, heads, seen["unfamiliarity"] / float(model.contract["unfamiliar_threshold"]))

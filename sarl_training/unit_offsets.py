"""Learning from many units of a sensor: an answer that is off by the same on all contacts of a unit is a small fault.

Calibration on the robot finds that offset; it cannot find what differs from contact to contact.
Shapes: N contacts, B batch, D axes.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

HUBER = 0.05  # standard deviations of the label, where squared error becomes absolute
WITHIN_WEIGHT = 2.0


class UnitSampler:
    """Which contacts each step sees: every epoch the units in a new order, all contacts of a unit together."""

    def __init__(self, unit_N: np.ndarray, batch_size: int, seed: int) -> None:
        self._unit_N = np.unique(unit_N, return_inverse=True)[1]
        self._batch_size, self._seed = batch_size, seed
        self._epoch, self._order_N = -1, np.empty(0, int)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in one pass over the contacts."""
        return len(self._unit_N) // self._batch_size

    def step(self, step: int) -> tuple[int, list[np.ndarray]]:
        """Epoch of step `step` (from 0), and the numbers of its contacts, as `Sampler.step` gives them."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            random = np.random.default_rng((self._seed, epoch))
            rank_U = random.permutation(self._unit_N.max() + 1)
            self._epoch, self._order_N = epoch, np.lexsort((random.random(len(self._unit_N)), rank_U[self._unit_N]))
        return epoch, [self._order_N[position * self._batch_size : (position + 1) * self._batch_size]]


def loss(error_BD: Tensor, unit_B: Tensor) -> Tensor:
    """Huber loss of the errors, and of the errors less the mean of their unit in this batch."""
    names, index_B = unit_B.unique(return_inverse=True)
    sums_UD = torch.zeros(len(names), error_BD.shape[1], device=error_BD.device).index_add(0, index_B, error_BD)
    within_BD = error_BD - (sums_UD / index_B.bincount()[:, None])[index_B]
    return _huber(error_BD) + WITHIN_WEIGHT * _huber(within_BD)


def _huber(error_BD: Tensor) -> Tensor:
    return F.smooth_l1_loss(error_BD, torch.zeros_like(error_BD), beta=HUBER)

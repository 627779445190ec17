"""Which images each step sees."""

import functools
from dataclasses import dataclass

import numpy as np

from sarl_training import distributed


@dataclass(frozen=True)
class Sampler:
    """A new order of the images every epoch, a function of seed and epoch alone; what is left of an epoch is dropped.

    A step's images are split into `parts` of equal size, each of which is shared out to the processes.
    """

    images: int
    batch_size: int
    seed: int
    parts: int = 1

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in one pass over the images."""
        return self.images // self.batch_size

    def step(self, step: int) -> tuple[int, list[np.ndarray]]:
        """Epoch of step `step` (from 0), and the numbers of the images that this process takes of each of its parts."""
        epoch, position = divmod(step, self.steps_per_epoch)
        samples_B = _order(self.images, self.seed, epoch)[position * self.batch_size : (position + 1) * self.batch_size]
        shares = np.split(samples_B, self.parts * distributed.world_size())
        return epoch, shares[distributed.rank() :: distributed.world_size()]


@functools.lru_cache(maxsize=2)
def _order(images: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(images)

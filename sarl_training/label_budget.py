"""So many labels and no more: what a lab has that labels a few contacts."""

from dataclasses import replace

import numpy as np

from sarl_training.dataset import Table
from sarl_training.errors import UsageError

UNUSED = "unused"
LEAST = 8


def with_labels(table: Table, count: int, seed: int) -> Table:
    """The same rows with all but `count` of train and val, in their own proportion, moved to the split `unused`.

    With one seed a larger budget holds every smaller one's train. UsageError when there are fewer, or under 8 asked.
    """
    train, val = (np.flatnonzero(table.split == name) for name in ("train", "val"))
    if not LEAST <= count <= len(train) + len(val):
        raise UsageError(
            f"--labels {count}: {table.path} has {len(train) + len(val)} samples in train and val; "
            f"choose {LEAST} to that"
        )
    for_val = max(round(count * len(val) / (len(train) + len(val))), 2)
    rng = np.random.default_rng(seed)
    left_out = [rng.permutation(train)[count - for_val :], rng.permutation(val)[for_val:]]
    kept_N = ~np.isin(np.arange(len(table)), np.concatenate(left_out))
    return replace(table, split=np.where(kept_N, table.split, UNUSED))

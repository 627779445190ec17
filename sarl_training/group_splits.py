"""Which split each group of images goes to: once, seeded, whole groups only."""

import hashlib
from collections.abc import Mapping

import numpy as np

from sarl_training.errors import DataRefused


def assign_splits(
    strata: Mapping[str, str], provided: Mapping[str, str], shares: tuple[float, float, float], seed: int
) -> dict[str, str]:
    """Group -> train, val or test. `strata` maps each group to what must be spread evenly (its class).

    Groups with a `provided` split keep it; where the source has train and only one held-out split, that one is shared
    out between val and test, and nothing crosses into train. DataRefused when only some groups have one.
    """
    if not provided:
        return {group: split for members in _by_stratum(strata) for group, split in _share(members, shares, seed)}
    if missing := [group for group in strata if group not in provided]:
        raise DataRefused(f"group {missing[0]}: in no split, while others are in train or val; move or ingest it apart")
    splits = dict(provided)
    held_out = {split for split in splits.values() if split != "train"}
    if len(held_out) == 1:
        mine = {group: stratum for group, stratum in strata.items() if splits[group] != "train"}
        for members in _by_stratum(mine):
            splits |= dict(_share(members, (0.0, 0.5, 0.5), seed))
    return splits


def _by_stratum(strata: Mapping[str, str]) -> list[list[str]]:
    members: dict[str, list[str]] = {}
    for group, stratum in sorted(strata.items()):
        members.setdefault(stratum, []).append(group)
    return [members[stratum] for stratum in sorted(members)]


def _share(groups: list[str], shares: tuple[float, float, float], seed: int) -> list[tuple[str, str]]:
    """Shuffled by the seed and the groups' names; val and test get at least one group each where there are three."""
    digest = hashlib.sha256("\0".join([str(seed), *groups]).encode()).digest()
    shuffled = np.random.default_rng(list(digest)).permutation(groups).tolist()
    train, count = shares[0], len(shuffled)
    least = 1 if count >= 3 or train == 0 else 0
    test = max(round(shares[2] * count), least)
    val = max(round(shares[1] * count), least) if count > test else 0
    if train == 0:
        val = count - test
    return [(group, "test" if i < test else "val" if i < test + val else "train") for i, group in enumerate(shuffled)]

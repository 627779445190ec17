"""Unfamiliarity is the Mahalanobis distance, its threshold keeps its false alarms, and covariances grow as fitted."""

import numpy as np
import pytest
import torch

from sarl_training.familiarity import SHRINKAGE, channel_statistics, fit_familiarity, fit_growth
from sarl_training.model_measurement import auroc
from sarl_training.unlike_frames import SAME_CONTACT, UNLIKE


def samples(count: int, seed: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    mixing = torch.randn(5, 5, generator=torch.Generator().manual_seed(9))
    return torch.randn(count, 5, generator=random) @ mixing + 3


def test_channel_statistics_are_mean_and_spread_of_each_channel() -> None:
    maps = torch.randn(2, 3, 4, 5), torch.randn(2, 1, 2, 2)
    expected = [f(m.numpy(), axis=(2, 3)) for m in maps for f in (np.mean, np.std)]
    assert channel_statistics(*maps).numpy() == pytest.approx(np.concatenate(expected, 1), abs=1e-6)


def test_unfamiliarity_is_the_mahalanobis_distance() -> None:
    train, val, probe = samples(400, 0), samples(200, 1), samples(30, 2) * 2
    found = fit_familiarity(train, val)(probe).numpy()
    x = train.double().numpy()
    std = x.std(0)
    correlation = np.cov(x.T / std[:, None], bias=True) + SHRINKAGE * np.eye(5)
    z = (probe.double().numpy() - x.mean(0)) / std
    assert found == pytest.approx(np.sqrt(np.einsum("nc,cd,nd->n", z, np.linalg.inv(correlation), z) / 5), rel=1e-4)


def test_one_in_a_hundred_held_out_frames_passes_the_threshold() -> None:
    val = samples(1000, 1)
    familiarity = fit_familiarity(samples(400, 0), val)
    assert (familiarity(val) > familiarity.threshold).float().mean() == pytest.approx(0.01, abs=0.002)
    assert familiarity(samples(1000, 5)).square().mean() == pytest.approx(1, rel=0.1), "about 1 for its own kind"


def test_a_constant_channel_that_moves_is_seen() -> None:
    train = torch.cat([samples(400, 0), torch.ones(400, 1)], 1)
    familiarity = fit_familiarity(train, train)
    moved = train[:1].clone()
    moved[0, 5] += 0.1
    assert familiarity(moved) > 10 * familiarity.threshold


def test_growth_is_one_up_to_the_threshold_and_covers_errors_beyond() -> None:
    random = np.random.default_rng(0)
    ratio = random.uniform(0.5, 6, 4000)
    nees = random.chisquare(3, 4000) * (1 + 20 * np.maximum(ratio - 1, 0))
    assert fit_growth(torch.from_numpy(nees), 3, torch.from_numpy(ratio)) == pytest.approx(20, rel=0.13)
    assert fit_growth(torch.from_numpy(nees), 3, torch.full((4000,), 0.5)) == 0
    familiarity = fit_familiarity(samples(400, 0), samples(200, 1)).with_growth({"force": 2.0})
    score = torch.tensor([0.2, 1.0, 3.0]) * familiarity.threshold
    assert familiarity.growth("force", score).tolist() == pytest.approx([1, 1, 5], rel=1e-5)


def test_auroc_agrees_with_counting_pairs() -> None:
    random = np.random.default_rng(0)
    low, high = random.integers(0, 9, 40).astype(float), random.integers(2, 12, 30).astype(float)
    pairs = (high[:, None] > low) + 0.5 * (high[:, None] == low)
    assert auroc(low, high) == pytest.approx(pairs.mean())


@pytest.mark.parametrize("name", UNLIKE)
def test_spoilt_frames_are_other_frames_of_the_same_shape(name: str) -> None:
    images = np.random.default_rng(0).integers(40, 200, (3, 24, 24, 3), np.uint8)
    spoilt = UNLIKE[name](images, np.random.default_rng(1))
    assert spoilt.shape == images.shape and spoilt.dtype == np.uint8
    assert np.array_equal(spoilt, UNLIKE[name](images, np.random.default_rng(1)))
    assert np.abs(spoilt.astype(int) - images).mean() > 3
    assert set(SAME_CONTACT) < set(UNLIKE)

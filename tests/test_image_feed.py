"""Batches reach the device as they lie in the cache, each sample where the sampler says, in memory that stays small."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sarl_training import distributed
from sarl_training.errors import DataRefused
from sarl_training.image_feed import OnDevice, Streamed, open_feed
from sarl_training.sampler import Sampler

CPU = torch.device("cpu")


@pytest.fixture
def pool(tmp_path: Path) -> np.memmap:
    images = np.memmap(tmp_path / "pool.rgb", np.uint8, "w+", shape=(23, 8, 8, 3))
    images[:] = np.random.default_rng(0).integers(0, 256, images.shape)
    images.flush()
    return images


@pytest.mark.parametrize("feed", [Streamed, OnDevice])
def test_a_batch_holds_the_images_asked_for(feed: type, pool: np.memmap) -> None:
    feed = feed(pool, CPU)
    asked = [np.array([3, 22, 0, 3]), np.array([7]), np.arange(23)]
    for samples_B in asked[:2]:
        feed.expect(samples_B)
        feed.expect(samples_B)
    for samples_B in (asked[1], asked[0], asked[2], asked[0]):  # expected in another order, or not at all
        batch = feed.take(samples_B)
        assert batch.dtype == torch.uint8
        assert np.array_equal(batch.numpy(), pool[samples_B])


def test_an_array_with_a_header_is_read_after_it(pool: np.memmap, tmp_path: Path) -> None:
    np.save(tmp_path / "pool.npy", pool)
    feed = open_feed(np.load(tmp_path / "pool.npy", mmap_mode="r"), CPU)
    assert np.array_equal(feed.take(np.array([5, 1])).numpy(), pool[[5, 1]])


def test_a_pool_stays_readable_when_the_cache_drops_it_and_is_refused_when_cut(pool: np.memmap) -> None:
    feed = Streamed(pool, CPU)
    Path(pool.filename).rename(Path(pool.filename).with_suffix(".old"))
    assert np.array_equal(feed.take(np.array([4])).numpy(), pool[[4]])
    with Path(pool.filename).with_suffix(".old").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(DataRefused, match="cut short at image 22"):
        feed.take(np.array([0, 22]))


PEAK = """
import resource, sys
import numpy as np, torch
from sarl_training.image_feed import open_feed
from sarl_training.sampler import Sampler
images = np.memmap(sys.argv[1], np.uint8, "r", shape=(int(sys.argv[2]), 64, 64, 3))
feed, sampler = open_feed(images, torch.device("cpu")), Sampler(len(images), 64, 0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for step in range(sampler.steps_per_epoch):
    feed.expect(sampler.step(step)[1][0])
    feed.take(sampler.step(step)[1][0]).sum()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_does_not_grow_with_the_pool(tmp_path: Path) -> None:
    """An epoch over 150 MB takes as little memory as one over 15 MB: what is resident, mapped files included."""
    grown_kb = {}
    for images in (1_200, 12_000):
        file = tmp_path / f"{images}.rgb"
        with file.open("wb") as pixels:
            pixels.truncate(images * 64 * 64 * 3)
        words = [sys.executable, "-c", PEAK, str(file), str(images)]
        grown_kb[images] = int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    assert grown_kb[12_000] - grown_kb[1_200] < 8_000, grown_kb


def test_every_epoch_has_its_own_order_and_every_image_comes_once() -> None:
    sampler = Sampler(images=23, batch_size=8, seed=0)
    assert sampler.steps_per_epoch == 2
    epochs = [[sampler.step(step) for step in (2 * epoch, 2 * epoch + 1)] for epoch in range(3)]
    assert [epoch for steps in epochs for epoch, _ in steps] == [0, 0, 1, 1, 2, 2]
    orders = [np.concatenate([parts[0] for _, parts in steps]).tolist() for steps in epochs]
    assert all(len(set(order)) == 16 for order in orders) and len(set(map(tuple, orders))) == 3
    assert orders[1] != np.concatenate([Sampler(23, 8, seed=1).step(step)[1][0] for step in (2, 3)]).tolist()
    assert np.array_equal(sampler.step(3)[1][0], Sampler(23, 8, seed=0).step(3)[1][0])


@pytest.mark.parametrize(("parts", "world"), [(1, 1), (2, 1), (1, 4), (2, 2)])
def test_parts_and_processes_share_out_the_same_batch(parts: int, world: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Sampler(40, 16, seed=3).step(1)[1][0]
    shares = {}
    monkeypatch.setattr(distributed, "world_size", lambda: world)
    for rank in range(world):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        shares[rank] = Sampler(40, 16, seed=3, parts=parts).step(1)[1]
    # In the order of parts, then of ranks: losses gather a part's samples in the order of the batch.
    together = np.concatenate([shares[rank][part] for part in range(parts) for rank in range(world)])
    assert np.array_equal(together, whole)

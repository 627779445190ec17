"""Two processes that train together do what one with the whole batch does."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_methods import small_flags
from tiny_dataset import bar_image
from torch import nn

from sarl_training import distributed, fabric
from sarl_training.errors import UsageError
from sarl_training.methods import METHODS
from sarl_training.networks import load_encoder
from sarl_training.sync_batch_norm import _SyncBatchNorm, synchronise_batch_norms

TRAIN_MANY = Path(__file__).with_name("train_many.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
UNLIKE = {"step", "epoch", "time", "images_per_second", "memory_peak_mb"}


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    """A folder that goes with the test: checkpoints are large."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def draw_images(folder: Path, count: int) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(count):
        image = bar_image(*rng.uniform((-1, -45), (1, 45))) + rng.integers(0, 6, (40, 40, 3))
        Image.fromarray(image.astype(np.uint8)).save(folder / f"{index:03d}.png")
    return folder


def train(launcher: list[str], out: Path, images: Path, method: str, *flags: str) -> subprocess.CompletedProcess:
    common = "--image-size 32 --probe-every 0 --device cpu --precision float32 --checkpoint-minutes 60"
    words = [*launcher, str(TRAIN_MANY), str(out), str(images), *common.split(), *flags]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*words, "--", method, *small_flags(method)], env=environment, capture_output=True, text=True, check=False
    )


def story(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in UNLIKE} for line in lines]


def assert_agree(one: Path, two: Path, lines: int) -> None:
    """What the networks compute, not every weight: a bias before a batch norm has no gradient but rounding."""
    assert len(story(one)) == len(story(two)) == lines
    for line, (left, right) in enumerate(zip(story(one), story(two), strict=True), start=1):
        assert right == pytest.approx(left, rel=1e-4, abs=1e-7), f"line {line}"
    images_BCHW = torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        left_BD, right_BD = (load_encoder(run)[0](images_BCHW).embedding_BD for run in (one, two))
    assert float((left_BD - right_BD).norm() / left_BD.norm()) < 1e-4


def check_two_processes(method: str, out: Path, batch: int, epochs: int, steps_per_epoch: int, log_every: int) -> None:
    images = draw_images(out / "images", batch * steps_per_epoch)
    flags = ("--batch-size", str(batch), "--epochs", str(epochs), "--log-every", str(log_every))
    lines = epochs * steps_per_epoch // log_every
    for name, launcher in (("one", [sys.executable]), ("two", TORCHRUN)):
        done = train(launcher, out / name, images, method, *flags)
        assert done.returncode == 0, done.stderr[-2000:]
    assert_agree(out / "one" / method, out / "two" / method, lines)

    # What two processes began, one ends in the same way.
    max((out / "two" / method / "checkpoints").iterdir()).unlink()
    done = train([sys.executable], out / "two", images, method, *flags, "--resume")
    assert done.returncode == 0, done.stderr[-2000:]
    assert_agree(out / "one" / method, out / "two" / method, lines)


def test_two_processes_do_what_one_does(out: Path) -> None:
    check_two_processes("sarl", out, batch=8, epochs=2, steps_per_epoch=1, log_every=1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("method", METHODS)
def test_two_times_32_equals_64_after_20_steps(method: str, out: Path) -> None:
    check_two_processes(method, out, batch=64, epochs=2, steps_per_epoch=10, log_every=5)


@pytest.mark.slow
def test_processes_that_fail_say_why_once(out: Path) -> None:
    done = train(TORCHRUN, out / "run", draw_images(out / "images", 12), "byol", "--batch-size", "9")
    assert done.returncode != 0
    assert done.stderr.count("sarl-train:") == 1
    assert "--batch-size 9: cannot be split into 1 parts (--accumulate) for each of 2 processes" in done.stderr
    assert not (out / "run").exists()


@pytest.mark.parametrize(
    ("norm", "shape"), [(nn.BatchNorm1d(5), (8, 5)), (nn.BatchNorm2d(5, affine=False), (8, 5, 3, 2))]
)
def test_a_synchronised_batch_norm_is_the_batch_norm(norm: nn.Module, shape: tuple[int, ...]) -> None:
    """Output, gradients and buffers, in one process; that several see one batch is tested above."""
    torch.manual_seed(0)
    x = [(3 + 2 * torch.randn(shape)).requires_grad_() for _ in range(2)]
    x[1].data.copy_(x[0].data)
    other = _SyncBatchNorm.sharing(type(norm)(5, affine=norm.affine))
    out = [module(value) for module, value in zip((norm, other), x, strict=True)]
    torch.testing.assert_close(out[0], out[1], rtol=1e-5, atol=1e-6)
    for value in out:
        (value * torch.arange(value.numel()).view_as(value).sin()).sum().backward()
    torch.testing.assert_close(x[0].grad, x[1].grad, rtol=1e-4, atol=1e-6)
    for left, right in zip([*norm.parameters(), *norm.buffers()], [*other.parameters(), *other.buffers()], strict=True):
        torch.testing.assert_close(left, right)
    torch.testing.assert_close(norm.eval()(x[0]), other.eval()(x[0]), rtol=1e-5, atol=1e-6)


def test_batch_norms_keep_their_names_and_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4), nn.ReLU()))
    names, parameters = list(module.state_dict()), list(module.parameters())
    assert type(synchronise_batch_norms(module, torch.device("cpu"))[1][0]) is nn.BatchNorm2d, "alone"
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    synchronise_batch_norms(module, torch.device("cpu"))
    assert type(module[1][0]) is _SyncBatchNorm
    assert list(module.state_dict()) == names
    assert all(left is right for left, right in zip(module.parameters(), parameters, strict=True))


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "2")
    with pytest.raises(UsageError, match="2 processes on this machine, 1 GPUs are visible"):
        fabric.launch("cuda", "float32")


def test_one_process_needs_no_group() -> None:
    assert fabric.launch("cpu", "float32").world_size == distributed.world_size() == 1
    assert distributed.rank() == 0

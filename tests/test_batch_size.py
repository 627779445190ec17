"""Batches split into parts, batches found by measurement, and what is said when memory runs out."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tiny_dataset import bar_image

from sarl_training import batch_size, pretrain
from sarl_training.batch_size import available_memory, largest_batch
from sarl_training.device import is_out_of_memory
from sarl_training.errors import RunFailed, UsageError
from sarl_training.fabric import launch
from sarl_training.image_feed import ImageFeed
from sarl_training.methods import METHODS
from sarl_training.optim import build_optimiser
from sarl_training.pretraining import Pretraining
from sarl_training.run_folder import RunFolder
from sarl_training.sampler import Sampler


class Given(ImageFeed):
    """Images of a tensor."""

    def __init__(self, images_NHWC: torch.Tensor) -> None:
        self.images_NHWC = images_NHWC

    def take(self, samples_B: np.ndarray) -> torch.Tensor:
        return self.images_NHWC[torch.from_numpy(samples_B)]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for index in range(17):
        Image.fromarray(bar_image(index / 8 - 1, 5 * index)).save(folder / f"{index:03d}.png")
    return folder


def words(images: Path, out: Path, *more: str) -> list[str]:
    common = "--image-size 32 --epochs 1 --device cpu --probe-every 0 --precision float32"
    return ["byol", "--data", str(images), "--out", str(out), *common.split(), *more]


def loop(config: pretrain.PretrainConfig, images_NHWC: torch.Tensor) -> Pretraining:
    torch.manual_seed(0)
    method = METHODS["byol"](METHODS["byol"].Config())
    method.eval()  # without batch statistics parts are the same as the whole
    optimiser = build_optimiser(method, config.optim)
    sampler = Sampler(len(images_NHWC), config.batch_size, config.seed, config.accumulate)
    fabric = launch("cpu", "float32")
    return Pretraining(config, RunFolder(config.out), fabric, Given(images_NHWC), sampler, method, optimiser, {})


def test_parts_add_up_to_the_batch(tmp_path: Path) -> None:
    """Terms, and gradients of the mean, where no batch norm looks at a part by itself."""
    images_NHWC = torch.from_numpy(np.stack([bar_image(x, 40 * x, size=32) for x in np.linspace(-1, 1, 8)]))
    whole = pretrain.parse(words(tmp_path, tmp_path, "--batch-size", "8"))
    terms, gradients = [], []
    for config in (whole, replace(whole, accumulate=4)):
        pretraining = loop(config, images_NHWC)
        terms.append(pretraining.take_step(measure=False)[0])
        gradients.append([p.grad for p in pretraining.method.parameters() if p.grad is not None])
    assert terms[0]["loss"].item() == pytest.approx(terms[1]["loss"].item(), rel=1e-5)
    for left, right in zip(*gradients, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-3, atol=1e-3 * float(left.abs().max()))


@pytest.mark.parametrize(
    "more", [("--batch-size", "8", "--accumulate", "3"), ("--accumulate", "8", "--batch-size", "8")]
)
def test_a_batch_that_cannot_be_split_is_refused(more: tuple[str, ...], images: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--batch-size 8: cannot be split .* choose a multiple of"):
        pretrain.run(pretrain.parse(words(images, tmp_path / "run", *more)))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("free_mb", "expected"), [(50_000, 1024), (10_000, 512), (2_000, 64), (600, 8), (500, None)])
def test_auto_takes_the_largest_batch_that_there_is_memory_for(
    free_mb: int, expected: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against made-up steps of 400 MB and 8 MB an image, of which the process keeps 200 MB after the first."""
    config = pretrain.parse(words(tmp_path, tmp_path, "--batch-size", "auto"))
    tried = []

    def status(name: str) -> float:
        if name == "VmRSS":
            return 1e9 + 200e6 * bool(tried)
        return 1e9 + 400e6 + max(tried) * 8e6

    monkeypatch.setattr(batch_size, "_status", status)
    monkeypatch.setattr(batch_size, "_take_step", lambda config, size, fabric: tried.append(size))
    monkeypatch.setattr(batch_size, "available_memory", lambda: free_mb * 10**6)
    fabric = launch("cpu", "float32")
    if expected is None:
        with pytest.raises(RunFailed, match="not even 8 images of 32 px fit"):
            largest_batch(config, 2000, fabric)
    else:
        assert largest_batch(config, 2000, fabric) == expected
        assert 400 + max(tried) * 8 <= 0.8 * free_mb


def test_auto_leaves_two_images_in_each_part(images: Path, tmp_path: Path) -> None:
    config = pretrain.parse(words(images, tmp_path, "--batch-size", "auto", "--accumulate", "8"))
    assert largest_batch(config, 17, launch("cpu", "float32")) == 16


def test_the_number_that_auto_finds_is_recorded_and_resumed(images: Path, tmp_path: Path, capsys) -> None:
    assert available_memory() > 2**20
    out = tmp_path / "run"
    pretrain.run(pretrain.parse(words(images, out, "--batch-size", "auto")))
    assert "--batch-size auto: 16\n" in capsys.readouterr().out
    assert yaml.safe_load((out / "config.yaml").read_text())["batch_size"] == 16
    pretrain.run(pretrain.parse(["byol", "--out", str(out), "--resume", "--batch-size", "auto"]))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


@pytest.mark.slow
def test_running_out_of_memory_is_one_line_that_says_what_to_change(images: Path, tmp_path: Path) -> None:
    """The real command under a limit on its address space that a step of 1024 px does not fit into."""
    script = (
        "import resource, sys, torch; torch.set_num_threads(1); import sarl_training.pretrain\n"
        "from sarl_training.cli import main\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 1_500_000_000,) * 2)\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    flags = words(images, tmp_path / "run", "--batch-size", "16")
    flags[flags.index("--image-size") + 1] = "1024"
    done = subprocess.run(
        [sys.executable, "-c", script, "pretrain", *flags], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if line.startswith("sarl-train:")]
    assert done.returncode == 1 and len(complaints) == 1
    assert "out of memory at --batch-size 16" in complaints[0] and "--accumulate" in complaints[0]

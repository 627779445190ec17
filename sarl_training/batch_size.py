"""`--batch-size auto`: the largest power of two that a step has memory for, found by taking steps."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sarl_training.device import is_out_of_memory
from sarl_training.errors import RunFailed, UsageError
from sarl_training.image_feed import ImageFeed
from sarl_training.methods import METHODS
from sarl_training.optim import build_optimiser
from sarl_training.pretrain_config import PretrainConfig
from sarl_training.pretraining import Pretraining
from sarl_training.run_folder import RunFolder
from sarl_training.sampler import Sampler

if TYPE_CHECKING:
    from lightning.fabric import Fabric

logger = logging.getLogger(__name__)

SIZES = tuple(2**power for power in range(3, 11))  # 8 to 1024: larger ones need other learning rates
MEMORY_SHARE = 0.8  # of what is free; measuring, probing and fragments take the rest
_MEASURED = 128  # images in the largest step that is tried on a CPU: more would take minutes
_STEEPER = 1.5  # two small steps said as little as 0.7 of what an image takes: there the optimiser is the peak


def largest_batch(config: PretrainConfig, images: int, fabric: Fabric) -> int:
    """Images per step. `images` is the size of the pool, which no batch exceeds.

    On a GPU by trying; on a CPU, where trying too much would end the process, from small steps and what is free.

    Raises UsageError with several processes or where Linux does not tell the memory, RunFailed if not even the
    smallest fits.
    """
    if fabric.world_size > 1:
        raise UsageError("--batch-size auto: not with several processes; find it with one, and give a number")
    least = 2 * config.accumulate  # batch norms need two images in each part
    sizes = [size for size in SIZES if least <= size <= images and size % config.accumulate == 0]
    if not sizes:
        raise UsageError(f"--batch-size auto: none of {SIZES} goes with {images} images; give a number")
    fits = _fit_on_gpu if fabric.device.type == "cuda" else _fit_on_cpu
    fitting = fits(config, sizes, fabric)
    if not fitting:
        raise RunFailed(
            f"--batch-size auto: not even {sizes[0]} images of {config.image_size} px fit into memory; "
            "lower --image-size, or raise --accumulate"
        )
    print(f"--batch-size auto: {fitting[-1]}")
    return fitting[-1]


def _fit_on_gpu(config: PretrainConfig, sizes: list[int], fabric: Fabric) -> list[int]:
    limit = MEMORY_SHARE * torch.cuda.mem_get_info(fabric.device)[0]
    fitting = []
    for size in sizes:
        torch.cuda.reset_peak_memory_stats(fabric.device)
        before = torch.cuda.memory_allocated(fabric.device)
        try:
            _take_step(config, size, fabric)
            needed = torch.cuda.max_memory_reserved(fabric.device) - before
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            needed = limit + 1
        gc.collect()
        torch.cuda.empty_cache()
        if needed > limit:
            break
        fitting.append(size)
    torch.cuda.reset_peak_memory_stats(fabric.device)
    return fitting


def _fit_on_cpu(config: PretrainConfig, sizes: list[int], fabric: Fabric) -> list[int]:
    """No step is tried, and none chosen, that the steps before it say might not fit."""
    limit = MEMORY_SHARE * available_memory()
    Path("/proc/self/clear_refs").write_text("5")  # starts the peak anew
    before = _status("VmRSS")
    measured: list[tuple[int, float]] = []  # images in a part of a step, bytes at its peak
    fitting = []
    for size in sizes:
        part = size // config.accumulate
        if measured and _expected_peak(measured, part) > limit:
            break
        if part <= _MEASURED:
            try:
                _take_step(config, size, fabric)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                break
            gc.collect()
            measured.append((part, _status("VmHWM") - before))
            if measured[-1][1] > limit:
                break
        fitting.append(size)
    return fitting


def _expected_peak(measured: Sequence[tuple[int, float]], part: int) -> float:
    """Bytes, on the safe side: in proportion to one step, or along the line through the last two, drawn steeper."""
    last, peak = measured[-1]
    if len(measured) == 1:
        return peak * part / last
    smaller, below = measured[-2]
    slope = max(peak - below, 0) / (last - smaller)
    logger.info("batch size: %d images take %.0f MB, each more %.2f MB", last, peak / 1e6, slope / 1e6)
    return peak + _STEEPER * slope * (part - last)


def available_memory() -> int:
    """Bytes that this process could still take: what the machine has free, or its control group if that is less."""
    try:
        free = _field(Path("/proc/meminfo"), "MemAvailable")
    except OSError as error:
        raise UsageError("--batch-size auto: on a CPU it needs Linux; give a number") from error
    group = Path("/sys/fs/cgroup")
    limit, used = group / "memory.max", group / "memory.current"
    if limit.exists() and (text := limit.read_text().strip()) != "max":
        free = min(free, int(text) - int(used.read_text()))
    return free


def _status(name: str) -> int:
    return _field(Path(f"/proc/{os.getpid()}/status"), name)


def _field(file: Path, name: str) -> int:
    """A line `Name:  123 kB` of the kernel's, in bytes."""
    line = next(line for line in file.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


class _Blank(ImageFeed):
    """Images for a step whose result nobody wants."""

    def __init__(self, size: int, device: torch.device) -> None:
        self.size, self.device = size, device

    def take(self, samples_B: np.ndarray) -> Tensor:
        return torch.zeros((len(samples_B), self.size, self.size, 3), dtype=torch.uint8, device=self.device)


def _take_step(config: PretrainConfig, size: int, fabric: Fabric) -> None:
    config = replace(config, batch_size=size)
    method = fabric.to_device(METHODS[config.method_name](config.method))
    optimiser = build_optimiser(method, config.optim, method.spared(), method.steady())
    sampler = Sampler(size, size, config.seed, config.accumulate)
    feed = _Blank(config.image_size, fabric.device)
    Pretraining(config, RunFolder(config.out), fabric, feed, sampler, method, optimiser, {}).take_step(measure=True)

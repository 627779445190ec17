"""A training step never waits for the device: it reads no tensor's value, nor makes shapes depend on one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small_methods import SMALL
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from sarl_training import fabric
from sarl_training.image_feed import ImageFeed
from sarl_training.methods import METHODS
from sarl_training.optim import build_optimiser
from sarl_training.pretrain import parse
from sarl_training.pretraining import Pretraining
from sarl_training.run_folder import RunFolder
from sarl_training.sampler import Sampler

BATCH, PX = 4, 32
WAITS = {"aten._local_scalar_dense", "aten.nonzero", "aten.masked_select", "aten.equal", "aten.unique2"}


class Waited(Exception):
    pass


class NoWaiting(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if str(function.overloadpacket) in WAITS:
            raise Waited(function)
        return function(*args, **(kwargs or {}))


class Blank(ImageFeed):
    def take(self, samples_B: np.ndarray) -> Tensor:
        return torch.zeros((len(samples_B), PX, PX, 3), dtype=torch.uint8)


def loop_of(name: str) -> Pretraining:
    flags = f"--data d --out o --preset paper --image-size {PX} --batch-size {BATCH} --epochs 1 --device cpu"
    config = parse([name, *flags.split()])
    method = METHODS[name](METHODS[name].Config(**SMALL.get(name, {})))
    optimiser = build_optimiser(method, config.optim, method.spared(), method.steady())
    launched, sampler = fabric.launch("cpu", "float32"), Sampler(2 * BATCH, BATCH, 0)
    return Pretraining(config, RunFolder(Path("o")), launched, Blank(), sampler, method, optimiser, {})


@pytest.mark.parametrize("name", METHODS)
def test_a_step_reads_nothing_back(name: str) -> None:
    loop = loop_of(name)
    with NoWaiting():
        for _ in range(2):
            loop.meter.add(loop.take_step(measure=False)[0], BATCH)
        with pytest.raises(Waited):
            loop.meter.take()

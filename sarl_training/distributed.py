"""What the processes of one training run exchange. A process alone exchanges with nobody and gets its own back.

Every process takes its contiguous share of each global batch, in the order of ranks, and gradients of parameters are
averaged over processes (DistributedDataParallel). The backward passes here are such that the average is the gradient
of the mean of the processes' losses, so that W processes with B images each learn what one with W B images learns.
"""

import os

import torch
from torch import Tensor
from torch import distributed as dist


def world_size() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


def total(x: Tensor) -> Tensor:
    """Sum over processes, elementwise; differentiable."""
    return _Total.apply(x) if world_size() > 1 else x


def gather(x_BD: Tensor) -> Tensor:
    """Rows of all processes in the order of ranks, W B × …; every process must have as many. Differentiable."""
    return _Gather.apply(x_BD) if world_size() > 1 else x_BD


def mean_of_counted(values_B: Tensor, counted_B: Tensor) -> Tensor:
    """Mean over the samples of all processes that are counted, 0 if none is.

    What a process returns are its own samples' values over the mean count of the processes: the average over processes
    is the mean.
    """
    counted_B = counted_B.to(values_B.dtype)
    counts = total(counted_B.sum().detach())
    return (values_B * counted_B).sum() * world_size() / counts.clamp_min(1)


def leave() -> None:
    """End the exchange in good order, once nobody waits for anybody."""
    if world_size() > 1:
        dist.destroy_process_group()


def first_to_fail() -> bool:
    """Whether this process, started by torchrun, is the first to ask: the one to say why the run ends.

    The others end because it did, or find the same fault.
    """
    try:
        store = dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
        return store.add(f"sarl-train/failed/{os.environ['TORCHELASTIC_RESTART_COUNT']}", 1) == 1
    except RuntimeError:  # nobody keeps the store any more
        return os.environ["RANK"] == "0"


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(context: object, x: Tensor) -> Tensor:
        x = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(context: object, gradient: Tensor) -> Tensor:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        return gradient


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context: object, x_BD: Tensor) -> Tensor:
        parts = [torch.empty_like(x_BD, memory_format=torch.contiguous_format) for _ in range(world_size())]
        dist.all_gather(parts, x_BD.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: object, gradient_ND: Tensor) -> Tensor:
        gradient_ND = gradient_ND.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient_ND)
        return gradient_ND.chunk(world_size())[rank()]

"""The target network: a slow copy of the online one (the paper's Eq. 1)."""

import copy

import torch
from torch import nn


class TargetNetwork(nn.Module):
    """Exponential moving average of a module's parameters; without gradient.

    Batch-norm buffers are not averaged: the target stays in train mode and normalises with its own batch, as in BYOL.
    """

    def __init__(self, online: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(online).requires_grad_(False)

    @torch.no_grad()
    def forward(self, *inputs: object) -> object:
        return self.network(*inputs)

    @torch.no_grad()
    def update(self, online: nn.Module, decay: float) -> None:
        """xi <- decay xi + (1 - decay) theta; call it after the optimiser's step."""
        torch._foreach_lerp_(list(self.network.parameters()), [p.detach() for p in online.parameters()], 1 - decay)


class AveragedTarget(TargetNetwork):
    """A target whose batch norms use averages over training, not its batch (EMAN, Cai et al. 2021): its outputs carry
    no trace of the batch.

    The average of the statistics is a plain one until the exponential one has as long a memory: it starts from none.
    """

    def __init__(self, online: nn.Module) -> None:
        super().__init__(online)
        self.network.eval()
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def train(self, mode: bool = True) -> "AveragedTarget":
        """The network stays in eval mode."""
        super().train(mode)
        self.network.eval()
        return self

    @torch.no_grad()
    def update(self, online: nn.Module, decay: float) -> None:
        """Parameters and batch-norm statistics."""
        super().update(online, decay)
        self.updates += 1
        share = (1 / self.updates).clamp_min(1 - decay)
        for own, other in zip(self.network.buffers(), online.buffers(), strict=True):
            if own.is_floating_point():
                own.lerp_(other, share)

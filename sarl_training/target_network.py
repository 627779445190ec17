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

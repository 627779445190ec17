"""LARS (You et al. 2017), as lightly has it, for all parameters at once and without waiting for the device."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

MOMENTUM, TRUST, _EPSILON = 0.9, 0.001, 1e-8


class LARS(torch.optim.Optimizer):
    """SGD with momentum; a decayed parameter moves in proportion to its norm, one that is not decayed as in SGD.

    lightly's reads two norms of every parameter back to the CPU in every step.
    """

    def __init__(self, parameters: Iterable[Any], lr: float) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One step on the gradients that are there; `closure` is not called."""
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            updates = [p.grad for p in parameters]
            if group["weight_decay"]:
                updates = _in_proportion(parameters, updates, group["weight_decay"])
            velocities = [self._velocity(p) for p in parameters]
            torch._foreach_mul_(velocities, MOMENTUM)
            torch._foreach_add_(velocities, updates)
            torch._foreach_add_(parameters, velocities, alpha=-group["lr"])

    def _velocity(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        return state["momentum_buffer"]


def _in_proportion(parameters: list[Tensor], gradients: list[Tensor], weight_decay: float) -> list[Tensor]:
    """Decayed gradients times trust · |p| / (|g| + decay · |p|); as they are where p is 0, none where g is 0."""
    size_N = torch.stack(torch._foreach_norm(parameters))
    slope_N = torch.stack(torch._foreach_norm(gradients))
    rate_N = size_N / (slope_N + size_N * weight_decay + _EPSILON) * TRUST
    rate_N = torch.where(slope_N == 0, 0.0, torch.where(size_N == 0, 1.0, rate_N))
    updates = torch._foreach_add(gradients, parameters, alpha=weight_decay)
    torch._foreach_mul_(updates, list(rate_N.unbind()))
    return updates

"""Optimiser, parameter groups and learning-rate schedule."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from sarl_training.errors import UsageError


@dataclass(frozen=True)
class OptimConfig:
    """AdamW with default moments (0.9, 0.999)."""

    lr: float = 1e-3
    """Peak learning rate."""
    weight_decay: float = 1e-4
    """Decoupled weight decay."""
    decay_all: bool = False
    """Decay every parameter; otherwise batch norms, biases and prototypes are spared."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """How the learning rate goes on after the warm-up: down to zero along half a cosine, or not at all."""
    warmup: float = 0.05
    """Share of all steps in which the learning rate rises linearly from zero."""

    def __post_init__(self) -> None:
        if self.lr <= 0 or self.weight_decay < 0 or not 0 <= self.warmup < 1:
            raise UsageError(
                f"--optim: lr {self.lr}, weight-decay {self.weight_decay}, warmup {self.warmup}: "
                "lr must be above 0, weight-decay not below 0, warmup in [0, 1)"
            )


def build_optimiser(module: nn.Module, config: OptimConfig, spared: Iterable[str] = ()) -> torch.optim.AdamW:
    """AdamW over the trainable parameters.

    Vectors (biases, batch norms) and the parameters named in `spared` get no weight decay unless `decay_all`.
    """
    spared = set(spared)
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    plain = {name for name, p in named if not config.decay_all and (p.ndim < 2 or name in spared)}
    groups = [
        {"params": [p for name, p in named if name not in plain], "weight_decay": config.weight_decay},
        {"params": [p for name, p in named if name in plain], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=config.lr)


def learning_rate(step: int, total: int, config: OptimConfig) -> float:
    """Learning rate of step `step` (0-based) of `total`."""
    warmup = round(config.warmup * total)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    if config.schedule == "constant":
        return config.lr
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))

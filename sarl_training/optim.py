"""Optimiser, parameter groups and learning-rate schedule."""

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from sarl_training.errors import UsageError
from sarl_training.lars import LARS


@dataclass(frozen=True)
class OptimConfig:
    """The optimiser and its schedule."""

    name: Literal["adamw", "adam", "sgd", "lars"] = "adamw"
    """Update rule: Adam with moments (0.9, 0.999), its decay decoupled (adamw) or added to the gradient (adam); or
    momentum 0.9 (sgd), with steps in proportion to the norm of each decayed parameter (lars, trust 0.001)."""
    lr: float = 1e-3
    """Peak learning rate, for the batch size of the preset."""
    vector_lr: float = 1.0
    """Learning rate of vectors (biases, batch norms) as a share of the peak."""
    weight_decay: float = 1e-4
    """Weight decay."""
    decay_all: bool = False
    """Decay every parameter; otherwise batch norms, biases and prototypes are spared."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """How the learning rate goes on after the warm-up: down along half a cosine, or not at all."""
    final_lr: float = 0.0
    """Where the cosine ends, as a share of the peak."""
    warmup: float = 0.05
    """Share of all steps in which the learning rate rises linearly from zero."""

    def __post_init__(self) -> None:
        if self.lr <= 0 or self.weight_decay < 0 or not 0 <= self.warmup < 1:
            raise UsageError(
                f"--optim: lr {self.lr}, weight-decay {self.weight_decay}, warmup {self.warmup}: "
                "lr must be above 0, weight-decay not below 0, warmup in [0, 1)"
            )
        if self.vector_lr <= 0 or not 0 <= self.final_lr <= 1:
            raise UsageError(
                f"--optim: vector-lr {self.vector_lr}, final-lr {self.final_lr}: "
                "vector-lr must be above 0, final-lr in [0, 1]"
            )
        if self.name == "lars" and not self.weight_decay:
            raise UsageError("--optim: lars adapts decayed parameters only; give a --optim.weight-decay above 0")


def build_optimiser(
    module: nn.Module, config: OptimConfig, spared: Iterable[str] = (), steady: Iterable[str] = ()
) -> torch.optim.Optimizer:
    """The configured optimiser over the trainable parameters.

    Vectors (biases, batch norms) and the parameters named in `spared` get no weight decay unless `decay_all`. Those
    named in `steady` keep the peak learning rate; the others follow `set_rate`.
    """
    spared, steady = set(spared), set(steady)
    groups: dict[tuple[object, ...], dict[str, object]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            vector = parameter.ndim < 2
            settings = {
                "weight_decay": config.weight_decay if config.decay_all or not (vector or name in spared) else 0.0,
                "scale": config.vector_lr if vector else 1.0,
                "steady": name in steady,
            }
            group = groups.setdefault(tuple(settings.values()), {"params": [], **settings})
            group["params"].append(parameter)
    rules = {
        "adamw": functools.partial(torch.optim.AdamW, fused=True),
        "adam": functools.partial(torch.optim.Adam, fused=True),
        "sgd": functools.partial(torch.optim.SGD, momentum=0.9),
        "lars": LARS,
    }
    optimiser = rules[config.name](list(groups.values()), lr=config.lr)
    set_rate(optimiser, config.lr, peak=config.lr)
    return optimiser


def set_rate(optimiser: torch.optim.Optimizer, rate: float, *, peak: float) -> None:
    """Give every group its learning rate for the next step, `rate` being that of the plain ones."""
    for group in optimiser.param_groups:
        group["lr"] = group["scale"] * (peak if group["steady"] else rate)


def learning_rate(step: int, total: int, config: OptimConfig) -> float:
    """Learning rate of step `step` (0-based) of `total`."""
    warmup = round(config.warmup * total)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    if config.schedule == "constant":
        return config.lr
    share = 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
    return config.lr * (config.final_lr + (1 - config.final_lr) * share)

"""Settings of every method that keep its heads, queues and codes small enough for a test."""

from typing import Any

import torch

from sarl_training.methods import METHODS, Method

SMALL: dict[str, dict[str, Any]] = {
    "barlow_twins": {"width": 128},
    "vicreg": {"width": 128},
    "swav": {"prototypes": 12, "queue": 8, "small_views": 2},
    "minc": {"width": 128},
    "cplearn": {"width": 128, "codes": 256},
    "densecl": {"queue": 24},
}


def build_small(name: str, **more: Any) -> Method:
    """The method with random weights that are the same every time."""
    torch.manual_seed(0)
    return METHODS[name](METHODS[name].Config(**{**SMALL.get(name, {}), **more}))


def small_flags(name: str) -> list[str]:
    """The same settings as words of `sarl-train pretrain`."""
    return [
        word for key, value in SMALL.get(name, {}).items() for word in (f"--method.{key.replace('_', '-')}", str(value))
    ]

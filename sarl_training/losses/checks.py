"""What every loss here does before it starts: leave autocast, go to float32, and refuse shapes that do not fit."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor


def in_float32(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Run `loss` in float32 with autocast off: differences of unit vectors are lost in 8 bits of mantissa."""

    @functools.wraps(loss)
    def wrapped(*args: Tensor, **kwargs: object) -> Tensor:
        tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
        with torch.autocast(tensors[0].device.type, enabled=False):
            return loss(*(_float32(a) for a in args), **{key: _float32(value) for key, value in kwargs.items()})

    return wrapped


def check_maps(online_BCHW: Tensor, target_BCHW: Tensor) -> None:
    """ValueError unless both are B×C×H×W with the same B and C."""
    if online_BCHW.ndim != 4 or target_BCHW.ndim != 4 or online_BCHW.shape[:2] != target_BCHW.shape[:2]:
        raise ValueError(
            f"online {_shape(online_BCHW)} and target {_shape(target_BCHW)} maps: "
            "both must be B×C×H×W with the same B and C"
        )


def check_warp(warp_B23: Tensor, batch: int) -> None:
    """ValueError unless the warp is batch×2×3."""
    if warp_B23.shape != (batch, 2, 3):
        raise ValueError(f"warp {_shape(warp_B23)}: must be {batch}×2×3, one map per sample")


def check_same(first: Tensor, second: Tensor) -> None:
    """ValueError unless both are B×D of one shape."""
    if first.ndim != 2 or first.shape != second.shape:
        raise ValueError(f"prediction {_shape(first)} and target {_shape(second)}: both must be B×D, of one shape")


def check_prototypes(prototypes_KC: Tensor, channels: int) -> None:
    """ValueError unless the prototypes are K×channels."""
    if prototypes_KC.ndim != 2 or prototypes_KC.shape[1] != channels:
        raise ValueError(f"prototypes {_shape(prototypes_KC)}: must be K×{channels}, the channels of the maps")


def _float32(value: object) -> object:
    return value.float() if isinstance(value, Tensor) else value


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "scalar"

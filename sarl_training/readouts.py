"""How a frozen encoder's features become one vector per image: READOUTS[name](features) -> phi_BF."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

GRID = 4


class HasFeatures(Protocol):
    """What `networks.Encoder` returns."""

    embedding_BD: Tensor
    maps: dict[str, Tensor]


def gap(features: HasFeatures) -> Tensor:
    """The 512-d average-pooled embedding: what the linear probe sees. Says what is touched, hardly where."""
    return features.embedding_BD


def multipool(features: HasFeatures) -> Tensor:
    """Average of layers 2, 3 and 4 side by side (896-d): the middle layers keep what pretraining drops at the end."""
    return torch.cat([features.maps[name].mean((2, 3)) for name in ("layer2", "layer3", "layer4")], 1)


def spatial(features: HasFeatures) -> Tensor:
    """Layers 2 and 3 pooled to 4x4 (6144-d): keeps where. Without layer 4, three quarters of the weights stay home."""
    cells = [functional.adaptive_avg_pool2d(features.maps[name], GRID) for name in ("layer2", "layer3")]
    return torch.cat([cell_BCHW.flatten(1) for cell_BCHW in cells], 1)


READOUTS: dict[str, Callable[[HasFeatures], Tensor]] = {"gap": gap, "multipool": multipool, "spatial": spatial}

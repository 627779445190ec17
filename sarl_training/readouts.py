"""How a frozen encoder's features become one vector per image: READOUTS[name](features) -> phi_BF."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

SPATIAL_GRIDS = {"layer2": 8, "layer3": 4}


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
    """Layer 2 pooled to 8x8 beside layer 3 pooled to 4x4 (12288-d): keeps where, for geometry.

    Layer 4 added nothing measurable, so an exported model leaves it, three quarters of the weights, at home.
    """
    cells = [functional.adaptive_avg_pool2d(features.maps[name], grid) for name, grid in SPATIAL_GRIDS.items()]
    return torch.cat([cell_BCHW.flatten(1) for cell_BCHW in cells], 1)


READOUTS: dict[str, Callable[[HasFeatures], Tensor]] = {"gap": gap, "multipool": multipool, "spatial": spatial}

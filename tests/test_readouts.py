"""Readouts: shapes, and what each of them can and cannot see."""

import pytest
import torch

from sarl_training.networks import Encoder, Features, normalise
from sarl_training.readouts import READOUTS, SPATIAL_GRIDS

WIDTHS = {"gap": 512, "multipool": 128 + 256 + 512, "spatial": 8 * 8 * 128 + 4 * 4 * 256}


@pytest.fixture(scope="module")
def features() -> Features:
    torch.manual_seed(0)
    with torch.no_grad():
        return Encoder().eval()(normalise(torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)))


@pytest.mark.parametrize("name", READOUTS)
def test_a_readout_is_one_vector_per_image(name: str, features: Features) -> None:
    assert READOUTS[name](features).shape == (2, WIDTHS[name])
    one = Features(features.embedding_BD[1:], {layer: map_BCHW[1:] for layer, map_BCHW in features.maps.items()})
    assert torch.allclose(READOUTS[name](one), READOUTS[name](features)[1:])


def test_spatial_sees_where_without_layer_4(features: Features) -> None:
    moved = {layer: map_BCHW.flip(3) for layer, map_BCHW in features.maps.items() if layer != "layer4"}
    phi_BF, moved_BF = READOUTS["spatial"](features), READOUTS["spatial"](Features(features.embedding_BD, moved))
    assert not torch.allclose(phi_BF, moved_BF)
    cells = zip(phi_BF.split([8 * 8 * 128, 4 * 4 * 256], 1), SPATIAL_GRIDS.values(), strict=True)
    mirrored = [part_BF.unflatten(1, (-1, grid, grid)).flip(3).flatten(1) for part_BF, grid in cells]
    assert torch.allclose(torch.cat(mirrored, 1), moved_BF, atol=1e-6)


def test_pooled_readouts_do_not_see_where(features: Features) -> None:
    moved = Features(features.embedding_BD, {layer: map_BCHW.flip(3) for layer, map_BCHW in features.maps.items()})
    assert torch.allclose(READOUTS["multipool"](features), READOUTS["multipool"](moved), atol=1e-5)

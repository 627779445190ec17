"""RAM, "how": the relations between regions stay the same in both views (the paper's Eq. 5)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from sarl_training import distributed, geometry
from sarl_training.losses.checks import check_maps, check_warp, in_float32


@in_float32
def region_affinity_matching(
    online_BCHW: Tensor, target_BCHW: Tensor, warp_B23: Tensor, *, grid: int = 6, min_regions: int = 2
) -> Tensor:
    """Eq. 5: mean squared difference of the cosine-distance matrices of grid×grid regions.

    Counted are pairs of regions whose centres `warp` (online view to target view) puts inside the target view.

    Samples with fewer than `min_regions` such regions are skipped; mean over the rest, 0 if none is left. No gradient
    reaches the target.
    """
    check_maps(online_BCHW, target_BCHW)
    check_warp(warp_B23, len(online_BCHW))
    # In double, so that a centre on a cell's border falls on the same side on every machine.
    centres = geometry.cell_centres(grid, grid, device=warp_B23.device, dtype=torch.float64)
    points_BP2 = geometry.apply(warp_B23.detach().double(), centres)
    valid_BP = geometry.inside(points_BP2).float()
    cell_BP = geometry.containing_cell(points_BP2, grid)

    online_BPC = _regions(online_BCHW, grid)
    target_BPC = _regions(target_BCHW.detach(), grid)
    matched_BPC = target_BPC.gather(1, cell_BP.unsqueeze(2).expand_as(target_BPC))
    # 1 - cos on both sides: the ones cancel.
    squared_BPP = (online_BPC @ online_BPC.mT - matched_BPC @ matched_BPC.mT).square()

    regions_B = valid_BP.sum(dim=1)
    counted_B = regions_B >= max(min_regions, 1)
    pairs_BPP = valid_BP.unsqueeze(1) * valid_BP.unsqueeze(2)
    per_sample_B = (squared_BPP * pairs_BPP).sum(dim=(1, 2)) / regions_B.square().clamp_min(1)
    return distributed.mean_of_counted(per_sample_B, counted_B)


def _regions(map_BCHW: Tensor, grid: int) -> Tensor:
    """Unit-norm average of each region: B×P×C with P = grid²."""
    return F.normalize(F.adaptive_avg_pool2d(map_BCHW, grid).flatten(2).transpose(1, 2), dim=2)

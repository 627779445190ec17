"""SAL, "where": the same physical places stay salient in both views (the paper's Eq. 3)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from sarl_training import distributed, geometry
from sarl_training.losses.checks import check_maps, check_warp, in_float32


@in_float32
def saliency_alignment(online_BCHW: Tensor, target_BCHW: Tensor, warp_B23: Tensor) -> Tensor:
    """Eq. 3: mean squared difference of unit-norm saliency maps.

    Counted are the online cells whose centres `warp` (online view to target view) puts inside the target view.

    Mean over the samples that have such cells, 0 if none has. No gradient reaches the target.
    """
    check_maps(online_BCHW, target_BCHW)
    check_warp(warp_B23, len(online_BCHW))
    height, width = online_BCHW.shape[-2:]
    target_B1HW = _saliency(target_BCHW.detach())
    if target_B1HW.shape[-2:] != (height, width):
        target_B1HW = F.interpolate(target_B1HW, (height, width), mode="bilinear", align_corners=False)

    # In double, so that a centre on the border falls on the same side on every machine.
    centres = geometry.cell_centres(height, width, device=warp_B23.device, dtype=torch.float64)
    points_BN2 = geometry.apply(warp_B23.detach().double(), centres)
    overlap_BHW = geometry.inside(points_BN2).view(-1, height, width).float()
    grid_BHW2 = points_BN2.to(target_B1HW.dtype).view(-1, height, width, 2)
    warped_B1HW = F.grid_sample(target_B1HW, grid_BHW2, mode="bilinear", padding_mode="border", align_corners=False)

    squared_BHW = (_saliency(online_BCHW) - warped_B1HW).square().squeeze(1)
    cells_B = overlap_BHW.sum(dim=(1, 2))
    per_sample_B = (squared_BHW * overlap_BHW).sum(dim=(1, 2)) / cells_B.clamp_min(1)
    return distributed.mean_of_counted(per_sample_B, cells_B > 0)


def _saliency(map_BCHW: Tensor) -> Tensor:
    """L1 norm over channels, then unit L2 norm over the whole map of each sample: B×1×H×W."""
    saliency_BHW = map_BCHW.abs().sum(dim=1)
    return F.normalize(saliency_BHW.flatten(1), dim=1).view_as(saliency_BHW).unsqueeze(1)

"""PPDA, "what": both views are made of the same mixture of parts (the paper's Eq. 4)."""

from torch import Tensor
from torch.nn import functional as F

from sarl_training.losses.checks import check_maps, check_prototypes, in_float32

SMALLEST_SHARE = 1e-12  # keeps the logarithm finite for prototypes nobody chose


@in_float32
def prototype_distribution_alignment(
    online_BCHW: Tensor, target_BCHW: Tensor, prototypes_KC: Tensor, *, grid: int = 7, temperature: float = 0.1
) -> Tensor:
    """Eq. 4: KL(Qo‖Qt) + KL(Qt‖Qo) of the two views' mean soft assignments to K prototypes, mean over B.

    No gradient reaches the target, neither its features nor the prototypes through its Q.
    """
    check_maps(online_BCHW, target_BCHW)
    check_prototypes(prototypes_KC, online_BCHW.shape[1])
    online_BK = part_distribution(online_BCHW, prototypes_KC, grid, temperature)
    target_BK = part_distribution(target_BCHW, prototypes_KC, grid, temperature).detach()
    # The two divergences add up to one product.
    log_ratio_BK = online_BK.clamp_min(SMALLEST_SHARE).log() - target_BK.clamp_min(SMALLEST_SHARE).log()
    return ((online_BK - target_BK) * log_ratio_BK).sum(dim=1).mean()


def part_distribution(map_BCHW: Tensor, prototypes_KC: Tensor, grid: int, temperature: float) -> Tensor:
    """Q: softmax over K of cosine / temperature for each cell of the pooled map, mean over its grid×grid cells: B×K."""
    cells_BPC = F.adaptive_avg_pool2d(map_BCHW, grid).flatten(2).transpose(1, 2)
    cosine_BPK = F.normalize(cells_BPC, dim=2) @ F.normalize(prototypes_KC, dim=1).T
    return (cosine_BPK / temperature).softmax(dim=2).mean(dim=1)

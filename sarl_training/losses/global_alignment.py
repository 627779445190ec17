"""The global invariance loss of BYOL, one direction of the paper's Eq. 2."""

from torch import Tensor
from torch.nn import functional as F

from sarl_training.losses.checks import check_same, in_float32


@in_float32
def normalized_mse(prediction_BD: Tensor, target_BD: Tensor) -> Tensor:
    """Squared distance of the L2-normalised vectors, 2 - 2 cos, mean over B (Eq. 2). No gradient reaches the target."""
    check_same(prediction_BD, target_BD)
    cosine_B = (F.normalize(prediction_BD, dim=1) * F.normalize(target_BD.detach(), dim=1)).sum(dim=1)
    return (2 - 2 * cosine_B).mean()

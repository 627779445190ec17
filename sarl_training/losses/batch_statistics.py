"""Terms over a whole batch, computed by lightly: NT-Xent, Barlow Twins' correlations, VICReg's three.

They take the rows of all processes (`distributed.gather`): lightly's own gathering normalises each process by itself.
"""

from torch import Tensor

from sarl_training.losses.checks import in_float32


@in_float32
def nt_xent(first_ND: Tensor, second_ND: Tensor, *, temperature: float) -> Tensor:
    """SimCLR, Eq. 1: cross entropy of finding each view's partner among the 2 N - 1 others."""
    from lightly.loss import NTXentLoss

    return NTXentLoss(temperature)(first_ND, second_ND)


@in_float32
def redundancy(first_ND: Tensor, second_ND: Tensor, *, off_diagonal: float) -> Tensor:
    """Barlow Twins, Eq. 1: squared distance of the cross-correlation from the identity, off the diagonal weighted."""
    from lightly.loss import BarlowTwinsLoss

    return BarlowTwinsLoss(off_diagonal)(first_ND, second_ND)


@in_float32
def invariance(first_ND: Tensor, second_ND: Tensor) -> Tensor:
    """VICReg, Eq. 5: mean squared difference."""
    from lightly.loss.vicreg_loss import invariance_loss

    return invariance_loss(first_ND, second_ND)


@in_float32
def variance(first_ND: Tensor, second_ND: Tensor) -> Tensor:
    """VICReg, Eq. 1: mean hinge at standard deviation 1, mean over both views as in the published code."""
    from lightly.loss.vicreg_loss import variance_loss

    return (variance_loss(first_ND) + variance_loss(second_ND)) / 2


@in_float32
def covariance(first_ND: Tensor, second_ND: Tensor) -> Tensor:
    """VICReg, Eq. 4: squared covariances of different dimensions per dimension, sum over both views."""
    from lightly.loss.vicreg_loss import covariance_loss

    return covariance_loss(first_ND) + covariance_loss(second_ND)

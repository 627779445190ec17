"""How unlike its training images an image is, and how much larger that makes a covariance.

The Mahalanobis distance of early-layer features to the training images (Lee et al. 2018), on the mean and the spread of
each channel: models/LOG.md has the choices measured. Shapes: N samples, B batch, C statistics.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

FALSE_ALARMS = 0.01  # share of held-out frames of the sensor that the threshold lets be called unfamiliar
SHRINKAGE = 1e-3  # added to the eigenvalues of the correlation matrix
SLOPES = torch.logspace(-2, 7, 181, dtype=torch.float64)


def channel_statistics(*maps_BCHW: Tensor) -> Tensor:
    """[B, C]: mean and standard deviation over the image of every channel of every map."""
    return torch.cat([part for m in maps_BCHW for part in (m.mean((2, 3)), m.std((2, 3), correction=0))], 1)


class Familiarity(nn.Module):
    """`channels_BC -> unfamiliarity_B`: root mean square of the whitened statistics, about 1 for training images."""

    def __init__(self, mean_C: Tensor, whitening_CC: Tensor, threshold: float) -> None:
        super().__init__()
        self.register_buffer("mean_C", mean_C.float())
        self.register_buffer("whitening_CC", whitening_CC.float())
        self.threshold = threshold
        self.slopes: dict[str, float] = {}

    def forward(self, channels_BC: Tensor) -> Tensor:
        return ((channels_BC - self.mean_C) @ self.whitening_CC).square().mean(1).sqrt()

    def growth(self, head: str, unfamiliarity_B: Tensor) -> Tensor:
        """What the covariance of a head is multiplied by: 1 up to the threshold, then linear in the excess."""
        return 1 + self.slopes.get(head, 0.0) * (unfamiliarity_B / self.threshold - 1).clamp_min(0)

    def with_growth(self, slopes: Mapping[str, float]) -> "Familiarity":
        """The same with a slope for each head's covariance."""
        other = Familiarity(self.mean_C, self.whitening_CC, self.threshold)
        other.slopes = dict(slopes)
        return other


def fit_familiarity(train_NC: Tensor, val_NC: Tensor) -> Familiarity:
    """Mean and covariance from train; the threshold is passed by `FALSE_ALARMS` of val."""
    train_NC = train_NC.double()
    scale_C = train_NC.std(0, correction=0).clamp_min(1e-6 * train_NC.abs().max())
    correlation_CC = torch.cov((train_NC / scale_C).T, correction=0)
    values_C, directions_CC = torch.linalg.eigh(correlation_CC)
    whitening_CC = directions_CC / (values_C.clamp_min(0) + SHRINKAGE).sqrt() / scale_C[:, None]
    unscaled = Familiarity(train_NC.mean(0), whitening_CC, 1.0)
    threshold = float(torch.quantile(unscaled(val_NC.float()).double(), 1 - FALSE_ALARMS))
    return Familiarity(train_NC.mean(0), whitening_CC, threshold)


def fit_growth(nees_N: Tensor, axes: int, ratio_N: Tensor) -> float:
    """Slope a of `1 + a (ratio - 1)` that best explains the errors on unfamiliar frames (Gaussian likelihood).

    `nees_N` is e' C^-1 e without growth, `ratio_N` the unfamiliarity over the threshold; 0 without frames above it.
    """
    above = ratio_N > 1
    excess_N, nees_N = ratio_N[above].double() - 1, nees_N[above].double()
    if not len(nees_N):
        return 0.0
    growth_SN = 1 + SLOPES[:, None] * excess_N
    cost_S = (axes * growth_SN.log() + nees_N / growth_SN).mean(1)
    return float(SLOPES[int(cost_S.argmin())])

"""Heads of the exported model: fitted in closed form on a readout; they answer in SI units, with uncertainty.

Shapes: N samples, B batch, F features, D axes, K classes, R rank of the leverage.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from sarl_training.ridge import Leverage, Ridge, decompose, fit_ridge, low_rank_leverage

LEVERAGE_RANK = 32
# no fitted axis may claim a standard deviation below this share of its labels' spread: keeps the covariance invertible
LEAST_RELATIVE_STD = 1e-3

Fold = tuple[Tensor, Tensor]
"""Features [N, F] and labels ([N, D] in SI units, or [N] class indices)."""


class _Standardised(nn.Module):
    """Ridge predictions `z @ weight + bias` from `z = (phi - mean) / scale`."""

    def __init__(self, ridge: Ridge) -> None:
        super().__init__()
        self.register_buffer("mean_F", ridge.spectrum.mean_F.float())
        self.register_buffer("inverse_scale_F", (1 / ridge.spectrum.scale_F).float())
        self.register_buffer("weight_FD", ridge.weight_FD.float())
        self.register_buffer("bias_D", ridge.bias_D.float())

    def standardise(self, phi_BF: Tensor) -> Tensor:
        return (phi_BF - self.mean_F) * self.inverse_scale_F

    def linear(self, z_BF: Tensor) -> Tensor:
        return z_BF @ self.weight_FD + self.bias_D


class RegressionHead(_Standardised):
    """`phi -> (value [B, D], covariance [B, D, D])`; the covariance is `covariance_DD (1 + leverage)`."""

    def __init__(self, ridge: Ridge, leverage: Leverage, covariance_DD: Tensor) -> None:
        super().__init__(ridge)
        self.register_buffer("directions_FR", leverage.directions_FR.float())
        self.register_buffer("excess_R", (leverage.inverse_R - leverage.rest).float())
        self.register_buffer("covariance_DD", covariance_DD.float())
        self.rest = leverage.rest

    def forward(self, phi_BF: Tensor) -> tuple[Tensor, Tensor]:
        z_BF = self.standardise(phi_BF)
        along_BR = z_BF @ self.directions_FR
        leverage_B = self.rest * z_BF.square().sum(1) + (along_BR.square() * self.excess_R).sum(1)
        return self.linear(z_BF), self.covariance_DD * (1 + leverage_B.clamp_min(0))[:, None, None]


class ClassificationHead(_Standardised):
    """`phi -> probabilities [B, K]`: softmax of the ridge scores times a fitted sharpness."""

    def __init__(self, ridge: Ridge, sharpness: float) -> None:
        super().__init__(ridge)
        self.sharpness = sharpness

    def forward(self, phi_BF: Tensor) -> Tensor:
        return torch.softmax(self.linear(self.standardise(phi_BF)) * self.sharpness, 1)


class ContactHead(_Standardised):
    """`phi -> probability of contact [B, 1]`: logistic of the ridge score."""

    def __init__(self, ridge: Ridge, slope: float, offset: float) -> None:
        super().__init__(ridge)
        self.slope, self.offset = slope, offset

    def forward(self, phi_BF: Tensor) -> Tensor:
        return torch.sigmoid(self.linear(self.standardise(phi_BF)) * self.slope + self.offset)


def fit_regression(train: Fold, val: Fold, noise_F: Tensor | float = 0.0) -> RegressionHead:
    """Ridge with lambda from val, and its uncertainty; `noise_F` as in `decompose`.

    The covariance is val's residual covariance times (1 + leverage), scaled so that the mean NEES on val is D.
    """
    spectrum = decompose(train[0], noise_F)
    ridge = fit_ridge(spectrum, train, val)
    leverage = low_rank_leverage(ridge, LEVERAGE_RANK)
    residual_ND = val[1].double() - ridge.predict(val[0])
    floor_D = (LEAST_RELATIVE_STD * train[1].double().std(0, correction=0)).square()
    shape_DD = residual_ND.T @ residual_ND / len(residual_ND) + torch.diag(floor_D)
    inflation_N = RegressionHead(ridge, leverage, shape_DD)(val[0].float())[1][:, 0, 0].double() / shape_DD[0, 0]
    nees_N = (residual_ND * torch.linalg.solve(shape_DD, residual_ND.T).T).sum(1) / inflation_N
    least = 1 / inflation_N.mean()  # a perfect fit must not shrink the covariance below the floor
    return RegressionHead(ridge, leverage, shape_DD * torch.maximum(nees_N.mean() / residual_ND.shape[1], least))


def fit_classification(train: Fold, val: Fold, classes: int, noise_F: Tensor | float = 0.0) -> ClassificationHead:
    """Ridge to one-hot targets; the softmax sharpness minimises the cross entropy on val."""
    one_hot = [(x, functional.one_hot(label, classes).double()) for x, label in (train, val)]
    ridge = fit_ridge(decompose(train[0], noise_F), *one_hot)
    scores_NK = ridge.predict(val[0])
    log_sharpness = torch.linspace(0, 5, 501, dtype=torch.float64)
    losses = [functional.cross_entropy(scores_NK * sharpness, val[1]) for sharpness in log_sharpness.exp().tolist()]
    return ClassificationHead(ridge, float(log_sharpness[int(torch.stack(losses).argmin())].exp()))


def fit_contact(train: Fold, val: Fold, noise_F: Tensor | float = 0.0) -> ContactHead:
    """Ridge to 0/1; slope and offset by Platt scaling on val with Platt's smoothed targets (Platt 1999, eq. 3)."""
    as_column = [(x, label[:, None].double()) for x, label in (train, val)]
    ridge = fit_ridge(decompose(train[0], noise_F), *as_column)
    positives = int(val[1].sum())
    high, low = (positives + 1) / (positives + 2), 1 / (len(val[1]) - positives + 2)
    design_N2 = torch.cat([ridge.predict(val[0]), torch.ones(len(val[1]), 1, dtype=torch.float64)], 1)
    slope, offset = _newton_logistic(design_N2, torch.where(val[1] == 1, high, low).double())
    return ContactHead(ridge, slope, offset)


def _newton_logistic(design_N2: Tensor, target_N: Tensor) -> tuple[float, float]:
    """Logistic regression by damped Newton steps; convex, two unknowns."""
    weight = torch.zeros(2, dtype=torch.float64)
    for _ in range(100):
        probability_N = torch.sigmoid(design_N2 @ weight)
        gradient = design_N2.T @ (probability_N - target_N)
        hessian = (design_N2 * (probability_N * (1 - probability_N))[:, None]).T @ design_N2
        step = torch.linalg.solve(hessian + 1e-9 * torch.eye(2, dtype=torch.float64), gradient)
        weight = weight - step * min(1.0, 2.0 / float(step.norm().clamp_min(1e-12)))
    return float(weight[0]), float(weight[1])

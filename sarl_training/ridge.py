"""Ridge regression in closed form, float64: one eigendecomposition gives every lambda and any sample's leverage.

Shapes: N samples, F features, K kept directions, D targets, R rank of the leverage.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

LAMBDA_GRID = tuple(10.0 ** (k / 2) for k in range(-12, 7))  # times the mean eigenvalue
NOISE_WEIGHT = 100.0  # of 0, 1, 10, 100, 1000 the best on simulated contact points in INT8 (models/LOG.md)


@dataclass(frozen=True)
class Spectrum:
    """Training features, standardised, in the coordinates of their principal directions."""

    mean_F: Tensor
    scale_F: Tensor
    directions_FK: Tensor
    values_K: Tensor
    """Eigenvalues of the standardised features' scatter matrix (a sum over samples), largest first."""

    def coordinates(self, x_NF: Tensor) -> Tensor:
        """[N, K] float64."""
        return ((x_NF.double() - self.mean_F) / self.scale_F) @ self.directions_FK


def floored(variance_F: Tensor) -> Tensor:
    """A floor under the variance of features, 1 % of their mean variance: a unit that hardly moved in training must not
    shout when it moves later.
    """
    return variance_F + 0.01 * variance_F.mean()


def decompose(x_NF: Tensor, noise_F: Tensor | float = 0.0) -> Spectrum:
    """Principal directions of the features, through the smaller of the NxN and the FxF product.

    `noise_F` is the variance that features will have at run time and do not have here: noisy ones are trusted less.
    """
    x_NF = x_NF.double()
    mean_F, variance_F = x_NF.mean(0), x_NF.var(0, correction=0)
    scale_F = (floored(variance_F) + NOISE_WEIGHT * noise_F).sqrt().clamp_min(1e-12)
    z_NF = (x_NF - mean_F) / scale_F
    if len(z_NF) <= z_NF.shape[1]:
        values, left = torch.linalg.eigh(z_NF @ z_NF.T)
    else:
        values, left = torch.linalg.eigh(z_NF.T @ z_NF)
    kept = (values > 1e-10 * values[-1].clamp_min(1e-300)).nonzero()[:, 0].flip(0)
    values_K, left = values[kept], left[:, kept]
    directions_FK = z_NF.T @ left / values_K.sqrt() if len(z_NF) <= z_NF.shape[1] else left
    return Spectrum(mean_F, scale_F, directions_FK, values_K)


def ridge_path(spectrum: Spectrum, x_NF: Tensor, y_ND: Tensor, lambdas: Tensor) -> Tensor:
    """Weights [L, K, D] on the spectrum's coordinates c that minimise |y - mean(y) - c w|^2 + lambda |w|^2."""
    moments_KD = spectrum.coordinates(x_NF).T @ (y_ND.double() - y_ND.double().mean(0))
    return moments_KD / (spectrum.values_K + lambdas[:, None])[..., None]


@dataclass(frozen=True)
class Ridge:
    """A fitted ridge regression: `predict(x) = (x - mean) / scale @ weight + bias`."""

    spectrum: Spectrum
    penalty: float
    weight_FD: Tensor
    bias_D: Tensor

    def predict(self, x_NF: Tensor) -> Tensor:
        """[N, D] float64."""
        return ((x_NF.double() - self.spectrum.mean_F) / self.spectrum.scale_F) @ self.weight_FD + self.bias_D


def fit_ridge(spectrum: Spectrum, train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor]) -> Ridge:
    """Standardise the targets on train, choose lambda by the mean squared error on val."""
    y_ND = train[1].double()
    mean_D, std_D = y_ND.mean(0), y_ND.std(0, correction=0).clamp_min(1e-12)
    lambdas = spectrum.values_K.mean() * torch.tensor(LAMBDA_GRID, dtype=torch.float64, device=y_ND.device)
    path_LKD = ridge_path(spectrum, train[0], (y_ND - mean_D) / std_D, lambdas)
    errors_LND = spectrum.coordinates(val[0]) @ path_LKD - (val[1].double() - mean_D) / std_D
    chosen = int(errors_LND.square().mean((1, 2)).argmin())
    return Ridge(spectrum, float(lambdas[chosen]), spectrum.directions_FK @ path_LKD[chosen] * std_D, mean_D)


@dataclass(frozen=True)
class Leverage:
    """`h = sum_r inverse_r (z v_r)^2 + rest (|z|^2 - sum_r (z v_r)^2)`: exact along R directions, averaged beyond."""

    directions_FR: Tensor
    inverse_R: Tensor
    rest: float


def low_rank_leverage(ridge: Ridge, rank: int) -> Leverage:
    """Ridge leverage `z (Z'Z + lambda)^-1 z'` along `rank` directions; beyond, each weighs as their mean in train."""
    values_K = ridge.spectrum.values_K
    beyond = values_K[rank:] if len(values_K) > rank else values_K[-1:]
    rest = float((beyond / (beyond + ridge.penalty)).sum() / beyond.sum())
    return Leverage(ridge.spectrum.directions_FK[:, :rank], 1 / (values_K[:rank] + ridge.penalty), rest)

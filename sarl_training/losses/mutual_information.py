"""MINC (arXiv 2504.16667), a reconstruction: its authors published no code, and its text was not at hand in full.

The spectral form of mutual information, 2 E[z z'] - E[(z z')^2] over pairs and strangers, in which the strangers are
summed up by a running second moment of the target's projections.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from sarl_training.losses.checks import check_same, in_float32


@in_float32
def spectral_mutual_information(
    online_BD: Tensor,
    target_BD: Tensor,
    second_moment_DD: Tensor,
    *,
    scale: float = 10.0,
    form: Literal["quadratic", "gha"] = "quadratic",
) -> Tensor:
    """Mean over B of `-s z'z + s²/2 z'Tz`, z and z' the unit-norm projections, T the lower triangle of the moment.

    `quadratic` differentiates that; `gha` has its value but the gradient of the generalised Hebbian algorithm,
    `-(s z' - s² T z)`. No gradient reaches the target or the moment.
    """
    check_same(online_BD, target_BD)
    online_BD, target_BD = F.normalize(online_BD, dim=1), F.normalize(target_BD.detach(), dim=1)
    against_BD = online_BD @ second_moment_DD.detach().tril().T
    if form == "gha":
        pull_BD = (scale * target_BD - scale**2 * against_BD).detach()
        push_B = 0.5 * scale**2 * (online_BD * against_BD).sum(dim=1).detach()
        surrogate_B = (online_BD * pull_BD).sum(dim=1)
        value_B = -scale * (online_BD * target_BD).sum(dim=1).detach() + push_B
        return (value_B - surrogate_B + surrogate_B.detach()).mean()
    return (-scale * (online_BD * target_BD).sum(dim=1) + 0.5 * scale**2 * (online_BD * against_BD).sum(dim=1)).mean()


@in_float32
def second_moment(vectors_BD: Tensor) -> Tensor:
    """Mean outer product of the unit-norm vectors: D×D, of trace 1; without gradient."""
    unit_BD = F.normalize(vectors_BD.detach(), dim=1)
    return torch.mm(unit_BD.T, unit_BD) / len(unit_BD)

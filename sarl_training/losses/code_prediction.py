"""CPLearn (Sansone et al., ICML 2025, arXiv 2410.04959): agree on one of many fixed random codes, use all of them."""

import math

from torch import Tensor
from torch.nn import functional as F

from sarl_training import distributed
from sarl_training.losses.checks import in_float32

RESIDUE = 1e-8  # epsilon of the paper: what a perfect match leaves to each other code


@in_float32
def code_log_probabilities(embedding_BF: Tensor, codes_FC: Tensor) -> Tensor:
    """Log-softmax over the C codes of -1 and 1, B×C: `cos(u, w) log((1 - eps (C - 1)) / eps)`.

    That is the paper's `sqrt(F / n) u / |u|` against W at its temperature: the number n of images cancels.
    """
    width, count = codes_FC.shape
    sharpness = math.log((1 - RESIDUE * (count - 1)) / RESIDUE)
    cosine_BC = F.normalize(embedding_BF, dim=1) @ codes_FC / math.sqrt(width)
    return (sharpness * cosine_BC).log_softmax(dim=1)


@in_float32
def code_agreement(first_BC: Tensor, second_BC: Tensor) -> Tensor:
    """Cross entropy of the second view's code under the first one's, mean over B; both are log-probabilities.

    The gradient goes through both.
    """
    return -(first_BC.exp() * second_BC).sum(dim=1).mean()


@in_float32
def code_imbalance(log_probabilities_BC: Tensor) -> Tensor:
    """KL of the mean distribution over all processes' images from the uniform one; not below log(C / B) if B < C."""
    mean_C = distributed.total(log_probabilities_BC.exp().mean(dim=0)) / distributed.world_size()
    return (mean_C * (mean_C.clamp_min(1e-30).log() + math.log(len(mean_C)))).sum()

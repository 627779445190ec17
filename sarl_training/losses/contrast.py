"""DenseCL (Wang et al. 2021): contrast with a queue, of whole images and of the places in them that match."""

import torch
from torch import Tensor
from torch.nn import functional as F

from sarl_training.losses.checks import in_float32


@in_float32
def info_nce(query_ND: Tensor, positive_ND: Tensor, negatives_KD: Tensor, *, temperature: float) -> Tensor:
    """Cross entropy of finding the positive among K negatives by cosine / temperature, mean over N (MoCo, Eq. 1).

    No gradient reaches positives and negatives.
    """
    query_ND, positive_ND = F.normalize(query_ND, dim=1), F.normalize(positive_ND.detach(), dim=1)
    negatives_KD = F.normalize(negatives_KD.detach(), dim=1)
    positive_N = (query_ND * positive_ND).sum(dim=1, keepdim=True)
    logits_NM = torch.cat([positive_N, query_ND @ negatives_KD.T], dim=1) / temperature
    return (logits_NM.logsumexp(dim=1) - logits_NM[:, 0]).mean()


@in_float32
def matched(query_BPC: Tensor, key_BPC: Tensor, values_BPD: Tensor) -> Tensor:
    """For each of P places of the query the key's value at its most similar place, by cosine of C features: B×P×D."""
    cosine_BPP = F.normalize(query_BPC.detach(), dim=2) @ F.normalize(key_BPC.detach(), dim=2).mT
    return values_BPD.gather(1, cosine_BPP.argmax(dim=2, keepdim=True).expand_as(values_BPD))

"""SwAV (Caron et al. 2020): predict from one view the prototypes that another view was assigned to."""

import torch
from torch import Tensor

from sarl_training import distributed
from sarl_training.losses.checks import in_float32


@torch.no_grad()
@in_float32
def balanced_codes(cosine_BK: Tensor, queued_QK: Tensor, *, epsilon: float, iterations: int = 3) -> Tensor:
    """Soft assignments of this process's B images, B×K, rows summing to 1; without gradient.

    They are balanced over prototypes together with the other processes' images and the queue's (Q may be 0).
    """
    from lightly.loss.swav_loss import sinkhorn

    everyone_NK = torch.cat([distributed.gather(cosine_BK), queued_QK])
    codes_NK = sinkhorn(everyone_NK, iterations=iterations, epsilon=epsilon)
    return codes_NK[len(cosine_BK) * distributed.rank() :][: len(cosine_BK)]


@in_float32
def swapped_prediction(cosine_BK: Tensor, codes_BK: Tensor, *, temperature: float) -> Tensor:
    """Cross entropy between another view's codes and this view's softmax of cosine / temperature, mean over B."""
    return -(codes_BK.detach() * (cosine_BK / temperature).log_softmax(dim=1)).sum(dim=1).mean()

"""Is the representation still alive? Cheap numbers on the embeddings of un-augmented images."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sarl_training.networks import Encoder, normalise


@torch.no_grad()
def embed(encoder: Encoder, images_BHWC: Tensor, chunk: int = 64) -> Tensor:
    """Embeddings (N×512, float32) of uint8 images in eval mode, as the linear probe sees them; the encoder's mode is put back."""
    was_training = encoder.training
    encoder.eval()
    embeddings = [encoder(normalise(part)).embedding_BD.float() for part in images_BHWC.split(chunk)]
    encoder.train(was_training)
    return torch.cat(embeddings)


def feature_std(embedding_BD: Tensor) -> float:
    """sqrt(D) times the mean over dimensions of the std of the unit-norm embeddings: 1 when spread over the sphere, 0 when all are one (SimSiam, Fig. 2)."""
    return float(F.normalize(embedding_BD, dim=1).std(dim=0).mean() * embedding_BD.shape[1] ** 0.5)


def effective_rank(embedding_BD: Tensor) -> float:
    """RankMe (Garrido et al. 2023) of the centred embeddings: exp of the entropy of their normalised singular values; at most min(B, D)."""
    values = torch.linalg.svdvals((embedding_BD - embedding_BD.mean(dim=0)).float())
    share = values / values.sum().clamp_min(1e-12)
    return float(torch.exp(-(share * share.clamp_min(1e-12).log()).sum()))


def gradient_norms(terms: dict[str, Tensor], weights: dict[str, float], parameter: nn.Parameter) -> dict[str, float]:
    """Norm of each weighted term's gradient at one parameter: which terms steer the encoder there. The graph is kept."""
    norms = {}
    for name, weight in weights.items():
        (gradient,) = torch.autograd.grad(terms[name], parameter, retain_graph=True, allow_unused=True)
        norms[name] = 0.0 if gradient is None else float(weight * gradient.float().norm())
    return norms

"""Is the representation still alive? Cheap numbers on the embeddings of un-augmented images."""

import time
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sarl_training import distributed
from sarl_training.errors import RunFailed
from sarl_training.networks import Encoder, normalise

COLLAPSED_STD = 0.05
COLLAPSED_RANK = 3.0


@torch.no_grad()
def embed(encoder: Encoder, images_BHWC: Tensor, chunk: int = 64) -> Tensor:
    """Embeddings (N×512, float32) of uint8 images in eval mode, as the linear probe sees them."""
    was_training = encoder.training
    encoder.eval()
    embeddings = [encoder(normalise(part)).embedding_BD.float() for part in images_BHWC.split(chunk)]
    encoder.train(was_training)
    return torch.cat(embeddings)


def feature_std(embedding_BD: Tensor) -> float:
    """sqrt(D) times the mean std per dimension of the unit-norm embeddings (SimSiam, Fig. 2).

    1 when they are spread over the sphere, 0 when all are one point.
    """
    return float(F.normalize(embedding_BD, dim=1).std(dim=0).mean() * embedding_BD.shape[1] ** 0.5)


def effective_rank(embedding_BD: Tensor) -> float:
    """RankMe (Garrido et al. 2023) of the centred embeddings, from 1 to min(B, D).

    It is exp of the entropy of their normalised singular values.
    """
    values = torch.linalg.svdvals((embedding_BD - embedding_BD.mean(dim=0)).float())
    share = values / values.sum().clamp_min(1e-12)
    return float(torch.exp(-(share * share.clamp_min(1e-12).log()).sum()))


def collapse_alarm(feature_std: float, effective_rank: float) -> str:
    """What to tell the user if all images have become one point or one line, else an empty string."""
    if feature_std >= COLLAPSED_STD and effective_rank >= COLLAPSED_RANK:
        return ""
    return (
        f"the representation is collapsing: feature std {feature_std:.3f} (alarm below {COLLAPSED_STD}), "
        f"effective rank {effective_rank:.1f} (alarm below {COLLAPSED_RANK}); "
        "lower --optim.lr, raise the batch size, or --method.ema-decay where the method has one"
    )


def gradient_norms(terms: dict[str, Tensor], weights: dict[str, float], parameter: nn.Parameter) -> dict[str, float]:
    """`gradient/<term>`: norm of each weighted term's gradient at one parameter. The graph is kept.

    It says which terms steer the encoder there.
    """
    norms = {}
    for name, weight in weights.items():
        (gradient,) = torch.autograd.grad(terms[name], parameter, retain_graph=True, allow_unused=True)
        if gradient is None:
            gradient = torch.zeros_like(parameter)
        gradient = distributed.total(gradient.float()) / distributed.world_size()
        norms[f"gradient/{name}"] = float(weight * gradient.norm())
    return norms


class Meter:
    """Means of the terms between two reports, summed on the device: to read a value there makes the CPU wait for it."""

    def __init__(self) -> None:
        self._reset()

    def add(self, terms: dict[str, Tensor], images: int) -> None:
        """Count one step."""
        self._sums = {name: self._sums[name] + term if name in self._sums else term for name, term in terms.items()}
        self._steps += 1
        self._images += images

    def check_finite(self, step: int) -> None:
        """RunFailed if any term was not finite since the last report: a sum keeps a NaN or infinity."""
        bad = [name for name, value in self._sums.items() if not torch.isfinite(value)]
        if bad:
            raise RunFailed(
                f"step {step}: {', '.join(bad)} not finite; training stopped, the last good checkpoint is kept. "
                "Lower --optim.lr, or set --precision float32"
            )

    def take(self) -> dict[str, float]:
        """Means and images per second since the last call."""
        means = {name: float(value) / self._steps for name, value in self._sums.items()}
        means["images_per_second"] = self._images / max(time.monotonic() - self._since, 1e-9)
        self._reset()
        return means

    def state(self) -> dict[str, Any]:
        """What a resumed run needs to give the same means; the time is not among it."""
        return {"sums": self._sums, "steps": self._steps}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from `state`; images per second count from now."""
        self._reset()
        self._sums, self._steps = dict(state["sums"]), state["steps"]

    def _reset(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._steps = self._images = 0
        self._since = time.monotonic()

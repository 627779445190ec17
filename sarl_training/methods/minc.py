"""MINC (Guo et al. 2025, arXiv 2504.16667): non-contrastive mutual information. A RECONSTRUCTION.

Its authors published no code. This follows the abstract, a public review and the values of SARL's authors; results
under this name must say so.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from sarl_training import distributed, losses
from sarl_training.errors import UsageError
from sarl_training.methods.base import ASYMMETRIC_VIEWS, FEW_STEPS, PAPER_SCALE, Method
from sarl_training.methods.byol import Projected
from sarl_training.networks import EMBEDDING, Encoder
from sarl_training.target_network import TargetNetwork
from sarl_training.views import View


@dataclass(frozen=True)
class MINCConfig:
    """MINC's own settings."""

    width: int = 2048
    """Width of the three layers of the projector (SARL's authors)."""
    ema_decay: float = 0.996
    """Decay gamma of the target network (SARL's authors)."""
    moment_decay: float = 0.8
    """Decay beta of the running second moment of the target's projections (SARL's authors)."""
    scale: float = 10.0
    """Scale s of the inner products; about s² directions are kept (SARL's authors)."""
    form: Literal["quadratic", "gha"] = "quadratic"
    """Gradient: of the quadratic form itself (SARL's authors), or of the generalised Hebbian algorithm."""

    def __post_init__(self) -> None:
        if not (0 <= self.ema_decay <= 1 and 0 <= self.moment_decay < 1) or self.scale <= 0 or self.width < 2:
            raise UsageError(
                f"--method: {self}: ema-decay must be in [0, 1], moment-decay in [0, 1), scale above 0, "
                "width at least 2"
            )


class MINC(Method):
    """Reconstruction. Symmetrised over the two views, as BYOL; no predictor."""

    Config = MINCConfig
    # SARL's authors: LARS, 0.3 per 256 images and 0.0048 for vectors, weight decay 1e-4, 10 epochs of warm-up.
    OPTIM: ClassVar = {"name": "lars", "lr": 0.3, "vector_lr": 0.016, "weight_decay": 1e-4, "warmup": 0.1}
    PRESETS: ClassVar = {
        "paper": {**PAPER_SCALE, "optim": OPTIM},
        "recommended": {**FEW_STEPS, "method": {"ema_decay": 0.99}},
    }
    OWN_VIEWS: ClassVar = ASYMMETRIC_VIEWS

    def __init__(self, config: MINCConfig) -> None:
        from lightly.models.modules import BarlowTwinsProjectionHead

        super().__init__()
        self.config = config
        self.online = Projected(BarlowTwinsProjectionHead(EMBEDDING, config.width, config.width))
        self.target = TargetNetwork(self.online)
        self.register_buffer("moment_DD", torch.zeros(config.width, config.width))

    @property
    def encoder(self) -> Encoder:
        return self.online.encoder

    def forward(self, first: View, second: View) -> dict[str, Tensor]:
        online = [self.online(view.x_BCHW)[1] for view in (first, second)]
        target = [self.target(view.x_BCHW)[1] for view in (first, second)]
        both = [
            losses.spectral_mutual_information(
                online[i], target[1 - i], self.moment_DD, scale=self.config.scale, form=self.config.form
            )
            for i in (0, 1)
        ]
        moment_DD = losses.second_moment(torch.cat([distributed.gather(z_BD) for z_BD in target]))
        self.moment_DD.lerp_(moment_DD, 1 - self.config.moment_decay)
        return self.weighted({"spectral": (both[0] + both[1]) / 2})

    def weights(self) -> dict[str, float]:
        return {"spectral": 1.0}

    def after_step(self) -> None:
        self.target.update(self.online, self.config.ema_decay)

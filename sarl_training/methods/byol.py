"""BYOL (Grill et al. 2020): predict the target network's projection of the other view."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from sarl_training import losses
from sarl_training.errors import UsageError
from sarl_training.methods.base import ASYMMETRIC_VIEWS, PAPER_SCALE, Method
from sarl_training.networks import EMBEDDING, Encoder, Features
from sarl_training.target_network import TargetNetwork
from sarl_training.views import View


@dataclass(frozen=True)
class BYOLConfig:
    """BYOL's own settings."""

    ema_decay: float = 0.99
    """Decay of the target network, mu of Eq. 1. DeepMind's setting for 100 epochs; SARL's paper has 0.996."""
    ema_schedule: Literal["constant", "cosine"] = "constant"
    """Whether the decay stays or rises to 1 along half a cosine, as in the BYOL paper."""

    def __post_init__(self) -> None:
        if not 0 <= self.ema_decay <= 1:
            raise UsageError(f"--method.ema-decay {self.ema_decay}: must be between 0 and 1")


class Projected(nn.Module):
    """Encoder and projector, the part that a target network copies."""

    def __init__(self, projector: nn.Module) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.projector = projector

    def forward(self, x_BCHW: Tensor) -> tuple[Features, Tensor]:
        features = self.encoder(x_BCHW)
        return features, self.projector(features.embedding_BD)


class BYOL(Method):
    """Global invariance alone (SARL's Eq. 1 and 2), with the heads of the BYOL paper."""

    Config = BYOLConfig
    PRESETS: ClassVar = {
        # DeepMind's byol/configs/byol.py for 100 epochs, its learning rate per 256 images.
        "paper": {
            **PAPER_SCALE,
            "method": {"ema_decay": 0.99, "ema_schedule": "cosine"},
            "optim": {"name": "lars", "lr": 0.45, "weight_decay": 1e-6, "warmup": 0.1},
        },
        "recommended": {},
    }
    OWN_VIEWS: ClassVar = ASYMMETRIC_VIEWS

    def __init__(self, config: BYOLConfig) -> None:
        super().__init__()
        self.config = config
        projector, self.predictor = self.heads()
        self.online = Projected(projector)
        self.target = TargetNetwork(self.online)
        self.ema_decay = config.ema_decay

    def heads(self) -> tuple[nn.Module, nn.Module]:
        """Projector and predictor, 512-4096-256 and 256-4096-256."""
        from lightly.models.modules import BYOLPredictionHead, BYOLProjectionHead

        return BYOLProjectionHead(EMBEDDING, 4096, 256), BYOLPredictionHead(256, 4096, 256)

    @property
    def encoder(self) -> Encoder:
        return self.online.encoder

    def forward(self, first: View, second: View) -> dict[str, Tensor]:
        online = [self.online(view.x_BCHW) for view in (first, second)]
        target = [self.target(view.x_BCHW) for view in (first, second)]
        predictions = [self.predictor(projection_BD) for _, projection_BD in online]
        return self.weighted({
            "global": losses.normalized_mse(predictions[0], target[1][1])
            + losses.normalized_mse(predictions[1], target[0][1]),
            **self.spatial_terms([f for f, _ in online], [f for f, _ in target], first, second),
        })  # fmt: skip

    def spatial_terms(
        self, online: list[Features], target: list[Features], first: View, second: View
    ) -> dict[str, Tensor]:
        """Further terms from the feature maps of both views; BYOL has none."""
        return {}

    def weights(self) -> dict[str, float]:
        return {"global": 1.0}

    def before_step(self, step: int, total: int) -> None:
        if self.config.ema_schedule == "cosine":
            self.ema_decay = 1 - (1 - self.config.ema_decay) * (1 + math.cos(math.pi * step / total)) / 2

    def after_step(self) -> None:
        self.target.update(self.online, self.ema_decay)

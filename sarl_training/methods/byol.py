"""BYOL (Grill et al. 2020): predict the target network's projection of the other view."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from sarl_training import losses
from sarl_training.errors import UsageError
from sarl_training.methods.base import Method
from sarl_training.networks import Encoder, Features, predictor, projector
from sarl_training.target_network import TargetNetwork
from sarl_training.views import View


@dataclass(frozen=True)
class BYOLConfig:
    """BYOL's own settings."""

    ema_decay: float = 0.99
    """Decay of the target network, mu of Eq. 1. The paper's 0.996 suits 100 epochs of a large data set."""

    def __post_init__(self) -> None:
        if not 0 <= self.ema_decay <= 1:
            raise UsageError(f"--method.ema-decay {self.ema_decay}: must be between 0 and 1")


class Projected(nn.Module):
    """Encoder and projector, the part that the target network copies."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.projector = projector()

    def forward(self, x_BCHW: Tensor) -> tuple[Features, Tensor]:
        features = self.encoder(x_BCHW)
        return features, self.projector(features.embedding_BD)


class BYOL(Method):
    """Global invariance alone (the paper's Eq. 1 and 2)."""

    Config = BYOLConfig
    PRESETS: ClassVar = {
        "paper": {
            "image_size": 224,
            "epochs": 100,
            "batch_size": 256,
            "method": {"ema_decay": 0.996},
            "optim": {"decay_all": True, "schedule": "constant", "warmup": 0.0},
        },
        "recommended": {},
    }

    def __init__(self, config: BYOLConfig) -> None:
        super().__init__()
        self.config = config
        self.online = Projected()
        self.predictor = predictor()
        self.target = TargetNetwork(self.online)

    @property
    def encoder(self) -> Encoder:
        return self.online.encoder

    def forward(self, first: View, second: View) -> dict[str, Tensor]:
        online = [self.online(view.x_BCHW) for view in (first, second)]
        target = [self.target(view.x_BCHW) for view in (first, second)]
        predictions = [self.predictor(projection_BD) for _, projection_BD in online]
        terms = {
            "global": losses.normalized_mse(predictions[0], target[1][1])
            + losses.normalized_mse(predictions[1], target[0][1]),
            **self.spatial_terms([f for f, _ in online], [f for f, _ in target], first, second),
        }
        weights = self.weights()
        return {"loss": sum(weights[name] * term for name, term in terms.items()), **terms}

    def spatial_terms(
        self, online: list[Features], target: list[Features], first: View, second: View
    ) -> dict[str, Tensor]:
        """Further terms from the feature maps of both views; BYOL has none."""
        return {}

    def weights(self) -> dict[str, float]:
        return {"global": 1.0}

    def after_step(self) -> None:
        self.target.update(self.online, self.config.ema_decay)

"""VICReg (Bardes et al. 2022): keep the views' projections close, every dimension alive, and dimensions unrelated."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from sarl_training import distributed, losses
from sarl_training.errors import UsageError
from sarl_training.methods.base import ASYMMETRIC_VIEWS, FEW_STEPS, PAPER_SCALE, Method
from sarl_training.networks import EMBEDDING, Encoder
from sarl_training.views import View


@dataclass(frozen=True)
class VICRegConfig:
    """VICReg's own settings."""

    width: int = 2048
    """Width of the three layers of the expander: 2048 in solo-learn's ResNet-18 settings, 8192 in the paper."""
    invariance: float = 25.0
    """Weight lambda of the distance of the views (paper, section 4.2)."""
    variance: float = 25.0
    """Weight mu of the hinge on the standard deviations (paper, section 4.2)."""
    covariance: float = 1.0
    """Weight nu of the covariances (paper, section 4.2)."""

    def __post_init__(self) -> None:
        if self.width < 2 or min(self.invariance, self.variance, self.covariance) < 0:
            raise UsageError(f"--method: {self}: width must be at least 2, and no weight below 0")


class VICReg(Method):
    """Variance, invariance, covariance; the statistics are taken over the images of all processes."""

    Config = VICRegConfig
    # LARS, 0.3 per 256 images for 100 epochs, weight decay 1e-6, 10 epochs of warm-up, down to 1e-3 of the peak
    # (README and main_vicreg.py of facebookresearch/vicreg).
    OPTIM: ClassVar = {"name": "lars", "lr": 0.3, "weight_decay": 1e-6, "warmup": 0.1, "final_lr": 1e-3}
    PRESETS: ClassVar = {
        "paper": {**PAPER_SCALE, "method": {"width": 8192}, "optim": OPTIM},
        "recommended": FEW_STEPS,
    }
    OWN_VIEWS: ClassVar = ASYMMETRIC_VIEWS

    def __init__(self, config: VICRegConfig) -> None:
        from lightly.models.modules.heads import VICRegProjectionHead

        super().__init__()
        self.config = config
        self.encoder = Encoder()
        self.projector = VICRegProjectionHead(EMBEDDING, config.width, config.width)

    def forward(self, first: View, second: View) -> dict[str, Tensor]:
        projections = [
            distributed.gather(self.projector(self.encoder(view.x_BCHW).embedding_BD)) for view in (first, second)
        ]
        return self.weighted({
            "invariance": losses.invariance(*projections),
            "variance": losses.variance(*projections),
            "covariance": losses.covariance(*projections),
        })  # fmt: skip

    def weights(self) -> dict[str, float]:
        return {
            "invariance": self.config.invariance,
            "variance": self.config.variance,
            "covariance": self.config.covariance,
        }

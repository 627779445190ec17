"""Barlow Twins (Zbontar et al. 2021): the views' projections correlate dimension by dimension and not across."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from sarl_training import distributed, losses
from sarl_training.errors import UsageError
from sarl_training.methods.base import ASYMMETRIC_VIEWS, FEW_STEPS, PAPER_SCALE, Method
from sarl_training.networks import EMBEDDING, Encoder
from sarl_training.views import View


@dataclass(frozen=True)
class BarlowTwinsConfig:
    """Barlow Twins' own settings."""

    width: int = 2048
    """Width of the three layers of the projector: 2048 in solo-learn's ResNet-18 settings, 8192 in the paper."""
    off_diagonal: float = 0.0051
    """Weight lambda of the off-diagonal correlations (`--lambd` of the published code; 0.005 in the paper)."""
    loss_scale: float = 0.024
    """Factor on the whole loss (`--scale-loss` of the published code); its authors' value for 256 images per step."""

    def __post_init__(self) -> None:
        if self.width < 2 or self.off_diagonal < 0 or self.loss_scale <= 0:
            raise UsageError(f"--method: {self}: width must be at least 2, off-diagonal not below 0, loss-scale above")


class BarlowTwins(Method):
    """Redundancy reduction; the correlations are taken over the images of all processes."""

    Config = BarlowTwinsConfig
    # The authors' settings for 256 images (issue 7 of facebookresearch/barlowtwins): 0.4; vectors 0.0048 / 0.2 of it
    # (main.py); weight decay 1.5e-6 and 10 epochs of warm-up (paper, section 2.2); down to 1e-3 of the peak.
    OPTIM: ClassVar = {
        "name": "lars", "lr": 0.4, "vector_lr": 0.024, "weight_decay": 1.5e-6, "warmup": 0.1, "final_lr": 1e-3,
    }  # fmt: skip
    PRESETS: ClassVar = {
        "paper": {**PAPER_SCALE, "method": {"width": 8192}, "optim": OPTIM},
        "recommended": FEW_STEPS,
    }
    OWN_VIEWS: ClassVar = ASYMMETRIC_VIEWS

    def __init__(self, config: BarlowTwinsConfig) -> None:
        from lightly.models.modules import BarlowTwinsProjectionHead

        super().__init__()
        self.config = config
        self.encoder = Encoder()
        self.projector = BarlowTwinsProjectionHead(EMBEDDING, config.width, config.width)

    def forward(self, first: View, second: View) -> dict[str, Tensor]:
        first_ND, second_ND = (
            distributed.gather(self.projector(self.encoder(view.x_BCHW).embedding_BD)) for view in (first, second)
        )
        return self.weighted({
            "redundancy": losses.redundancy(first_ND, second_ND, off_diagonal=self.config.off_diagonal)
        })  # fmt: skip

    def weights(self) -> dict[str, float]:
        return {"redundancy": self.config.loss_scale}

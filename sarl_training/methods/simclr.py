"""SimCLR (Chen et al. 2020): find the other view of an image among all views of the batch."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sarl_training import distributed, losses
from sarl_training.errors import UsageError
from sarl_training.methods.base import FEW_STEPS, PAPER_SCALE, Method
from sarl_training.networks import EMBEDDING, Encoder
from sarl_training.views import View


@dataclass(frozen=True)
class SimCLRConfig:
    """SimCLR's own settings."""

    temperature: float = 0.1
    """Temperature tau of NT-Xent; 0.1 is best at 100 epochs (SimCLR, table 5)."""

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise UsageError(f"--method.temperature {self.temperature}: must be above 0")


class SimCLR(Method):
    """Contrast within the batch; both views go through the network as one batch, as in its published code."""

    Config = SimCLRConfig
    # LARS, 0.3 per 256 images, weight decay 1e-6, 10 epochs of warm-up (SimCLR, section 2.2).
    OPTIM: ClassVar = {"name": "lars", "lr": 0.3, "weight_decay": 1e-6, "warmup": 0.1}
    PRESETS: ClassVar = {"paper": {**PAPER_SCALE, "optim": OPTIM}, "recommended": FEW_STEPS}
    # SimCLR, appendix A: jitter of strength 1, blur in half of the views.
    OWN_VIEWS: ClassVar = {
        "views": {
            "crop_scale": (0.08, 1.0), "brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2, "blur": 0.5,
        }
    }  # fmt: skip

    def __init__(self, config: SimCLRConfig) -> None:
        from lightly.models.modules import SimCLRProjectionHead

        super().__init__()
        self.config = config
        self.encoder = Encoder()
        self.projector = SimCLRProjectionHead(EMBEDDING, 2048, 128)

    def forward(self, first: View, second: View) -> dict[str, Tensor]:
        features = self.encoder(torch.cat([first.x_BCHW, second.x_BCHW]))
        first_ND, second_ND = map(distributed.gather, self.projector(features.embedding_BD).chunk(2))
        return self.weighted({"nt_xent": losses.nt_xent(first_ND, second_ND, temperature=self.config.temperature)})

    def weights(self) -> dict[str, float]:
        return {"nt_xent": 1.0}

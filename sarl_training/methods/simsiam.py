"""SimSiam (Chen & He 2021): BYOL without a target network; the stopped gradient alone keeps it from collapsing."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from sarl_training import losses
from sarl_training.methods.base import FEW_STEPS, MOCO_V2_VIEWS, PAPER_SCALE, Method
from sarl_training.networks import EMBEDDING, Encoder
from sarl_training.views import View


@dataclass(frozen=True)
class SimSiamConfig:
    """SimSiam has no settings of its own beside the optimiser's."""


class SimSiam(Method):
    """Each view predicts the other's projection; the predictor keeps its learning rate."""

    Config = SimSiamConfig
    # SGD, 0.05 per 256 images, weight decay 1e-4 on everything, no warm-up (SimSiam, section 3 and main_simsiam.py).
    OPTIM: ClassVar = {"name": "sgd", "lr": 0.05, "weight_decay": 1e-4, "decay_all": True, "warmup": 0.0}
    PRESETS: ClassVar = {"paper": {**PAPER_SCALE, "optim": OPTIM}, "recommended": FEW_STEPS}
    OWN_VIEWS: ClassVar = MOCO_V2_VIEWS

    def __init__(self, config: SimSiamConfig) -> None:
        from lightly.models.modules import SimSiamPredictionHead, SimSiamProjectionHead
        from torchvision.models.resnet import BasicBlock

        super().__init__()
        self.config = config
        self.encoder = Encoder()
        for block in self.encoder.modules():  # `zero_init_residual`: every block begins as the identity
            if isinstance(block, BasicBlock):
                nn.init.zeros_(block.bn2.weight)
        self.projector = SimSiamProjectionHead(EMBEDDING, 2048, 2048)
        self.predictor = SimSiamPredictionHead(2048, 512, 2048)

    def forward(self, first: View, second: View) -> dict[str, Tensor]:
        projections = [self.projector(self.encoder(view.x_BCHW).embedding_BD) for view in (first, second)]
        predictions = [self.predictor(projection_BD) for projection_BD in projections]
        both = [losses.normalized_mse(predictions[i], projections[1 - i]) for i in (0, 1)]
        # Eq. 2 is minus the mean cosine, an affine map of this one, with half its slope: 2 - 2 cos, halved.
        return self.weighted({"global": (both[0] + both[1]) / 2})

    def weights(self) -> dict[str, float]:
        return {"global": 0.5}

    def steady(self) -> tuple[str, ...]:
        return tuple(f"predictor.{name}" for name, _ in self.predictor.named_parameters())

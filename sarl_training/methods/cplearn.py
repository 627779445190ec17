"""CPLearn (Sansone et al., ICML 2025): both views choose the same one of many fixed random codes, and all are used."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from sarl_training import losses
from sarl_training.errors import UsageError
from sarl_training.methods.base import ASYMMETRIC_VIEWS, PAPER_SCALE, Method
from sarl_training.networks import EMBEDDING, Encoder
from sarl_training.views import View


@dataclass(frozen=True)
class CPLearnConfig:
    """CPLearn's own settings, by default those of its published code."""

    width: int = 2048
    """Length f of the codes."""
    codes: int = 16384
    """Number c of codes."""
    agreement: float = 1.0
    """Weight beta of agreeing against using all codes."""

    def __post_init__(self) -> None:
        if self.width < 2 or not 2 <= self.codes <= 10**7 or self.agreement < 0:
            raise UsageError(f"--method: {self}: width and codes must be at least 2, agreement not below 0")


class CPLearn(Method):
    """No target network, no stopped gradient, no predictor: a linear layer, a batch norm and the codes.

    The paper's form of the embedding, on the sphere; the published code has a tanh there.
    """

    Config = CPLearnConfig
    # Adam, 1e-3, weight decay 1e-4, warm-up and cosine (published CIFAR settings).
    OPTIM: ClassVar = {"name": "adam", "lr": 1e-3, "weight_decay": 1e-4, "warmup": 0.1}
    PRESETS: ClassVar = {"paper": {**PAPER_SCALE, "optim": OPTIM}, "recommended": {"batch_size": 256, "optim": OPTIM}}
    # Published for 32 px without blur; at larger sizes solo-learn, on which the code stands, has BYOL's pair.
    OWN_VIEWS: ClassVar = ASYMMETRIC_VIEWS

    def __init__(self, config: CPLearnConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder()
        self.projector = nn.Sequential(nn.Linear(EMBEDDING, config.width), nn.BatchNorm1d(config.width))
        codes_FC = torch.randint(0, 2, (config.width, config.codes), dtype=torch.int8).mul_(2).sub_(1)
        self.register_buffer("codes_FC", codes_FC)

    def forward(self, first: View, second: View) -> dict[str, Tensor]:
        codes_FC = self.codes_FC.to(self.projector[0].weight.dtype)
        a_BC, b_BC = (
            losses.code_log_probabilities(self.projector(self.encoder(view.x_BCHW).embedding_BD), codes_FC)
            for view in (first, second)
        )
        return self.weighted({
            "imbalance": (losses.code_imbalance(a_BC) + losses.code_imbalance(b_BC)) / 2,
            "agreement": (losses.code_agreement(a_BC, b_BC) + losses.code_agreement(b_BC, a_BC)) / 2,
        })  # fmt: skip

    def weights(self) -> dict[str, float]:
        return {"imbalance": 1.0, "agreement": self.config.agreement}

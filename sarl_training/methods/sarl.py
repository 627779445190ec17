"""SARL (arXiv 2512.01908): BYOL and three spatial objectives on the feature maps."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sarl_training import geometry, losses
from sarl_training.errors import UsageError
from sarl_training.methods.base import PAPER_SCALE
from sarl_training.methods.byol import BYOL, BYOLConfig
from sarl_training.networks import MAP_CHANNELS, Features, predictor, projector
from sarl_training.views import View

SALIENCY_LAYERS = ("layer2", "layer3", "layer4")
PART_LAYER = "layer3"


@dataclass(frozen=True)
class SARLConfig(BYOLConfig):
    """SARL's own settings. The paper's weights (0.10, 0.05, 0.02) leave the spatial terms almost without influence."""

    sal_weight: float = 300.0
    """Weight of saliency alignment, lambda_SAL of Eq. 6."""
    ppda_weight: float = 3.0
    """Weight of patch-prototype distribution alignment, lambda_PPDA of Eq. 6."""
    ram_weight: float = 6.0
    """Weight of region affinity matching, lambda_RAM of Eq. 6."""
    prototypes: int = 32
    """Number of prototypes, K of Eq. 4."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.sal_weight, self.ppda_weight, self.ram_weight) < 0 or self.prototypes < 2:
            raise UsageError(f"--method: {self}: weights must not be below 0, and prototypes must be at least 2")


class SARL(BYOL):
    """Where is salient, what parts are there, how are they arranged (Eq. 3 to 6), on top of BYOL's global term."""

    Config = SARLConfig
    PRESETS: ClassVar = {
        "paper": {
            **PAPER_SCALE,
            "method": {"ema_decay": 0.996, "sal_weight": 0.10, "ppda_weight": 0.05, "ram_weight": 0.02},
            "optim": {"decay_all": True, "schedule": "constant", "warmup": 0.0},
        },
        "recommended": {},
    }
    OWN_VIEWS: ClassVar = {}

    def __init__(self, config: SARLConfig) -> None:
        super().__init__(config)
        self.prototypes_KC = nn.Parameter(F.normalize(torch.randn(config.prototypes, MAP_CHANNELS[PART_LAYER]), dim=1))

    def heads(self) -> tuple[nn.Module, nn.Module]:
        """Projector and predictor, 512-2048-256 and 256-512-256; the paper does not give the hidden widths."""
        return projector(), predictor()

    def spatial_terms(
        self, online: list[Features], target: list[Features], first: View, second: View
    ) -> dict[str, Tensor]:
        forth = geometry.view_to_view(first.to_source_B23, second.to_source_B23)
        back = geometry.view_to_view(second.to_source_B23, first.to_source_B23)
        pairs = ((online[0].maps, target[1].maps, forth), (online[1].maps, target[0].maps, back))
        sal = [losses.saliency_alignment(o[layer], t[layer], warp) for o, t, warp in pairs for layer in SALIENCY_LAYERS]
        ppda = [
            losses.prototype_distribution_alignment(o[PART_LAYER], t[PART_LAYER], self.prototypes_KC)
            for o, t, _ in pairs
        ]
        ram = [losses.region_affinity_matching(o[PART_LAYER], t[PART_LAYER], warp) for o, t, warp in pairs]
        return {name: torch.stack(values).mean() for name, values in (("sal", sal), ("ppda", ppda), ("ram", ram))}

    def weights(self) -> dict[str, float]:
        config = self.config
        return {**super().weights(), "sal": config.sal_weight, "ppda": config.ppda_weight, "ram": config.ram_weight}

    def spared(self) -> tuple[str, ...]:
        return ("prototypes_KC",)

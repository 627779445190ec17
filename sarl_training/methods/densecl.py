"""DenseCL (Wang et al. 2021): MoCo on the whole image and on each place of the last map with the place most like it.

Keys come from batch-norm statistics averaged over training (EMAN, Cai et al. 2021) instead of shuffled batches: they
carry no trace of the batch either, and one device and many do the same.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from sarl_training import distributed, losses
from sarl_training.errors import UsageError
from sarl_training.feature_queue import FeatureQueue
from sarl_training.methods.base import FEW_STEPS, MOCO_V2_VIEWS, PAPER_SCALE, Method
from sarl_training.networks import EMBEDDING, Encoder
from sarl_training.target_network import AveragedTarget
from sarl_training.views import View

WIDTH = 128


@dataclass(frozen=True)
class DenseCLConfig:
    """DenseCL's own settings."""

    ema_decay: float = 0.999
    """Decay of the key network (paper, section 4.1)."""
    temperature: float = 0.2
    """Temperature tau of both terms (paper, section 4.1)."""
    dense_weight: float = 0.5
    """Weight lambda of the dense term, the global one has the rest (paper, Eq. 3)."""
    queue: int = 2048
    """Keys to contrast with, per term: 65536 in the paper for 1.3 million images. At most a quarter of the images:
    larger queues hold the image itself."""

    def __post_init__(self) -> None:
        if not (0 <= self.ema_decay <= 1 and 0 <= self.dense_weight <= 1) or self.temperature <= 0 or self.queue < 1:
            raise UsageError(
                f"--method: {self}: ema-decay and dense-weight must be in [0, 1], temperature above 0, queue at least 1"
            )


class DenseHeads(nn.Module):
    """Encoder and both heads, 512-2048-128 without batch norm; the part that the key network copies."""

    def __init__(self) -> None:
        from lightly.models.modules.heads import DenseCLProjectionHead

        super().__init__()
        self.encoder = Encoder()
        self.whole = DenseCLProjectionHead(EMBEDDING, 2048, WIDTH)
        self.dense = DenseCLProjectionHead(EMBEDDING, 2048, WIDTH)

    def forward(self, x_BCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Projection of the whole image B×128; of each of P places B×P×128; the map itself B×P×512."""
        features = self.encoder(x_BCHW)
        places_BPC = features.maps["layer4"].flatten(2).transpose(1, 2)
        return self.whole(features.embedding_BD), self.dense(places_BPC), places_BPC


class DenseCL(Method):
    """One direction: the first view asks, the second one is found."""

    Config = DenseCLConfig
    # SGD, 0.03 per 256 images, weight decay 1e-4 on everything, cosine without warm-up (published ImageNet settings).
    OPTIM: ClassVar = {"name": "sgd", "lr": 0.03, "weight_decay": 1e-4, "decay_all": True, "warmup": 0.0}
    PRESETS: ClassVar = {
        "paper": {**PAPER_SCALE, "optim": OPTIM},
        "recommended": {**FEW_STEPS, "method": {"ema_decay": 0.99}},
    }
    OWN_VIEWS: ClassVar = MOCO_V2_VIEWS

    def __init__(self, config: DenseCLConfig) -> None:
        super().__init__()
        self.config = config
        self.online = DenseHeads()
        self.target = AveragedTarget(self.online)
        self.whole_queue, self.dense_queue = FeatureQueue(config.queue, WIDTH), FeatureQueue(config.queue, WIDTH)

    @property
    def encoder(self) -> Encoder:
        return self.online.encoder

    def forward(self, first: View, second: View) -> dict[str, Tensor]:
        whole_BD, dense_BPD, map_BPC = self.online(first.x_BCHW)
        key_whole_BD, key_dense_BPD, key_map_BPC = self.target(second.x_BCHW)
        positive_BPD = losses.matched(map_BPC, key_map_BPC, key_dense_BPD)
        tau, whole_QD, dense_QD = self.config.temperature, self.whole_queue.rows_QD, self.dense_queue.rows_QD
        terms = {
            "whole": losses.info_nce(whole_BD, key_whole_BD, whole_QD, temperature=tau),
            "dense": losses.info_nce(dense_BPD.flatten(0, 1), positive_BPD.flatten(0, 1), dense_QD, temperature=tau),
        }
        self.whole_queue.push(distributed.gather(F.normalize(key_whole_BD.to(whole_QD.dtype), dim=1)))
        # An image's key in the dense queue is its map's mean projection.
        pooled_BD = F.normalize(key_dense_BPD.to(dense_QD.dtype).mean(dim=1), dim=1)
        self.dense_queue.push(distributed.gather(pooled_BD))
        return self.weighted(terms)

    def weights(self) -> dict[str, float]:
        return {"whole": 1 - self.config.dense_weight, "dense": self.config.dense_weight}

    def after_step(self) -> None:
        self.target.update(self.online, self.config.ema_decay)

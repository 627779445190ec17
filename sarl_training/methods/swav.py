"""SwAV (Caron et al. 2020): views of one image choose the same prototypes, and the batch uses all of them."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sarl_training import distributed, losses
from sarl_training.config import IMAGE_SIZES
from sarl_training.errors import UsageError
from sarl_training.feature_queue import FeatureQueue
from sarl_training.methods.base import FEW_STEPS, PAPER_SCALE, Method
from sarl_training.networks import EMBEDDING, Encoder
from sarl_training.views import View, ViewConfig, ViewPlan

LARGE_VIEWS = 2
SMALL_SIDE = 96 / 224  # side of a small view over that of a large one
WIDTH = 128


@dataclass(frozen=True)
class SwAVConfig:
    """SwAV's own settings: those of its 256-image script (swav_200ep_bs256), scaled to 100 epochs."""

    prototypes: int = 300
    """Number of prototypes: 3000 in the paper, about ten per class; a number far above the batch stays unused."""
    temperature: float = 0.1
    """Temperature of the prediction."""
    epsilon: float = 0.05
    """Softness of the codes; 0.03 where the loss stays at log(prototypes) (the published code's advice)."""
    queue: int = 3840
    """Earlier projections per large view that share in the codes; 0 for none."""
    queue_start: float = 0.15
    """Share of training after which the queue is filled and then used: epoch 15."""
    freeze: float = 0.01
    """Share of training in which the prototypes stay as drawn: one epoch."""
    small_views: int = 0
    """Small views per image beside the two large ones."""
    small_scale: tuple[float, float] = (0.05, 0.14)
    """Smallest and largest share of the image's area in a small view."""

    def __post_init__(self) -> None:
        if self.prototypes < 2 or min(self.temperature, self.epsilon) <= 0 or min(self.queue, self.small_views) < 0:
            raise UsageError(
                f"--method: {self}: prototypes must be at least 2, temperature and epsilon above 0, "
                "queue and small-views not below 0"
            )
        if not (0 <= self.queue_start <= 1 and 0 <= self.freeze <= 1):
            raise UsageError(f"--method: queue-start {self.queue_start}, freeze {self.freeze}: must be between 0 and 1")
        low, high = self.small_scale
        if not 0 < low <= high <= 1:
            raise UsageError(f"--method.small-scale {low} {high}: must be two shares from above 0 to 1, smallest first")


class SwAV(Method):
    """Online clustering with multi-crop and a queue."""

    Config = SwAVConfig
    # SGD in LARC (trust 0.001) over everything, prototypes too (main_swav.py); 0.6 down to 0.0006, weight decay 1e-6,
    # no warm-up (swav_200ep_bs256).
    OPTIM: ClassVar = {
        "name": "lars", "lr": 0.6, "weight_decay": 1e-6, "decay_all": True, "warmup": 0.0, "final_lr": 1e-3,
    }  # fmt: skip
    PRESETS: ClassVar = {
        "paper": {**PAPER_SCALE, "method": {"prototypes": 3000}, "optim": OPTIM},
        "recommended": FEW_STEPS,
    }
    OWN_VIEWS: ClassVar = {
        "views": {
            "crop_scale": (0.14, 1.0), "brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2, "blur": 0.5,
        },
        "method": {"small_views": 6},
    }  # fmt: skip

    def __init__(self, config: SwAVConfig) -> None:
        from lightly.models.modules import SwaVProjectionHead

        super().__init__()
        self.config = config
        self.encoder = Encoder()
        self.projector = SwaVProjectionHead(EMBEDDING, 2048, WIDTH)
        self.prototypes_KD = nn.Parameter(F.normalize(torch.randn(config.prototypes, WIDTH), dim=1))
        self.queues = nn.ModuleList(
            FeatureQueue(config.queue, WIDTH) for _ in range(LARGE_VIEWS if config.queue else 0)
        )
        self.frozen, self.steps_of_queue = False, -1

    def plan(self, config: ViewConfig, size: int) -> tuple[ViewPlan, ...]:
        # Not below the encoder's smallest: at 16 px oneDNN's bfloat16 gradient of layer 4 is garbage (torch 2.15).
        side = max(8 * round(size * SMALL_SIDE / 8), IMAGE_SIZES.start)
        # The published blur is as wide in pixels on small views as on large ones.
        sigma = tuple(value * size / side for value in config.blur_sigma)
        small = replace(config.second(), crop_scale=self.config.small_scale, blur_sigma=sigma, same_zoom=False)
        return (*super().plan(config, size), *[ViewPlan(small, side)] * self.config.small_views)

    def forward(self, *views: View) -> dict[str, Tensor]:
        projections = self.project(views)
        # Times 0 rather than detached: every parameter has a gradient, and it is zero.
        prototypes_KD = self.prototypes_KD.detach() + self.prototypes_KD * 0 if self.frozen else self.prototypes_KD
        with torch.autocast(projections[0].device.type, enabled=False):
            cosines = [z_BD @ prototypes_KD.T for z_BD in projections]
            queued = [self.queued(large, len(cosines[large])) for large in range(LARGE_VIEWS)]
        predictions = []
        for large in range(LARGE_VIEWS):
            codes_BK = losses.balanced_codes(cosines[large], queued[large], epsilon=self.config.epsilon)
            predictions += [
                losses.swapped_prediction(cosine_BK, codes_BK, temperature=self.config.temperature)
                for other, cosine_BK in enumerate(cosines)
                if other != large
            ]
        if self.steps_of_queue >= 0:
            for queue, z_BD in zip(self.queues, projections[: len(self.queues)], strict=True):
                queue.push(distributed.gather(z_BD.detach()))
        return self.weighted({"swapped": torch.stack(predictions).mean()})

    def project(self, views: tuple[View, ...]) -> list[Tensor]:
        """Unit-norm projections, B×128 per view, in the precision of the prototypes.

        Views of one size go through the encoder as one batch, all together through the projector.
        """
        batches = [views[:LARGE_VIEWS], views[LARGE_VIEWS:]]
        embeddings = [self.encoder(torch.cat([v.x_BCHW for v in batch])).embedding_BD for batch in batches if batch]
        projections_ND = self.projector(torch.cat(embeddings)).to(self.prototypes_KD.dtype)
        return list(F.normalize(projections_ND, dim=1).chunk(len(views)))

    @torch.no_grad()
    def queued(self, large: int, batch: int) -> Tensor:
        """Cosines of the queue's projections to the prototypes, Q×K; none before the queue was filled once."""
        if not self.queues or self.steps_of_queue * batch * distributed.world_size() < self.config.queue:
            return self.prototypes_KD.new_empty(0, len(self.prototypes_KD))
        return self.queues[large].rows_QD @ self.prototypes_KD.T

    def weights(self) -> dict[str, float]:
        return {"swapped": 1.0}

    def before_step(self, step: int, total: int) -> None:
        self.frozen = step < round(self.config.freeze * total)
        self.steps_of_queue = step - round(self.config.queue_start * total)

    @torch.no_grad()
    def after_step(self) -> None:
        self.prototypes_KD.copy_(F.normalize(self.prototypes_KD, dim=1))

    def spared(self) -> tuple[str, ...]:
        return ("prototypes_KD",)

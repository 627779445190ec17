"""Fine-tuning for classification: layer 4 and a head on GAP(layer 3) and GAP(layer 4) (paper V-B), or all from scratch.

The paper does not give batch size, weight decay or augmentation: 64, that of pretraining, and none.
Shapes: N samples, B batch, K classes.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR
from tqdm import tqdm

from sarl_training.errors import RunFailed, UsageError
from sarl_training.networks import MAP_CHANNELS, Encoder, normalise

WEIGHT_DECAY = 1e-4
_LARGEST = 256  # images computed at once without gradients


@dataclass(frozen=True)
class FineTuning:
    """How to fine-tune."""

    trained: Literal["layer4", "all"] = "layer4"
    epochs: int = 60
    batch_size: int = 64
    lr: float = 1e-2

    def __post_init__(self) -> None:
        for flag, value, least in (("--epochs", self.epochs, 1), ("--batch-size", self.batch_size, 2)):
            if value < least:
                raise UsageError(f"{flag} {value}: must be at least {least}")
        if not self.lr > 0:
            raise UsageError(f"--lr {self.lr}: must be above 0")


class _Tail(nn.Module):
    """What is trained: takes layer-3 maps, or with `trunk` normalised images; gives logits [B, K]."""

    def __init__(self, encoder: Encoder, classes: int, whole: bool) -> None:
        super().__init__()
        self.trunk = trunk_of(encoder) if whole else nn.Identity()
        self.layer4 = encoder.layer4
        self.head = nn.Linear(MAP_CHANNELS["layer3"] + MAP_CHANNELS["layer4"], classes)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        layer3 = self.trunk(x_BCHW)
        return self.head(torch.cat([layer3.mean((2, 3)), self.layer4(layer3).mean((2, 3))], 1))


def trunk_of(encoder: Encoder) -> nn.Sequential:
    """The encoder up to layer 3."""
    return nn.Sequential(encoder.stem, encoder.layer1, encoder.layer2, encoder.layer3)


def fine_tune(
    encoder: Encoder,
    images_NHWC: np.ndarray,
    labels_N: Tensor,
    rows: Mapping[str, Tensor],
    classes: int,
    settings: FineTuning,
    seed: int,
    label: str = "fine-tune",
) -> dict[str, Tensor]:
    """Logits [N, K] of the `val` and `test` rows after the epoch with the best val Top-1; `encoder` is not changed.

    The frozen layers run once. Raises RunFailed when the loss is not finite.
    """
    device = next(encoder.parameters()).device
    encoder = copy.deepcopy(encoder).eval()
    whole = settings.trained == "all"
    inputs = torch.from_numpy(np.array(images_NHWC)) if whole else _layer3_maps(encoder, images_NHWC)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tail = _Tail(encoder, classes, whole).to(device)
    order = torch.Generator().manual_seed(seed)
    optimiser = AdamW(tail.parameters(), settings.lr, weight_decay=WEIGHT_DECAY)
    batch = min(settings.batch_size, len(rows["train"]))
    schedule = CosineAnnealingLR(optimiser, settings.epochs * (len(rows["train"]) // batch))
    best, chosen = -1.0, {}
    for _ in tqdm(range(settings.epochs), label, unit="epoch", delay=1, leave=False):
        tail.train()
        shuffled = rows["train"][torch.randperm(len(rows["train"]), generator=order)]
        for index_B in shuffled[: len(shuffled) // batch * batch].split(batch):
            loss = F.cross_entropy(tail(_to(inputs[index_B], device)), labels_N[index_B].to(device))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        if not torch.isfinite(loss):
            raise RunFailed(f"{label}: the loss is {loss.item()}; lower the learning rate ({settings.lr})")
        logits = _predict(tail, inputs[rows["val"]], device)
        top1 = float((logits.argmax(1) == labels_N[rows["val"]]).float().mean())
        if top1 > best:
            best, chosen = top1, copy.deepcopy(tail.state_dict())
    tail.load_state_dict(chosen)
    return {split: _predict(tail, inputs[rows[split]], device) for split in ("val", "test")}


def _to(inputs: Tensor, device: torch.device) -> Tensor:
    """Maps as float32, or images normalised."""
    return normalise(inputs.to(device)) if inputs.dtype == torch.uint8 else inputs.to(device, torch.float32)


@torch.inference_mode()
def _layer3_maps(encoder: Encoder, images_NHWC: np.ndarray) -> Tensor:
    """[N, 256, H, W] float16 on the CPU: 100 KB an image at 224 px."""
    trunk, device = trunk_of(encoder), next(encoder.parameters()).device
    starts = tqdm(range(0, len(images_NHWC), 64), "layer 3", unit="batch", delay=1, leave=False)
    parts = [trunk(_to(torch.from_numpy(np.array(images_NHWC[i : i + 64])), device)).half().cpu() for i in starts]
    return torch.cat(parts).clone()


@torch.no_grad()
def _predict(tail: _Tail, inputs: Tensor, device: torch.device) -> Tensor:
    tail.eval()
    return torch.cat([tail(_to(part, device)).float().cpu() for part in inputs.split(_LARGEST)])

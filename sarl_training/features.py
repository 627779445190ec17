"""Frozen encoders applied to many images, and the random-init encoder to compare a pretrained one with."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from sarl_training.config import check_image_size
from sarl_training.deployed_model import Trunk, TrunkFeatures
from sarl_training.errors import UsageError
from sarl_training.networks import Encoder, normalise
from sarl_training.readouts import HasFeatures

_BATCH_SIZE = 64
STATISTICS_IMAGES = 1024


def extract(
    encoder: Encoder, readout: Callable[[HasFeatures], Tensor], images_NHWC: np.ndarray, label: str = "embed"
) -> Tensor:
    """float32 [N, F] on the CPU: the readout of every image, encoder in eval mode on its own device."""
    encoder.eval()
    device = next(encoder.parameters()).device
    rows = []
    starts = range(0, len(images_NHWC), _BATCH_SIZE)
    with torch.inference_mode():
        for start in tqdm(starts, label, unit="batch", delay=1, leave=False):
            rows.append(readout(encoder(_batch(images_NHWC, start, device))).float().cpu())
    return torch.cat(rows)


def extract_trunk(trunk: Trunk, images_NHWC: np.ndarray, label: str) -> TrunkFeatures:
    """What the heads see of every image, on the CPU; the trunk on its own device."""
    device = next(trunk.parameters()).device
    rows: list[TrunkFeatures] = []
    with torch.inference_mode():
        for start in tqdm(range(0, len(images_NHWC), _BATCH_SIZE), label, unit="batch", delay=1, leave=False):
            batch = torch.from_numpy(np.array(images_NHWC[start : start + _BATCH_SIZE])).to(device)
            rows.append(TrunkFeatures(*(part.float().cpu() for part in trunk(batch))))
    return TrunkFeatures(*(torch.cat(parts) for parts in zip(*rows, strict=True)))


def image_size_for(metadata: Mapping[str, str], asked: int | None) -> int:
    """The size asked for, else the one the encoder was trained at; UsageError when it is none or impossible."""
    size = metadata.get("image_size", "") if asked is None else asked
    if not str(size).isdigit():
        raise UsageError("--image-size: no encoder says which size it was trained at; give one, for example 128")
    return check_image_size(int(size))


def statistics_sample(pool: Sequence[Path]) -> list[Path]:
    """Images to estimate batch-norm statistics on: at most 1024, evenly over the pool."""
    return [pool[i] for i in np.linspace(0, len(pool) - 1, min(STATISTICS_IMAGES, len(pool))).astype(int)]


def random_encoder(images_NHWC: np.ndarray, seed: int, device: torch.device) -> Encoder:
    """A ResNet-18 that has learned nothing but its batch-norm statistics, averaged over `images_NHWC`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = Encoder().to(device)
    norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # plain average over batches
    encoder.train()
    with torch.no_grad():
        for start in range(0, len(images_NHWC), _BATCH_SIZE):
            encoder(_batch(images_NHWC, start, device))
    for norm in norms:
        norm.momentum = 0.1  # torch's default: what fine-tunes this encoder expects it
    return encoder.eval()


def _batch(images_NHWC: np.ndarray, start: int, device: torch.device) -> Tensor:
    return normalise(torch.from_numpy(np.array(images_NHWC[start : start + _BATCH_SIZE])).to(device))

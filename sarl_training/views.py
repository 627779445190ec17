"""Batched augmented views of images, each with the affine map from its own coordinates to the source image's.

Every random number is a hash of (seed, sample, epoch, view, draw): a view does not depend on the batch it is in, and a resumed run sees the same ones.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sarl_training import photometric
from sarl_training.errors import UsageError

CROP_TRIES = 10  # as torchvision's RandomResizedCrop; then the whole image is taken
BLUR_REFERENCE = 224  # px; blur_sigma and BLUR_KERNEL are given at this image size and shrink with it
BLUR_KERNEL = 23


@dataclass(frozen=True)
class ViewConfig:
    """How a view differs from its image."""

    crop_scale: tuple[float, float] = (0.6, 1.0)
    """Smallest and largest share of the image's area in a crop."""
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Smallest and largest width / height of a crop."""
    flip: float = 0.0
    """Probability of a horizontal flip."""
    jitter: float = 0.8
    """Probability of a colour jitter."""
    brightness: float = 0.4
    """Brightness factor is drawn from 1 ± this."""
    contrast: float = 0.4
    """Contrast factor is drawn from 1 ± this."""
    saturation: float = 0.2
    """Saturation factor is drawn from 1 ± this."""
    hue: float = 0.1
    """Hue shift in turns is drawn from ± this."""
    grayscale: float = 0.2
    """Probability of losing all colour."""
    blur: float = 1.0
    """Probability of a Gaussian blur."""
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    """Standard deviation of the blur in pixels of a 224 px image; it shrinks with the image, as does the 23 px kernel."""

    def __post_init__(self) -> None:
        for name, most in (("crop_scale", 1.0), ("crop_ratio", math.inf), ("blur_sigma", math.inf)):
            low, high = getattr(self, name)
            if not 0 < low <= high <= most:
                raise UsageError(f"--views.{name.replace('_', '-')} {low} {high}: must be two numbers above 0, the smaller first, none above {most}")
        for name in ("flip", "jitter", "brightness", "contrast", "saturation", "grayscale", "blur"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"--views.{name} {getattr(self, name)}: must be between 0 and 1")
        if not 0 <= self.hue <= 0.5:
            raise UsageError(f"--views.hue {self.hue}: must be between 0 and 0.5 turns")


class View(NamedTuple):
    """One augmented view of a batch."""

    x_BCHW: Tensor
    """Encoder input: float32, (value - 0.5) / 0.5, channels last."""
    to_source_B23: Tensor
    """Affine map from the view's normalised coordinates to the source image's."""


def make_view(images_BHWC: Tensor, samples_B: np.ndarray, size: int, config: ViewConfig, *, seed: int, epoch: int, view: int) -> View:
    """View number `view` (0 or 1) of uint8 RGB images, size×size pixels; `samples_B` are their indices in the data set."""
    draws_BN = uniform(seed, samples_B, epoch, view, count=3 * CROP_TRIES + 10)
    device = images_BHWC.device
    to_source_B23 = torch.from_numpy(_crop_and_flip(draws_BN[:, : 3 * CROP_TRIES + 1], config)).to(device, non_blocking=True)
    colours_B10 = torch.from_numpy(draws_BN[:, 3 * CROP_TRIES + 1 :].astype(np.float32)).to(device, non_blocking=True)
    x_BCHW = _resample(images_BHWC, to_source_B23, size)
    x_BCHW = _jitter(x_BCHW, colours_B10, config)
    x_BCHW = _blur(x_BCHW, colours_B10[:, 7] < config.blur, _between(colours_B10[:, 8], config.blur_sigma))
    x_BCHW = x_BCHW.mul(2).sub(1).contiguous(memory_format=torch.channels_last)
    return View(x_BCHW, to_source_B23)


def uniform(seed: int, samples_B: np.ndarray, epoch: int, view: int, *, count: int) -> np.ndarray:
    """B×count numbers in [0, 1) that depend on nothing but the arguments of their row: SplitMix64's mixer over a chain of counters."""
    state = np.zeros((len(samples_B), 1), np.uint64)
    with np.errstate(over="ignore"):
        for part in (np.uint64(seed), np.asarray(samples_B, np.uint64)[:, None], np.uint64(epoch), np.uint64(view), np.arange(count, dtype=np.uint64)):
            state = _mix((state ^ part) + np.uint64(0x9E3779B97F4A7C15))
    return (state >> np.uint64(11)) * 2.0**-53


def _mix(state: np.ndarray) -> np.ndarray:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def _crop_and_flip(draws_BN: np.ndarray, config: ViewConfig) -> np.ndarray:
    """RandomResizedCrop without rounding to pixels, then the flip, as B×2×3 float32."""
    area_BT, ratio_BT = draws_BN[:, :CROP_TRIES], draws_BN[:, CROP_TRIES : 2 * CROP_TRIES]
    area_BT = config.crop_scale[0] + area_BT * (config.crop_scale[1] - config.crop_scale[0])
    log_low, log_high = np.log(config.crop_ratio)
    ratio_BT = np.exp(log_low + ratio_BT * (log_high - log_low))
    width_BT, height_BT = np.sqrt(area_BT * ratio_BT), np.sqrt(area_BT / ratio_BT)
    fits_BT = (width_BT <= 1) & (height_BT <= 1)
    rows, first = np.arange(len(draws_BN)), fits_BT.argmax(axis=1)
    width_B = np.where(fits_BT.any(axis=1), width_BT[rows, first], 1.0)
    height_B = np.where(fits_BT.any(axis=1), height_BT[rows, first], 1.0)
    place_B2 = draws_BN[:, 2 * CROP_TRIES : 2 * CROP_TRIES + 2]
    mirror_B = np.where(draws_BN[:, 3 * CROP_TRIES] < config.flip, -1.0, 1.0)
    affine_B23 = np.zeros((len(draws_BN), 2, 3), np.float32)
    affine_B23[:, 0, 0], affine_B23[:, 0, 2] = mirror_B * width_B, (1 - width_B) * (2 * place_B2[:, 0] - 1)
    affine_B23[:, 1, 1], affine_B23[:, 1, 2] = height_B, (1 - height_B) * (2 * place_B2[:, 1] - 1)
    return affine_B23


def _resample(images_BHWC: Tensor, to_source_B23: Tensor, size: int) -> Tensor:
    """Sample uint8 images through an axis-aligned map: float B×3×size×size in [0, 1].

    Crops keep rows and columns apart, so two small matrices per sample do it, with a triangle filter as wide as the shrinking asks for.
    """
    batch, height, width, _ = images_BHWC.shape
    rows_BSH = _triangle(to_source_B23[:, 1, 1], to_source_B23[:, 1, 2], height, size)
    columns_BSW = _triangle(to_source_B23[:, 0, 0], to_source_B23[:, 0, 2], width, size)
    x_BSWC = (rows_BSH @ images_BHWC.float().view(batch, height, width * 3)).view(batch, size, width, 3)
    x_BRW = x_BSWC.permute(0, 3, 1, 2).reshape(batch, 3 * size, width)
    return (x_BRW @ columns_BSW.mT).view(batch, 3, size, size).mul_(1 / 255)


def _triangle(scale_B: Tensor, offset_B: Tensor, source: int, size: int) -> Tensor:
    """B×size×source interpolation weights along one axis: bilinear when growing, area-wide when shrinking, border pixels repeated."""
    view_S = (2 * torch.arange(size, device=scale_B.device) + 1) / size - 1
    centre_BS1 = ((scale_B[:, None] * view_S + offset_B[:, None] + 1) * source / 2 - 0.5).clamp(0, source - 1).unsqueeze(2)
    reach_B11 = (scale_B.abs() * source / size).clamp_min(1)[:, None, None]
    weights_BSN = (1 - (centre_BS1 - torch.arange(source, device=scale_B.device)).abs() / reach_B11).clamp_min(0)
    return weights_BSN / weights_BSN.sum(dim=2, keepdim=True)


def _jitter(x_BCHW: Tensor, draws_BN: Tensor, config: ViewConfig) -> Tensor:
    """Brightness, contrast, saturation, hue (in this order; torchvision shuffles it), then grayscale, with factors per sample."""
    on_B = draws_BN[:, 0] < config.jitter
    factor = lambda column, strength: torch.where(on_B, 1 + strength * (2 * draws_BN[:, column] - 1), 1.0)  # noqa: E731
    x_BCHW = photometric.adjust_brightness(x_BCHW, factor(1, config.brightness))
    x_BCHW = photometric.adjust_contrast(x_BCHW, factor(2, config.contrast))
    x_BCHW = photometric.adjust_saturation(x_BCHW, factor(3, config.saturation))
    if config.hue:
        x_BCHW = photometric.shift_hue(x_BCHW, factor(4, config.hue) - 1)
    return photometric.adjust_saturation(x_BCHW, (draws_BN[:, 5] >= config.grayscale).float())


def _blur(x_BCHW: Tensor, on_B: Tensor, sigma_B: Tensor) -> Tensor:
    """Gaussian blur with a sigma per sample; weights that would fall outside the image go to the rest."""
    size = x_BCHW.shape[-1]
    sigma_B = sigma_B * size / BLUR_REFERENCE
    distance_SS = (torch.arange(size, device=x_BCHW.device)[:, None] - torch.arange(size, device=x_BCHW.device)).abs()
    weights_BSS = torch.exp(-0.5 * (distance_SS / sigma_B[:, None, None]).square()) * (distance_SS <= max(1, round(BLUR_KERNEL * size / BLUR_REFERENCE) // 2))
    weights_BSS = torch.where(on_B[:, None, None], weights_BSS / weights_BSS.sum(dim=2, keepdim=True), torch.eye(size, device=x_BCHW.device))
    # Both axes as plain batched products: torch would broadcast the weights to every channel by a copy.
    along_rows = (x_BCHW.reshape(len(x_BCHW), -1, size) @ weights_BSS.mT).view_as(x_BCHW)
    return (along_rows.mT.reshape(len(x_BCHW), -1, size) @ weights_BSS.mT).view_as(x_BCHW).mT


def _between(draw_B: Tensor, bounds: tuple[float, float]) -> Tensor:
    return bounds[0] + draw_B * (bounds[1] - bounds[0])

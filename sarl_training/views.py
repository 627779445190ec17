"""Batched augmented views of images, each with the affine map from its own coordinates to the source image's.

Every random number is a hash of (seed, sample, epoch, stream, draw): a view does not depend on the batch it is in, and
a resumed run sees the same ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sarl_training import photometric
from sarl_training.errors import UsageError

CROP_TRIES = 10  # as torchvision's RandomResizedCrop; then the whole image is taken
BLUR_REFERENCE = 224  # px; blur_sigma and BLUR_RADIUS are given at this image size and shrink with it
BLUR_RADIUS = 11  # px, a 23 px kernel

# In the order of drawing: a new one goes to the end, so that the others keep their numbers.
COLOURS = ("jitter", "brightness", "contrast", "saturation", "hue", "gray", "blur", "sigma", "solarize")
BETWEEN_0_AND_1 = (
    "flip", "jitter", "brightness", "contrast", "saturation", "grayscale",
    "blur", "blur_second", "solarize", "solarize_second",
)  # fmt: skip


class Stream(IntEnum):
    """Separate sequences of random numbers of one view; each view has `len(Stream)` of them."""

    PLACE = 0
    SIZE = 1
    COLOUR = 2


@dataclass(frozen=True)
class ViewConfig:
    """How a view differs from its image. The defaults are the paper's views (IV-C.2)."""

    crop_scale: tuple[float, float] = (0.2, 1.0)
    """Smallest and largest share of the image's area in a crop."""
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Smallest and largest width / height of a crop; 1 1 keeps angles."""
    same_zoom: bool = False
    """Crop all views of an image to one size, at places of their own: apparent size then need not be forgotten."""
    flip: float = 0.5
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
    """Standard deviation of the blur in pixels of a 224 px image; it shrinks with the image, and so does the kernel."""
    blur_second: float | None = None
    """Probability of a blur in all views but the first; as there when not given."""
    solarize: float = 0.0
    """Probability of a solarisation: values of at least one half are inverted."""
    solarize_second: float | None = None
    """Probability of a solarisation in all views but the first; as there when not given."""

    def __post_init__(self) -> None:
        for name, most in (("crop_scale", 1.0), ("crop_ratio", math.inf), ("blur_sigma", math.inf)):
            low, high = getattr(self, name)
            if not 0 < low <= high <= most:
                raise UsageError(
                    f"--views.{name.replace('_', '-')} {low} {high}: "
                    f"must be two numbers above 0, the smaller first, none above {most}"
                )
        for name in BETWEEN_0_AND_1:
            if not 0 <= (getattr(self, name) or 0) <= 1:
                raise UsageError(f"--views.{name.replace('_', '-')} {getattr(self, name)}: must be between 0 and 1")
        if not 0 <= self.hue <= 0.5:
            raise UsageError(f"--views.hue {self.hue}: must be between 0 and 0.5 turns")

    def first(self) -> "ViewConfig":
        """The settings of the first view."""
        return replace(self, blur_second=None, solarize_second=None)

    def second(self) -> "ViewConfig":
        """The settings of all other views."""
        blur, solarize = self.blur_second, self.solarize_second
        return replace(
            self.first(),
            blur=self.blur if blur is None else blur,
            solarize=self.solarize if solarize is None else solarize,
        )


class ViewPlan(NamedTuple):
    """What one view of every image is to be."""

    config: ViewConfig
    size: int
    """Side in pixels."""


class View(NamedTuple):
    """One augmented view of a batch."""

    x_BCHW: Tensor
    """Encoder input: float32, (value - 0.5) / 0.5, channels last."""
    to_source_B23: Tensor
    """Affine map from the view's normalised coordinates to the source image's."""


def make_view(
    images_BHWC: Tensor, samples_B: np.ndarray, size: int, config: ViewConfig, *, seed: int, epoch: int, view: int
) -> View:
    """View number `view` (from 0) of uint8 RGB images, size×size pixels; `samples_B` are their numbers in the pool."""
    device = images_BHWC.device
    to_source_B23 = _sent(draw_affine(samples_B, config, seed=seed, epoch=epoch, view=view), device)
    colours_BN = uniform(seed, samples_B, epoch, len(Stream) * view + Stream.COLOUR, count=len(COLOURS))
    colours_BN = _sent(torch.from_numpy(colours_BN.astype(np.float32)), device)
    draw = dict(zip(COLOURS, colours_BN.unbind(dim=1), strict=True))
    x_BCHW = resample(images_BHWC, to_source_B23, size)
    x_BCHW = _jitter(x_BCHW, draw, config)
    x_BCHW = _blur(x_BCHW, draw["blur"] < config.blur, _between(draw["sigma"], config.blur_sigma))
    if config.solarize:
        x_BCHW = photometric.solarize(x_BCHW, draw["solarize"] < config.solarize)
    x_BCHW = x_BCHW.mul(2).sub(1).contiguous(memory_format=torch.channels_last)
    return View(x_BCHW, to_source_B23)


def _sent(drawn: Tensor, device: torch.device) -> Tensor:
    """To a GPU through pinned memory: a copy from any other waits until the GPU has done what it was given before."""
    return (drawn.pin_memory() if device.type == "cuda" else drawn).to(device, non_blocking=True)


def uniform(seed: int, samples_B: np.ndarray, epoch: int, stream: int, *, count: int) -> np.ndarray:
    """B×count numbers in [0, 1): SplitMix64's mixer over a chain of counters, a function of a row's arguments alone."""
    state = np.zeros((len(samples_B), 1), np.uint64)
    with np.errstate(over="ignore"):
        for part in (
            np.uint64(seed),
            np.asarray(samples_B, np.uint64)[:, None],
            np.uint64(epoch),
            np.uint64(stream),
            np.arange(count, dtype=np.uint64),
        ):
            state = _mix((state ^ part) + np.uint64(0x9E3779B97F4A7C15))
    return (state >> np.uint64(11)) * 2.0**-53


def _mix(state: np.ndarray) -> np.ndarray:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def draw_affine(samples_B: np.ndarray, config: ViewConfig, *, seed: int, epoch: int, view: int) -> Tensor:
    """RandomResizedCrop without rounding to pixels, then the flip: the view's map to its source, B×2×3 on the CPU."""
    sizes = Stream.SIZE + (0 if config.same_zoom else len(Stream) * view)
    area_BT, log_ratio_BT = np.split(uniform(seed, samples_B, epoch, sizes, count=2 * CROP_TRIES), 2, axis=1)
    area_BT = _between(area_BT, config.crop_scale)
    ratio_BT = np.exp(_between(log_ratio_BT, np.log(config.crop_ratio)))
    width_BT, height_BT = np.sqrt(area_BT * ratio_BT), np.sqrt(area_BT / ratio_BT)
    fits_BT = (width_BT <= 1) & (height_BT <= 1)
    rows, first_B, any_B = np.arange(len(area_BT)), fits_BT.argmax(axis=1), fits_BT.any(axis=1)
    width_B, height_B = (np.where(any_B, side_BT[rows, first_B], 1.0) for side_BT in (width_BT, height_BT))

    left_B, top_B, mirror_B = uniform(seed, samples_B, epoch, len(Stream) * view + Stream.PLACE, count=3).T
    affine_B23 = np.zeros((len(rows), 2, 3), np.float32)
    affine_B23[:, 0, 0] = np.where(mirror_B < config.flip, -width_B, width_B)
    affine_B23[:, 1, 1] = height_B
    affine_B23[:, 0, 2] = (1 - width_B) * (2 * left_B - 1)
    affine_B23[:, 1, 2] = (1 - height_B) * (2 * top_B - 1)
    return torch.from_numpy(affine_B23)


def resample(images_BHWC: Tensor, to_source_B23: Tensor, size: int) -> Tensor:
    """Sample uint8 images through an axis-aligned map: float B×3×size×size in [0, 1].

    Crops keep rows and columns apart, so two small matrices per sample do it, with a triangle filter as wide as the
    shrinking asks for.
    """
    batch, height, width, _ = images_BHWC.shape
    rows_BSH = _triangle(to_source_B23[:, 1, 1], to_source_B23[:, 1, 2], height, size)
    columns_BSW = _triangle(to_source_B23[:, 0, 0], to_source_B23[:, 0, 2], width, size)
    x_BSWC = (rows_BSH @ images_BHWC.float().view(batch, height, width * 3)).view(batch, size, width, 3)
    x_BRW = x_BSWC.permute(0, 3, 1, 2).reshape(batch, 3 * size, width)
    return (x_BRW @ columns_BSW.mT).view(batch, 3, size, size).mul_(1 / 255)


def _triangle(scale_B: Tensor, offset_B: Tensor, source: int, size: int) -> Tensor:
    """B×size×source interpolation weights along one axis: bilinear when growing, wider when shrinking."""
    view_S = (2 * torch.arange(size, device=scale_B.device) + 1) / size - 1
    centre_BS1 = (
        ((scale_B[:, None] * view_S + offset_B[:, None] + 1) * source / 2 - 0.5).clamp(0, source - 1).unsqueeze(2)
    )
    reach_B11 = (scale_B.abs() * source / size).clamp_min(1)[:, None, None]
    weights_BSN = (1 - (centre_BS1 - torch.arange(source, device=scale_B.device)).abs() / reach_B11).clamp_min(0)
    return weights_BSN / weights_BSN.sum(dim=2, keepdim=True)


def _jitter(x_BCHW: Tensor, draw: dict[str, Tensor], config: ViewConfig) -> Tensor:
    """Brightness, contrast, saturation, hue (in this order; torchvision shuffles it), grayscale; factors per sample."""

    def change(name: str) -> Tensor:
        return torch.where(draw["jitter"] < config.jitter, getattr(config, name) * (2 * draw[name] - 1), 0.0)

    x_BCHW = photometric.adjust_brightness(x_BCHW, 1 + change("brightness"))
    x_BCHW = photometric.adjust_contrast(x_BCHW, 1 + change("contrast"))
    x_BCHW = photometric.adjust_saturation(x_BCHW, 1 + change("saturation"))
    if config.hue:
        x_BCHW = photometric.shift_hue(x_BCHW, change("hue"))
    return photometric.adjust_saturation(x_BCHW, (draw["gray"] >= config.grayscale).float())


def _blur(x_BCHW: Tensor, on_B: Tensor, sigma_B: Tensor) -> Tensor:
    """Gaussian blur with a sigma per sample; weights that would fall outside the image go to the rest."""
    batch, size = len(x_BCHW), x_BCHW.shape[-1]
    scale = size / BLUR_REFERENCE
    pixels = torch.arange(size, device=x_BCHW.device)
    distance_SS = (pixels[:, None] - pixels).abs()
    weights_BSS = torch.exp(-0.5 * (distance_SS / (scale * sigma_B)[:, None, None]).square())
    weights_BSS = weights_BSS * (distance_SS <= round(BLUR_RADIUS * scale))
    weights_BSS = weights_BSS / weights_BSS.sum(dim=2, keepdim=True)
    weights_BSS = torch.where(on_B[:, None, None], weights_BSS, (distance_SS == 0).float())
    # Both axes as plain batched products: torch would copy the weights for every channel to broadcast them.
    along_x = (x_BCHW.reshape(batch, -1, size) @ weights_BSS.mT).view_as(x_BCHW)
    return (along_x.mT.reshape(batch, -1, size) @ weights_BSS.mT).view_as(x_BCHW).mT


def _between(draw: Tensor | np.ndarray, bounds: Sequence[float]) -> Tensor | np.ndarray:
    return bounds[0] + draw * (bounds[1] - bounds[0])

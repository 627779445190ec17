"""Colour changes of RGB images in [0, 1] with one factor per sample: torchvision's adjust_* functions, batched."""

import torch
from torch import Tensor

LUMA = (0.2989, 0.587, 0.114)  # ITU-R BT.601, as in torchvision


def gray(x_BCHW: Tensor) -> Tensor:
    """Luma: B×1×H×W."""
    red, green, blue = x_BCHW.unbind(dim=1)
    return (LUMA[0] * red).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2]).unsqueeze(1)


def adjust_brightness(x_BCHW: Tensor, factor_B: Tensor) -> Tensor:
    """Scale all values, 0 gives black."""
    return (x_BCHW * _per_sample(factor_B)).clamp_(0, 1)


def adjust_contrast(x_BCHW: Tensor, factor_B: Tensor) -> Tensor:
    """Move away from the image's mean luma, 0 gives a uniform image."""
    return _blend(x_BCHW, gray(x_BCHW).mean(dim=(2, 3), keepdim=True), factor_B)


def adjust_saturation(x_BCHW: Tensor, factor_B: Tensor) -> Tensor:
    """Move away from each pixel's luma, 0 gives a gray image."""
    return _blend(x_BCHW, gray(x_BCHW), factor_B)


def shift_hue(x_BCHW: Tensor, turns_B: Tensor) -> Tensor:
    """Turn the hue in HSV space; 1 is a whole turn.

    HSV to RGB in its closed form, channel n = v - c max(0, min(k, 4 - k, 1)) with k = (n + 6 hue) mod 6, n = 5, 3, 1.
    """
    red, green, blue = x_BCHW.unbind(dim=1)
    value = x_BCHW.amax(dim=1)
    chroma = value - x_BCHW.amin(dim=1)
    safe = chroma.clamp_min(1e-8)
    sixths = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    sixths = sixths.add_(6 * turns_B[:, None, None])
    channels = []
    for n in (5, 3, 1):
        k = (sixths + n).remainder_(6)
        channels.append(value - chroma * torch.minimum(k, 4 - k).clamp_(0, 1))
    return torch.stack(channels, dim=1)


def solarize(x_BCHW: Tensor, on_B: Tensor, threshold: float = 0.5) -> Tensor:
    """Invert the values that are not below the threshold, in the samples that are on."""
    return torch.where(_per_sample(on_B) & (x_BCHW >= threshold), 1 - x_BCHW, x_BCHW)


def _blend(x_BCHW: Tensor, other: Tensor, factor_B: Tensor) -> Tensor:
    return torch.lerp(other.expand_as(x_BCHW), x_BCHW, _per_sample(factor_B)).clamp_(0, 1)


def _per_sample(factor_B: Tensor) -> Tensor:
    return factor_B[:, None, None, None]

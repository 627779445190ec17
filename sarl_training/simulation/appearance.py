"""What the camera sees of a solved press: see-through object, skin glow, lamps, pins, border, noise. Values are
0..255, RGB.

Brightness by radius, tints and pin shades are measured on real ViTacTip, ViTac and TacTip frames of one unit. Lengths
in pixels are those of a 224 px image and scale with the image.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from sarl_training.config import IMAGE_SIZES
from sarl_training.simulation import skin
from sarl_training.simulation.camera import (
    PIN_DEPTH_MM,
    REFERENCE_PX,
    SKIN_TO_LENS_MM,
    VIEW_MM,
    VISIBLE_RADIUS_PX,
    project,
)
from sarl_training.simulation.contact import Columns
from sarl_training.simulation.press import Press, sample_grid, surface_height

BORDER_RGB = (15.0, 17.0, 22.0)
NOISE_SD = 1.5
_GLOW_RADII_PX = (0.0, 13.0, 39.0, 66.0, 92.0, 112.0)
_GLOW_RGB = ((236, 238, 233), (222, 224, 219), (172, 170, 162), (128, 119, 103), (95, 90, 76), (80, 76, 64))
_GAP_FADE_MM = 8.0
_BLUR_START_MM = 1.0  # air gap at which the first blur level is reached; the second at three times this
_LAMP_RING_MM, _LAMP_HEIGHT_MM = 16.0, 15.0
_NOISE_SIZE = IMAGE_SIZES[-1]


@lru_cache(maxsize=4)
def _noise_bank(device: torch.device) -> Tensor:
    """Fixed standard normal noise [3, N, N]; frames read it at their own offset, the same on every device."""
    return torch.randn(3, _NOISE_SIZE, _NOISE_SIZE, generator=torch.Generator().manual_seed(7)).to(device)


def glow(radius_BN: Tensor, unit: Columns) -> Tensor:
    """Light of the skin itself [B, 3, N]: a white centre and a warm rim, by radius (px)."""
    knots = radius_BN.new_tensor(_GLOW_RADII_PX)
    levels = radius_BN.new_tensor(_GLOW_RGB)
    position = (radius_BN / unit.glow_width[:, None]).clamp(0, _GLOW_RADII_PX[-1] - 1e-3)
    low = torch.bucketize(position, knots, right=True) - 1
    share = ((position - knots[low]) / (knots[low + 1] - knots[low]))[..., None]
    colour = torch.lerp(levels[low], levels[low + 1], share)
    return (colour * unit.glow_gain[:, None, None]).transpose(1, 2)


def lamp_fields(press: Press, unit: Columns) -> Tensor:
    """Diffuse factor and highlight [B, 2, H, W] on the skin grid, from a ring of eight lamps around the lens."""
    x, y = skin.grid_mm(press.u_BHW.device)
    angles = unit.lamp_roll_rad[:, None] + torch.arange(8, device=x.device) * (math.pi / 4)
    to_lamp_x = _LAMP_RING_MM * torch.cos(angles)[:, :, None, None] - x
    to_lamp_y = _LAMP_RING_MM * torch.sin(angles)[:, :, None, None] - y
    distance2 = to_lamp_x.square() + to_lamp_y.square() + _LAMP_HEIGHT_MM**2
    slope_x, slope_y = press.slope_B2HW[:, :1], press.slope_B2HW[:, 1:]
    normal_length = (1 + slope_x.square() + slope_y.square()).sqrt()
    facing = (_LAMP_HEIGHT_MM - slope_x * to_lamp_x - slope_y * to_lamp_y) / distance2.sqrt() / normal_length
    flat = _LAMP_HEIGHT_MM / distance2.sqrt()
    weight = unit.lamp_weights[:, :, None, None] / distance2
    diffuse = (weight * facing.clamp_min(0)).sum(1) / (weight * flat).sum(1)
    # The camera looks along z: the half vector of lamp and view is between the two.
    half_z = ((1 + flat) / 2).sqrt()
    tilt = (slope_x * to_lamp_x + slope_y * to_lamp_y) / (2 * half_z * distance2.sqrt())
    highlight = (((half_z - tilt) / normal_length).clamp(0, 1) ** 40 * unit.lamp_weights[:, :, None, None]).mean(1)
    return torch.stack([diffuse, highlight], 1)


def see_through(points_BN2: Tensor, fields_BCN: Tensor, press: Press, contact: Columns, size: int) -> Tensor:
    """Share of the object in each pixel [B, N]: crisp and bright where it touches, blurred and dim behind an air
    gap.
    """
    x, y = points_BN2.unbind(-1)
    height = surface_height(x, y, contact, VIEW_MM / size, 1.0)
    u = fields_BCN[:, 0]
    gap = (skin.sag_at(points_BN2) + u - press.face_depth_B[:, None] - height).clamp_min(0)
    face = torch.exp(height.clamp(max=0) / 2.5)
    blurred = _blur_by_gap(face.reshape(-1, 1, size, size), gap.reshape(-1, 1, size, size)).flatten(1)
    touch = torch.exp(-gap / 0.15)
    return blurred * torch.exp(-gap / _GAP_FADE_MM) * (0.78 + 0.17 * touch)


def _blur_by_gap(image_B1HW: Tensor, gap_B1HW: Tensor) -> Tensor:
    """Three blur levels (0, about 2.5 and 7 px at 224 px), mixed by the air gap in mm."""
    size = image_B1HW.shape[-2:]
    near = _soften(F.interpolate(image_B1HW, scale_factor=0.5, mode="area"), size)
    far = _soften(F.interpolate(image_B1HW, scale_factor=0.125, mode="area"), size)
    first = (gap_B1HW / _BLUR_START_MM).clamp(0, 1)
    second = ((gap_B1HW - _BLUR_START_MM) / (2 * _BLUR_START_MM)).clamp(0, 1)
    return torch.lerp(torch.lerp(image_B1HW, near, first), far, second)


def _soften(small_B1HW: Tensor, size: tuple[int, int]) -> Tensor:
    padded = F.pad(small_B1HW, (1, 1, 1, 1), mode="replicate")
    smooth = F.avg_pool2d(padded, 3, stride=1)
    return F.interpolate(smooth, size=size, mode="bilinear", align_corners=False)


def pin_mask(press: Press, unit: Columns, size: int) -> Tensor:
    """Coverage of the pins in each pixel [B, size * size], from the displaced pins seen through the lens."""
    rest = unit.pins_mm
    grid = torch.cat([press.u_BHW[:, None], press.slope_B2HW, press.slide_B2HW], 1)
    fields = sample_grid(grid, rest)
    lever_mm = 1.2
    pins = rest - lever_mm * fields[:, 1:3].transpose(1, 2) + fields[:, 3:5].transpose(1, 2)
    centres = project(pins, SKIN_TO_LENS_MM - PIN_DEPTH_MM - skin.sag_at(rest) - fields[:, 0], unit)
    radius = unit.pin_radius_px[:, None] * (1 + 0.05 * fields[:, 0])
    scale = size / REFERENCE_PX
    return splat_discs((centres + REFERENCE_PX / 2) * scale, radius * scale, size)


def splat_discs(centres_BP2: Tensor, radius_BP: Tensor, size: int) -> Tensor:
    """Anti-aliased discs [B, size * size] in [0, 1] at pixel positions; touching only the pixels near each disc."""
    reach = math.ceil(2.6 * size / REFERENCE_PX + 1.5)
    offsets = torch.arange(-reach, reach + 1, device=centres_BP2.device)
    corner = centres_BP2.floor()
    columns = corner[..., 0, None] + offsets
    rows = corner[..., 1, None] + offsets
    dx2 = (columns + 0.5 - centres_BP2[..., 0, None]).square()
    dy2 = (rows + 0.5 - centres_BP2[..., 1, None]).square()
    distance = (dy2[..., :, None] + dx2[..., None, :]).sqrt()
    softness = max(0.35 * size / REFERENCE_PX, 0.25)
    cover = torch.sigmoid((radius_BP[..., None, None] - distance) / softness)
    inside = ((rows >= 0) & (rows < size))[..., :, None] & ((columns >= 0) & (columns < size))[..., None, :]
    index = (rows.clamp(0, size - 1)[..., :, None] * size + columns.clamp(0, size - 1)[..., None, :]).long()
    canvas = torch.zeros(len(centres_BP2), size * size, device=centres_BP2.device)
    canvas.scatter_add_(1, index.flatten(1), (cover * inside).flatten(1))
    return canvas.clamp_(max=1)


def expose(scene_B3N: Tensor, radius_BN: Tensor, unit: Columns, exposure: Columns, size: int) -> Tensor:
    """Border, tint, gain, gamma and noise: uint8 images [B, size, size, 3] from linear scene light."""
    edge = ((VISIBLE_RADIUS_PX - radius_BN) * (size / REFERENCE_PX) + 0.5).clamp(0, 1)[:, None]
    border = scene_B3N.new_tensor(BORDER_RGB)[None, :, None] * _dust(radius_BN, unit, size)[:, None]
    image = torch.lerp(border, scene_B3N, edge) * (unit.tint_rgb[:, :, None] * exposure.gain[:, None, None])
    grey = image.mean(1, keepdim=True)
    image = torch.lerp(grey, image, unit.saturation[:, None, None])
    image = 255 * (image / 255).clamp(0, 1) ** unit.gamma[:, None, None]
    noise = torch.stack([_noise(row, size, image.device) for row in exposure.noise_offset.long().tolist()])
    image = (image + NOISE_SD * noise.flatten(2)).round_().clamp_(0, 255).to(torch.uint8)
    return image.reshape(-1, 3, size, size).permute(0, 2, 3, 1)


def _noise(offset: list[int], size: int, device: torch.device) -> Tensor:
    """A window of the noise bank, which is as large as the largest image."""
    bank = _noise_bank(device)
    room = bank.shape[-1] - size + 1
    row, column = offset[0] % room, offset[1] % room
    return bank[:, row : row + size, column : column + size]


def _dust(radius_BN: Tensor, unit: Columns, size: int) -> Tensor:
    """Fixed streaks and specks on the dark rim of a unit: a window of thresholded noise, stretched along the rim."""
    windows = [
        _noise([int(4096 * a), int(4096 * b)], max(size // 2, 1), radius_BN.device)[0]
        for a, b in unit.dust_phase.tolist()
    ]
    specks = F.interpolate(torch.stack(windows)[:, None], size=(size, size), mode="bilinear", align_corners=False)
    return 0.8 + 4.0 * (specks.flatten(1) - 2.0).clamp_min(0) + 0.15 * torch.cos(radius_BN * 1.1)

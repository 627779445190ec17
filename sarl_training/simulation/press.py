"""From a contact to the deformed skin: pressure, displacement, slide and the force on the sensor, shared by every
sensor.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sarl_training.simulation import skin
from sarl_training.simulation.contact import Columns
from sarl_training.simulation.objects import object_height, texture_relief

_COARSEST_TEXTURE_MM = 0.9  # finer relief cannot be followed by the grid: there the skin rides on its top


@dataclass(frozen=True)
class Press:
    """A solved contact on the skin grid; fields [B, ...] in mm, N/mm² and N."""

    u_BHW: Tensor
    slope_B2HW: Tensor
    pressure_BHW: Tensor
    slide_B2HW: Tensor
    force_B3: Tensor
    face_depth_B: Tensor


def object_coordinates(x: Tensor, y: Tensor, contact: Columns) -> tuple[Tensor, Tensor]:
    """Tip-frame points [B, N] or [N] (mm) in the object's own frame, [B, N]."""
    c, s = torch.cos(contact.yaw_rad)[:, None], torch.sin(contact.yaw_rad)[:, None]
    x, y = x - contact.x_mm[:, None], y - contact.y_mm[:, None]
    return c * x + s * y, c * y - s * x


def surface_height(x: Tensor, y: Tensor, contact: Columns, ramp: float, texture_share: Tensor | float) -> Tensor:
    """Height of the object's surface below its highest face (mm, <= 0), [B, N], at tip-frame points (mm)."""
    a, b = object_coordinates(x, y, contact)
    height = object_height(contact.object_name, a, b, contact.size_mm, ramp)
    phase = contact.texture_phase[:, :, None]
    pitch = contact.texture_pitch_mm[:, None]
    relief = texture_relief(contact.texture, a / pitch + phase[:, 0], b / pitch + phase[:, 1])
    height = height + texture_share * contact.texture_depth_mm[:, None] * (relief - 1)
    return height + contact.tilt[:, 0, None] * a + contact.tilt[:, 1, None] * b


def solve_press(contact: Columns, unit: Columns, tip: skin.Skin = skin.TIP) -> Press:
    """Solve B contacts on the grid of a skin."""
    x, y = skin.grid_mm(contact.depth_mm.device)
    tension = skin.TENSION_N_PER_MM * tip.tension * unit.tension_scale
    bed = skin.BED_N_PER_MM3 * tip.bed * unit.bed_scale
    share = ((contact.texture_pitch_mm[:, None] - _COARSEST_TEXTURE_MM) / 0.6).clamp(0, 1)
    height = surface_height(x.reshape(-1), y.reshape(-1), contact, skin.CELL_MM, share)
    compliance = contact.stiffness_N_per_mm3 / (contact.stiffness_N_per_mm3 + bed)
    face_depth = torch.where(contact.depth_mm > 0, compliance, 1.0) * contact.depth_mm
    overlap = face_depth[:, None] + height - tip.sag(x * x + y * y).reshape(-1)
    u, pressure = skin.solve_contact(overlap.reshape(-1, *x.shape), tension, bed)

    arm_x, arm_y = x - contact.x_mm[:, None, None], y - contact.y_mm[:, None, None]
    twist = contact.twist_rad[:, None, None]
    travel = contact.travel_mm[:, :, None, None] + torch.stack([-twist * arm_y, twist * arm_x], 1)
    traction = skin.shear_traction(pressure, travel, contact.friction)
    return Press(
        u_BHW=u,
        slope_B2HW=skin.gradient(u),
        pressure_BHW=pressure,
        slide_B2HW=skin.skin_slide(traction, tension, bed),
        force_B3=skin.contact_force(pressure, traction),
        face_depth_B=face_depth,
    )


def sample_grid(fields_BCHW: Tensor, points_BN2: Tensor) -> Tensor:
    """Bilinear values [B, C, N] of skin-grid fields at tip-frame points (mm)."""
    grid = (points_BN2 / skin.HALF_WIDTH_MM)[:, None]
    return F.grid_sample(fields_BCHW, grid, align_corners=False, padding_mode="border")[:, :, 0]

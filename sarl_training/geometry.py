"""Affine maps between views.

Coordinates are (x, y) in [-1, 1] over the image or map, pixel centres, align_corners=False: the centre of column j of W
is (2 j + 1) / W - 1.
A map is a B×2×3 matrix; being resolution-free, one serves every layer of the encoder.
"""

import torch
from torch import Tensor


def compose(outer_B23: Tensor, inner_B23: Tensor) -> Tensor:
    """The map that applies `inner`, then `outer`."""
    linear = _product(outer_B23[..., :2], inner_B23[..., :2])
    offset = _product(outer_B23[..., :2], inner_B23[..., 2:]) + outer_B23[..., 2:]
    return torch.cat([linear, offset], dim=-1)


def invert(affine_B23: Tensor) -> Tensor:
    """The inverse map. The linear part must be invertible, as that of every crop is."""
    a, b, c, d = affine_B23[..., 0, 0], affine_B23[..., 0, 1], affine_B23[..., 1, 0], affine_B23[..., 1, 1]
    determinant = a * d - b * c
    adjugate = torch.stack([torch.stack([d, -b], dim=-1), torch.stack([-c, a], dim=-1)], dim=-2)
    linear = adjugate / determinant[..., None, None]
    return torch.cat([linear, -_product(linear, affine_B23[..., 2:])], dim=-1)


def view_to_view(a_to_source: Tensor, b_to_source: Tensor) -> Tensor:
    """The map from view a to view b (the paper's pi), given each view's map to their common source image; all B×2×3."""
    return compose(invert(b_to_source), a_to_source)


def apply(affine_B23: Tensor, points_N2: Tensor) -> Tensor:
    """Map the same N points through each of B maps: B×N×2."""
    return _product(points_N2, affine_B23[..., :2].transpose(-1, -2)) + affine_B23[..., 2].unsqueeze(-2)


def cell_centres(
    height: int, width: int, *, device: torch.device | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Centres (x, y) of the cells of a height×width map, row by row: N×2 with N = height * width."""
    y = (2 * torch.arange(height, device=device, dtype=dtype) + 1) / height - 1
    x = (2 * torch.arange(width, device=device, dtype=dtype) + 1) / width - 1
    return torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1).flip(-1).reshape(-1, 2)


def inside(points: Tensor) -> Tensor:
    """Which points (…×2) lie in [-1, 1]²."""
    return (points.abs() <= 1).all(dim=-1)


def containing_cell(points: Tensor, grid: int) -> Tensor:
    """Row-by-row index of the grid×grid cell that holds each point (…×2).

    Cells are half-open; the far border belongs to the last cell, and points outside go to the nearest one.
    """
    column_row = ((points + 1) * (grid / 2)).floor().clamp(0, grid - 1).long()
    return column_row[..., 1] * grid + column_row[..., 0]


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Matrix product, written out: `@` would round to bfloat16 under autocast, which is 1 % of a view."""
    return (a.unsqueeze(-1) * b.unsqueeze(-3)).sum(dim=-2)

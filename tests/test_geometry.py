"""View geometry against closed forms, and its algebra on random maps."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from sarl_training import geometry, views

IDENTITY = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]], dtype=torch.float64)

unit = st.floats(-1, 1, allow_nan=False)


@st.composite
def affine(draw) -> torch.Tensor:
    """An invertible map: rotation, scales from 0.1 to 1 with either sign, shift."""
    angle = 3.2 * draw(unit)
    scales = [draw(st.sampled_from([-1, 1])) * (0.1 + 0.9 * abs(draw(unit))) for _ in range(2)]
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return torch.tensor(np.c_[rotation @ np.diag(scales), [draw(unit), draw(unit)]])[None]


@given(affine(), affine(), affine())
@settings(max_examples=50, deadline=None)
def test_maps_form_a_group(a, b, c):
    close = {"rtol": 1e-6, "atol": 1e-6}
    torch.testing.assert_close(geometry.compose(a, geometry.invert(a)), IDENTITY, **close)
    torch.testing.assert_close(geometry.compose(geometry.invert(a), a), IDENTITY, **close)
    chained = geometry.compose(geometry.compose(a, b), c)
    torch.testing.assert_close(chained, geometry.compose(a, geometry.compose(b, c)), **close)
    points = torch.rand(5, 2, dtype=torch.float64)
    torch.testing.assert_close(
        geometry.apply(geometry.compose(a, b), points), geometry.apply(a, geometry.apply(b, points)[0])
    )


@given(affine(), affine(), affine())
@settings(max_examples=50, deadline=None)
def test_view_to_view_composes_and_inverts(a, b, c):
    close = {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(geometry.view_to_view(a_to_source=a, b_to_source=a), IDENTITY, **close)
    torch.testing.assert_close(geometry.view_to_view(b, a), geometry.invert(geometry.view_to_view(a, b)), **close)
    through_b = geometry.compose(geometry.view_to_view(b, c), geometry.view_to_view(a, b))
    torch.testing.assert_close(geometry.view_to_view(a, c), through_b, **close)


def test_view_to_view_of_known_crops():
    """The right half, mirrored: its left border is the image's right border."""
    whole, right_mirrored = IDENTITY, torch.tensor([[[-0.5, 0.0, 0.5], [0.0, 1.0, 0.0]]], dtype=torch.float64)
    warp = geometry.view_to_view(whole, right_mirrored)
    points = torch.tensor([[1.0, 0.0], [0.0, 0.3], [-1.0, 0.0]], dtype=torch.float64)
    expected = torch.tensor([[[-1.0, 0.0], [1.0, 0.3], [3.0, 0.0]]], dtype=torch.float64)
    torch.testing.assert_close(geometry.apply(warp, points), expected)
    assert geometry.inside(geometry.apply(warp, points)).tolist() == [[True, True, False]]


def test_maps_are_exact_under_autocast():
    """The networks run in bfloat16, their geometry does not."""
    samples_B, config = np.arange(64), views.ViewConfig()
    maps = [views.draw_affine(samples_B, config, seed=0, epoch=0, view=view) for view in (0, 1)]
    points = geometry.cell_centres(16, 16)
    exact = geometry.apply(geometry.view_to_view(*(m.double() for m in maps)), points.double())
    with torch.autocast("cpu", torch.bfloat16):
        found = geometry.apply(geometry.view_to_view(*maps), points)
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-5)


def test_cells():
    centres = geometry.cell_centres(2, 4)
    assert centres[:, 0].tolist() == [-0.75, -0.25, 0.25, 0.75] * 2
    assert centres[:, 1].tolist() == [-0.5] * 4 + [0.5] * 4
    assert geometry.containing_cell(geometry.cell_centres(6, 6), 6).tolist() == list(range(36))
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [0.0, 0.0], [-7.0, 9.0]])
    assert geometry.containing_cell(corners, 6).tolist() == [0, 5, 30, 35, 21, 30]


def test_a_coordinate_image_warped_through_both_views_agrees_with_view_to_view():
    """Each pixel then carries the source coordinates it came from: a pixel of view a and its place in b must agree."""
    size, batch = 96, 16
    config = views.ViewConfig(crop_scale=(0.2, 1.0), flip=0.5)
    source = F.pad(geometry.cell_centres(size, size).view(1, size, size, 2), (0, 1)).expand(batch, -1, -1, -1)
    maps = [views.draw_affine(np.arange(batch), config, seed=3, epoch=0, view=view) for view in (0, 1)]
    a_B2HW, b_B2HW = (255 * views.resample(source, to_source, size)[:, :2] for to_source in maps)
    grid = geometry.apply(geometry.view_to_view(*maps), geometry.cell_centres(size, size)).view(batch, size, size, 2)
    b_at_a = F.grid_sample(b_B2HW, grid, mode="bilinear", align_corners=False)
    # Bilinear sampling is exact on a linear image, but for half a pixel along the borders, where pixels are repeated.
    inner = (grid.abs() <= 1 - 1 / size).all(dim=3) & (
        (a_B2HW.abs() < 1 - 1 / size) & (b_at_a.abs() < 1 - 1 / size)
    ).all(dim=1)
    error_px = (a_B2HW - b_at_a).abs().amax(dim=1)[inner] * size / 2
    assert inner.float().mean() > 0.3
    assert error_px.max() < 1e-3

"""Outlines against closed forms and a brute-force search, and their plates as the renderer sees them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sarl_training.simulation.objects import NOTHING_MM, PLATE_PREFIX, object_height
from sarl_training.simulation.outlines import OUTLINES, Outline, plate_distance

coordinates = st.floats(-45, 45)


@given(coordinates, coordinates)
def test_disc_is_a_circle(x: float, y: float) -> None:
    radius = math.hypot(x, y)
    nearest = OUTLINES["disc"].nearest(np.array([[x, y]]))
    assert nearest.distance_mm[0] == pytest.approx(radius - 30, abs=1e-4)
    if radius > 1:
        assert nearest.normal[0] == pytest.approx(np.array([x, y]) / radius, abs=1e-4)


@given(coordinates, coordinates)
def test_square_is_a_box(x: float, y: float) -> None:
    dx, dy = abs(x) - 25, abs(y) - 25
    expected = math.hypot(max(dx, 0), max(dy, 0)) + min(max(dx, dy), 0)
    assert OUTLINES["square"].nearest(np.array([[x, y]])).distance_mm[0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", OUTLINES)
def test_nearest_points_against_brute_force(name: str) -> None:
    outline = OUTLINES[name]
    points = np.random.default_rng(0).uniform(-50, 50, (300, 2))
    nearest = outline.nearest(points)
    rim = outline.point(np.linspace(0, outline.length_mm, 8001))
    distances = np.linalg.norm(points[:, None] - rim[None], axis=2).min(1)
    following = np.roll(rim, -1, axis=0)
    crossed = (rim[None, :, 1] > points[:, None, 1]) != (following[None, :, 1] > points[:, None, 1])
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (points[:, None, 1] - rim[None, :, 1]) / (following[:, 1] - rim[:, 1])[None]
        at_x = rim[None, :, 0] + share * (following[:, 0] - rim[:, 0])[None]
    inside = (crossed & (points[:, None, 0] < at_x)).sum(1) % 2 == 1
    assert nearest.distance_mm == pytest.approx(np.where(inside, -1, 1) * distances, abs=0.03)
    assert outline.point(nearest.along_mm) == pytest.approx(nearest.point_mm, abs=1e-9)
    assert points - nearest.distance_mm[:, None] * nearest.normal == pytest.approx(nearest.point_mm, abs=1e-9)


@pytest.mark.parametrize("name", OUTLINES)
def test_walk_keeps_the_material_on_its_left(name: str) -> None:
    """`t` is the way of the walk and `n = (t_y, -t_x)` leaves the material."""
    outline = OUTLINES[name]
    along = np.linspace(0.5, outline.length_mm - 0.5, 200)
    tangent = outline.point(along + 1e-4) - outline.point(along - 1e-4)
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], 1) / np.linalg.norm(tangent, axis=1, keepdims=True)
    outside = outline.nearest(outline.point(along) + 0.2 * normal)
    assert outside.distance_mm == pytest.approx(0.2, abs=1e-3)


def test_an_open_walk_is_refused() -> None:
    with pytest.raises(ValueError, match="not closed"):
        Outline(((10.0, 0.0), (0.0, 90.0)) * 3)


@pytest.mark.parametrize("name", ["disc", "square"])
def test_plate_is_flat_inside_and_falls_at_the_outline(name: str) -> None:
    points = np.random.default_rng(1).uniform(-40, 40, (2000, 2))
    truth = OUTLINES[name].nearest(points).distance_mm
    x, y = (torch.as_tensor(column, dtype=torch.float32)[None] for column in points.T)
    assert plate_distance(name)(x, y)[0].numpy() == pytest.approx(truth, abs=0.05)
    height = object_height([PLATE_PREFIX + name], x, y, torch.zeros(1, 4), 0.2)[0].numpy()
    assert (height[truth < -0.2] == 0).all()
    assert (height[truth > 0.2] == NOTHING_MM).all()

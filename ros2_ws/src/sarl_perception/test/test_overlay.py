"""The overlay draws where the geometry says, on a copy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sarl_perception.estimator import TactileEstimator
from sarl_perception.overlay import EDGE, draw_overlay
from tiny_model import write_model

FIELD_M = 0.028


def drawn(tmp_path: Path, *, in_contact: bool = True, **options: object) -> tuple[np.ndarray, np.ndarray]:
    image = np.zeros((240, 320, 3), np.uint8)
    estimate = TactileEstimator(write_model(tmp_path / "m.onnx", **options)).estimate(image)
    overlay = draw_overlay(image, estimate, region=None, field_of_view_m=FIELD_M, in_contact=in_contact)
    assert not image.any()
    return image, overlay


def edge_columns(overlay: np.ndarray, row: int) -> np.ndarray:
    return np.flatnonzero((np.abs(overlay[row].astype(int) - EDGE).sum(axis=1)) < 60)


def test_the_edge_line_lies_at_its_offset(tmp_path: Path) -> None:
    x_m = 0.0035
    _, overlay = drawn(tmp_path, outputs=["edge_pose"], values={"edge_pose": [x_m, 0.001, 0.0]})
    expected = 160 + x_m / FIELD_M * 240
    for row in (90, 230):
        assert abs(edge_columns(overlay, row).mean() - expected) <= 1


def test_without_contact_only_text_is_drawn(tmp_path: Path) -> None:
    _, overlay = drawn(tmp_path, in_contact=False)
    assert overlay[:40].any()
    assert not overlay[80:].any()


def test_values_far_outside_do_not_overflow(tmp_path: Path) -> None:
    wild = {"edge_pose": [1e9, 0.0, 1.0], "contact_point": [-1e9, 1e9, 0.0], "force": [1e12, -1e12, 0.0]}
    _, overlay = drawn(tmp_path, values=wild)
    assert overlay.shape == (240, 320, 3)


def test_saliency_heats_the_cells_that_respond(tmp_path: Path) -> None:
    image = np.full((240, 320, 3), 60, np.uint8)
    estimate = TactileEstimator(write_model(tmp_path / "m.onnx", outputs=["force"])).estimate(image)
    estimate.saliency = np.zeros((12, 12))
    estimate.saliency[8:10, 2:4] = 1.0
    overlay = draw_overlay(image, estimate, region=None, field_of_view_m=FIELD_M, in_contact=False).astype(int)
    heated = np.abs(overlay - 60).sum(2) > 20
    assert heated[160:200, 80:120].mean() > 0.9, "the region starts at column 40, a cell is 20 px"
    assert not heated[100:150].any() and not heated[210:].any()


def test_an_unfamiliar_image_is_called_so(tmp_path: Path) -> None:
    image = np.full((240, 320, 3), 90, np.uint8)
    overlays = []
    for threshold in (100.0, 1.0):
        estimate = TactileEstimator(write_model(tmp_path / "m.onnx", unfamiliar_threshold=threshold)).estimate(image)
        overlays.append(draw_overlay(image, estimate, region=None, field_of_view_m=FIELD_M, in_contact=False))
    assert not np.array_equal(*overlays)

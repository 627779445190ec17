"""Flat plates to follow round the rim: disc, square, tear drop, clover, wave. Exact truth, and heights for rendering.

An outline is a closed chain of straight lines, circular arcs and corners, written as a turtle walks it: pieces
(length mm, turn degree), where an arc's radius is length / turn and a corner has no length. It is walked with the
material on the left (turns from x to y are positive), so `t` is the way of the walk and `n = (t_y, -t_x)` points out
of the material, as in the frame of the tip.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

RASTER_MM = 0.125
_MARGIN_MM = 30.0  # beyond this the tip is in the air: the raster repeats its border
_JOINT_TOLERANCE = 1e-9

Pieces = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Nearest:
    """The outline's points nearest to N query points: arrays [N, 2] or [N], mm."""

    distance_mm: np.ndarray
    """Signed: negative inside the material."""
    point_mm: np.ndarray
    normal: np.ndarray
    along_mm: np.ndarray
    """Length of the walk from its start."""


class Outline:
    """A closed outline around the origin. Raises `ValueError` when the walk does not end where it began."""

    def __init__(self, pieces: Pieces) -> None:
        at, heading, along = np.zeros(2), 0.0, 0.0
        starts, headings, alongs = [], [], []
        for length, turn_deg in pieces:
            starts.append(at)
            headings.append(heading)
            alongs.append(along)
            at = at + _walked(length, math.radians(turn_deg), heading)
            heading, along = heading + math.radians(turn_deg), along + length
        if np.linalg.norm(at) > 1e-6 or not math.isclose(heading, 2 * math.pi):
            raise ValueError(
                f"the walk ends {at} mm from its start, turned {math.degrees(heading):.3f} deg: not closed"
            )
        self.length_mm = along
        self._lengths, turns_deg = np.array(pieces, dtype=float).T
        self._turns = np.radians(turns_deg)
        self._headings, self._alongs = np.array(headings), np.array(alongs)
        self._starts = np.array(starts)
        rim = self._points(np.linspace(0, along, 4000))
        self._starts -= (rim.min(0) + rim.max(0)) / 2
        self.reach_mm = float(np.ptp(rim, axis=0).max() / 2)

    def point(self, along_mm: float | np.ndarray) -> np.ndarray:
        """Points [..., 2] of the walk (mm); lengths wrap around."""
        return self._points(np.asarray(along_mm) % self.length_mm)

    def _points(self, along: np.ndarray) -> np.ndarray:
        piece = (np.searchsorted(self._alongs, along, side="right") - 1).clip(0)
        rest, lengths = along - self._alongs[piece], self._lengths[piece]
        turn = self._turns[piece] * np.divide(rest, lengths, out=np.zeros_like(rest), where=lengths > 0)
        return self._starts[piece] + _walked(rest, turn, self._headings[piece])

    def nearest(self, points_mm: np.ndarray) -> Nearest:
        """The nearest point of the outline to each of `points_mm` [N, 2].

        The nearest point has the query on its normal (at a corner: in the cone of its normals), so only such feet of
        each piece are compared.
        """
        feet = [self._foot(piece, points_mm) for piece in range(len(self._lengths))]
        distances, points, normals, alongs = (np.stack(values) for values in zip(*feet, strict=True))
        best = np.abs(distances).argmin(0)
        rows = np.arange(len(points_mm))
        return Nearest(distances[best, rows], points[best, rows], normals[best, rows], alongs[best, rows])

    def _foot(self, piece: int, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Signed distance (infinite without a foot), foot, normal and length of the walk for one piece."""
        length, turn, heading, start = (
            values[piece] for values in (self._lengths, self._turns, self._headings, self._starts)
        )
        tangent = np.array([math.cos(heading), math.sin(heading)])
        outward = np.array([tangent[1], -tangent[0]])
        if turn == 0:
            rest = (points - start) @ tangent
            share = rest / length
            distance, normal = (points - start) @ outward, np.broadcast_to(outward, points.shape)
        else:
            radius = length / turn
            arm = (points - (start - radius * outward)) * math.copysign(1.0, turn)
            angle = np.arctan2(arm @ tangent, arm @ outward)
            # From the middle of the piece, so that the cut of the angle lies opposite of it.
            share = 0.5 + np.remainder(angle - turn / 2 + math.pi, 2 * math.pi) / turn - math.pi / turn
            size = np.linalg.norm(arm, axis=1)
            distance = size * math.copysign(1.0, turn) - radius
            normal = arm / np.maximum(size, 1e-12)[:, None]
            rest = share * length
        has_foot = (share >= -_JOINT_TOLERANCE) & (share <= 1 + _JOINT_TOLERANCE)
        point = points - distance[:, None] * normal
        return np.where(has_foot, distance, np.inf), point, normal, self._alongs[piece] + rest


def _walked(length: np.ndarray | float, turn: np.ndarray | float, heading: np.ndarray | float) -> np.ndarray:
    """Displacement [..., 2] along a piece of constant curvature: the chord, seen under half the turn."""
    half = np.asarray(turn) / 2
    chord = np.asarray(length) * np.sinc(half / math.pi)
    direction = np.asarray(heading) + half
    return np.stack([chord * np.cos(direction), chord * np.sin(direction)], -1)


def _arc(radius: float, turn_deg: float) -> tuple[float, float]:
    """Arc of a positive radius (mm); a negative turn is concave."""
    return radius * math.radians(abs(turn_deg)), turn_deg


def _tear_drop(radius: float, tip_radius: float, opening_deg: float) -> Pieces:
    """A round end and a tip of two straight lines that meet at `opening_deg`."""
    half = math.radians(opening_deg / 2)
    side = (radius - tip_radius) / math.tan(half)
    return (side, 0.0), _arc(radius, 180.0 + opening_deg), (side, 0.0), _arc(tip_radius, 180.0 - opening_deg)


OUTLINES: dict[str, Outline] = {
    "disc": Outline((_arc(30.0, 360.0),)),
    "square": Outline(((50.0, 0.0), (0.0, 90.0)) * 4),
    "tear_drop": Outline(_tear_drop(20.0, 4.0, 60.0)),
    "clover": Outline((_arc(15.0, 150.0), _arc(15.0, -60.0)) * 4),
    "wave": Outline((_arc(20.0, -30.0), _arc(20.0, 60.0), _arc(20.0, -60.0), _arc(20.0, 30.0), _arc(15.0, 180.0)) * 2),
}
"""Objects of 50 to 100 mm, as edge following is shown in the literature."""


@lru_cache(maxsize=16)
def _raster(name: str, device: torch.device) -> Tensor:
    """Signed distance [1, 1, N, N] (mm) on a square grid of `RASTER_MM` around the origin."""
    half = _half_width(OUTLINES[name])
    axis = np.arange(-half + RASTER_MM / 2, half, RASTER_MM)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    rows = [OUTLINES[name].nearest(np.stack([a, b], 1)).distance_mm for a, b in zip(x, y, strict=True)]
    return torch.as_tensor(np.array(rows, np.float32), device=device)[None, None]


def _half_width(outline: Outline) -> float:
    return RASTER_MM * math.ceil((outline.reach_mm + _MARGIN_MM) / RASTER_MM)


def plate_distance(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """Signed distance (mm) of points [B, N] to the outline, interpolated: within 0.001 mm, 0.04 mm at a corner."""

    def distance(x: Tensor, y: Tensor) -> Tensor:
        grid = torch.stack([x, y], -1)[:, None] / _half_width(OUTLINES[name])
        raster = _raster(name, x.device).expand(len(x), -1, -1, -1)
        return F.grid_sample(raster, grid, align_corners=False, padding_mode="border")[:, 0, 0]

    return distance

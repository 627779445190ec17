"""Touched objects as height fields: analytic, so that they can be evaluated at the resolution of the image.

A height function takes object coordinates `x, y` (mm), the object's `size` (four numbers, mm, meaning per object) and
`ramp` (mm, the width over which a vertical wall is smeared: one cell of the grid it is evaluated on) and returns the
height in mm: 0 on the highest face, negative elsewhere. The 21 shapes are those of the ViTacTip shape set (16 x 16 mm
bases, MultiDiffSense).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from sarl_training.simulation.outlines import OUTLINES, plate_distance
from sarl_training.simulation.planar import box, disc, polygon, ring
from sarl_training.simulation.tools import TOOL_OUTLINES, fluted_tool

FEATURE_MM = 2.5  # height of a shape above its base plate
BASE_HALF_MM = 8.0
NOTHING_MM = -10.0  # far below the sensor: no object there

PLATE_PREFIX = "plate_"  # an outline's plate is named so: plate_disc

HeightFunction = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def _pacman(x: Tensor, y: Tensor) -> Tensor:
    return torch.maximum(disc(x, y, 5.0), -torch.maximum(y.abs() - x * math.tan(0.6), -x))


def _lines(x: Tensor, y: Tensor, offsets: tuple[float, ...]) -> Tensor:
    return torch.stack([box(x - o, y, 0.8, 6.5) for o in offsets]).amin(0)


def _dots(x: Tensor, y: Tensor) -> Tensor:
    return torch.stack([disc(x - a, y - b, 1.1) for a in (-3.5, 0.0, 3.5) for b in (-3.5, 0.0, 3.5)]).amin(0)


def _raised(distance: Tensor, ramp: float, height: float = FEATURE_MM) -> Tensor:
    """Flat-topped feature with vertical walls: 0 inside (`distance` < 0), `-height` outside."""
    return -height * (distance / ramp + 0.5).clamp(0, 1)


def _ball(squared: Tensor, radius: float | Tensor) -> Tensor:
    """Height of a sphere or cylinder of `radius` mm at `squared` distance (mm²) from its axis."""
    return (radius * radius - squared).clamp_min(0).sqrt() - radius


def _random_relief(x: Tensor, y: Tensor) -> Tensor:
    bumps = (
        (-3.1, -2.2, 2.1, 0.0),
        (2.4, -3.3, 1.6, 0.5),
        (3.4, 2.6, 2.4, 0.3),
        (-1.2, 3.1, 1.8, 0.2),
        (0.4, 0.2, 1.2, 0.8),
    )
    heights = [-z - (torch.hypot(x - a, y - b) / r).square() for a, b, r, z in bumps]
    return torch.stack(heights).amax(0).clamp_min(-FEATURE_MM)


# Vertical-walled shapes by their signed distance (mm, negative inside).
_OUTLINES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "edge_bar": lambda x, y: box(x, y, 1.0, 8.0),
    "pacman": _pacman,
    "dot": lambda x, y: disc(x, y, 1.5),
    "cylinder": lambda x, y: disc(x, y, 4.0),
    "hollow_cylinder": lambda x, y: ring(x, y, 4.0, 1.5),
    "ring": lambda x, y: ring(x, y, 5.0, 0.6),
    "moon": lambda x, y: torch.maximum(disc(x, y, 5.0), -disc(x - 2.5, y, 4.2)),
    "dot_in": lambda x, y: torch.maximum(box(x, y, 6.0, 6.0), -disc(x, y, 1.5)),
    "cross_lines": lambda x, y: torch.minimum(box(x, y, 0.8, 6.5), box(x, y, 6.5, 0.8)),
    "parallel_lines": lambda x, y: _lines(x, y, (-3.5, 0.0, 3.5)),
    "cuboid": lambda x, y: box(x, y, 3.0, 4.5),
    "hexagon": lambda x, y: polygon(x, y, 6, 4.0),
    "triangle": lambda x, y: polygon(x, y, 3, 2.6),
}

# Smoothly curved shapes by their height.
_RELIEFS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "flat_slab": lambda x, y: torch.zeros_like(x),
    "sphere": lambda x, y: _ball(x * x + y * y, 5.0),
    "curved_surface": lambda x, y: _ball(x * x, 14.0),
    "wave": lambda x, y: 0.7 * (torch.cos(x * (2 * math.pi / 4.0)) - 1),
    "dots": lambda x, y: _raised(_dots(x, y), 0.5),
    "cone": lambda x, y: -0.5 * torch.hypot(x, y),
    "cylinder_side": lambda x, y: torch.where(y.abs() < 6.0, _ball(x * x, 3.0), -FEATURE_MM),
    "random": _random_relief,
}

SHAPE_NAMES = tuple(sorted((*_OUTLINES, *_RELIEFS)))


def _on_base(feature: Tensor, x: Tensor, y: Tensor, ramp: float) -> Tensor:
    """A feature on its 16 x 16 mm base plate; nothing beyond the plate."""
    plate = box(x, y, BASE_HALF_MM, BASE_HALF_MM)
    return feature.clamp_min(-FEATURE_MM) + (NOTHING_MM + FEATURE_MM) * (plate / ramp + 0.5).clamp(0, 1)


def _outline_object(outline: Callable[[Tensor, Tensor], Tensor]) -> HeightFunction:
    return lambda x, y, size, ramp: _on_base(_raised(outline(x, y), ramp), x, y, ramp)


def _relief_object(relief: Callable[[Tensor, Tensor], Tensor]) -> HeightFunction:
    return lambda x, y, size, ramp: _on_base(relief(x, y), x, y, ramp)


def _block(x: Tensor, y: Tensor, size: Tensor, ramp: float) -> Tensor:
    """Block of width size[0] and length size[1]; its straight edge is the line x = 0, the material is at x < 0."""
    width, length = size[:, 0, None], size[:, 1, None]
    return _raised(box(x + width / 2, y, width / 2, length / 2), ramp, -NOTHING_MM)


def _ball_tip(x: Tensor, y: Tensor, size: Tensor, ramp: float) -> Tensor:
    """Spherical indenter of radius size[0] on a stem of the same radius."""
    squared, radius = x * x + y * y, size[:, 0, None]
    return torch.where(squared < radius * radius, _ball(squared, radius), NOTHING_MM)


def _plate(x: Tensor, y: Tensor, size: Tensor, ramp: float) -> Tensor:
    """Flat square plate of half width size[0]; textures are added to it at image resolution."""
    half = size[:, 0, None]
    return _raised(box(x, y, half, half), ramp, -NOTHING_MM)


def _nothing(x: Tensor, y: Tensor, size: Tensor, ramp: float) -> Tensor:
    return torch.full_like(x, NOTHING_MM)


def _outline_plate(name: str) -> HeightFunction:
    """Thick plate with this outline and vertical walls."""
    distance = plate_distance(name)
    return lambda x, y, size, ramp: _raised(distance(x, y), ramp, -NOTHING_MM)


OBJECTS: dict[str, HeightFunction] = {
    **{name: _outline_object(outline) for name, outline in _OUTLINES.items()},
    **{name: _relief_object(relief) for name, relief in _RELIEFS.items()},
    **{name: _outline_object(outline) for name, outline in TOOL_OUTLINES.items()},
    "fluted_tool": lambda x, y, size, ramp: fluted_tool(x, y, size, NOTHING_MM),
    "block": _block,
    "ball_tip": _ball_tip,
    "plate": _plate,
    "nothing": _nothing,
    **{f"{PLATE_PREFIX}{name}": _outline_plate(name) for name in OUTLINES},
}


def _stripes(phase: Tensor) -> Tensor:
    """Smoothed square wave of period 1 in [0, 1]; the slope keeps it free of aliasing down to 0.4 mm periods at 8
    px/mm.
    """
    return torch.sigmoid(6.0 * torch.cos(2 * math.pi * phase))


# Surface textures: relief in [0, 1] (1 is the top) of texture coordinates in periods.
TEXTURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "smooth": lambda a, b: torch.ones_like(a),
    "ribbed": lambda a, b: _stripes(a),
    "dotted": lambda a, b: _stripes(a) * _stripes(b),
    "woven": lambda a, b: 0.5 + 0.5 * torch.cos(2 * math.pi * a) * torch.cos(2 * math.pi * b),
}


def object_height(names: list[str], x: Tensor, y: Tensor, size: Tensor, ramp: float) -> Tensor:
    """Height in mm, [B, N], of B named objects at object coordinates `x, y` [B, N] in mm; `size` is [B, 4].

    Samples that share an object are evaluated together, so a GPU sees few launches.
    """
    return _grouped(names, lambda name, rows: OBJECTS[name](x[rows], y[rows], size[rows], ramp), x)


def texture_relief(names: list[str], a: Tensor, b: Tensor) -> Tensor:
    """Relief in [0, 1], [B, N], of B named textures at texture coordinates in periods [B, N]."""
    return _grouped(names, lambda name, rows: TEXTURES[name](a[rows], b[rows]), a)


def _grouped(names: list[str], evaluate: Callable[[str, Tensor], Tensor], like: Tensor) -> Tensor:
    result = torch.empty_like(like)
    for name in sorted(set(names)):
        rows = torch.tensor([i for i, n in enumerate(names) if n == name], device=like.device)
        result[rows] = evaluate(name, rows)
    return result

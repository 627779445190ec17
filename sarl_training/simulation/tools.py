"""What the transfer sets touch: tips of eleven hand tools, and carbide tools with helical flutes (our own choice of
profiles; the sets that they stand in for are photographs).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from sarl_training.simulation.planar import box, disc, polygon, ring


def _star(x: Tensor, y: Tensor) -> Tensor:
    return torch.hypot(x, y) - (3.0 + 0.6 * torch.cos(6 * torch.atan2(y, x)))


def _open_jaw(x: Tensor, y: Tensor) -> Tensor:
    return torch.maximum(disc(x, y, 6.0), -box(x, y - 3.5, 2.2, 5.0))


def _teeth(x: Tensor, y: Tensor) -> Tensor:
    return torch.stack([box(x, y - o, 3.5, 0.5) for o in (-5.0, -3.0, -1.0, 1.0, 3.0, 5.0)]).amin(0)


# Vertical-walled tips by their signed distance (mm, negative inside).
TOOL_OUTLINES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "slot_screwdriver": lambda x, y: box(x, y, 0.6, 4.0),
    "cross_screwdriver": lambda x, y: torch.minimum(box(x, y, 0.7, 3.0), box(x, y, 3.0, 0.7)),
    "hex_key": lambda x, y: polygon(x, y, 6, 2.5),
    "star_key": _star,
    "open_spanner": _open_jaw,
    "ring_spanner": lambda x, y: torch.maximum(disc(x, y, 5.8), -polygon(x, y, 6, 3.2)),
    "socket": lambda x, y: torch.maximum(disc(x, y, 4.2), -box(x, y, 2.0, 2.0)),
    "hammer": lambda x, y: disc(x, y, 5.0),
    "pliers": lambda x, y: box(x.abs() - 1.6, y, 0.9, 5.0),
    "file": _teeth,
    "hole_punch": lambda x, y: ring(x, y, 2.4, 0.6),
}
FLUTE_DEPTH = 0.3  # of the radius


def fluted_tool(x: Tensor, y: Tensor, size: Tensor, outside_mm: float) -> Tensor:
    """A milling cutter or drill lying along y: radius size[0], length size[1] of one turn (mm), size[2] flutes."""
    radius, lead, flutes = (size[:, column, None] for column in range(3))
    across = (x / radius).clamp(-1, 1)
    turns = torch.asin(across) / (2 * math.pi) + y / lead
    flute = FLUTE_DEPTH * radius * (0.5 - 0.5 * torch.cos(2 * math.pi * flutes * turns)).square()
    height = radius * ((1 - across.square()).sqrt() - 1) - flute
    return torch.where(x.abs() < radius, height, outside_mm)

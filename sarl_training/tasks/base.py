"""What every downstream task declares: its label columns and units, its output name, and how the simulator draws it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sarl_training.simulation.contact import Contact
from sarl_training.simulation.skin import CAP_RADIUS_MM
from sarl_training.units import SI

Labels = Mapping[str, float | int | str]


@dataclass(frozen=True)
class Task:
    """What is learned from one kind of label: `columns` of labels.csv become the ONNX `output` of contract kind
    `message`.
    """

    name: str
    kind: Literal["regression", "classification"]
    columns: tuple[str, ...]
    output: str
    message: str

    @property
    def axes(self) -> tuple[str, ...]:
        """Axis names without units: `("x", "z", "theta")`."""
        return tuple(column.rsplit("_", 1)[0] for column in self.columns) if self.kind == "regression" else ()

    @property
    def contract_axes(self) -> tuple[str, ...]:
        """Axis names in a model's contract: a point's are x, y, z."""
        return tuple(axis.removeprefix("p") for axis in self.axes) if self.message == "point" else self.axes

    @property
    def units(self) -> tuple[str, ...]:
        """Dataset units per axis, keys of `units.SI`."""
        return tuple(column.rsplit("_", 1)[1] for column in self.columns) if self.kind == "regression" else ()

    @property
    def si_units(self) -> tuple[str, ...]:
        """SI units per axis."""
        return tuple(SI[unit][0] for unit in self.units)

    @property
    def si_scale(self) -> tuple[float, ...]:
        """`value_si = value * scale` per axis."""
        return tuple(SI[unit][1] for unit in self.units)


@dataclass(frozen=True)
class SimulatedTask(Task):
    """A task that the simulator labels: `draw(rng, index)` gives the latent contact; `labels(contact, force_N)` its row
    of labels.csv.
    """

    draw: Callable[[np.random.Generator, int], Contact]
    labels: Callable[[Contact, np.ndarray], Labels]
    class_names: tuple[str, ...] = ()
    sensors: tuple[str, ...] = ("vitactip",)
    """Sensors that see it unless others are asked for."""
    shares: tuple[float, float, float] = (0.70, 0.15, 0.15)
    """Train, val and test shares of the contacts."""


def touching_depth(x_mm: float, y_mm: float, press_mm: float) -> float:
    """Depth (mm above the apex plane) of an object that presses `press_mm` into the dome at (x, y)."""
    return CAP_RADIUS_MM - math.sqrt(CAP_RADIUS_MM**2 - x_mm**2 - y_mm**2) + press_mm


def draw_albedo(rng: np.random.Generator) -> tuple[float, float, float]:
    """Object colour: mostly pale prints, some darker or coloured; never tied to a class."""
    level = rng.uniform(0.75, 1.0) if rng.random() < 0.7 else rng.uniform(0.25, 0.75)
    colour = rng.uniform(0.92, 1.0, 3) if rng.random() < 0.7 else rng.uniform(0.5, 1.0, 3)
    return tuple(float(v) for v in level * colour / colour.max())


def draw_travel(rng: np.random.Generator, most_mm: float) -> tuple[float, float]:
    """Tangential travel after first touch, uniform in direction and length (mm)."""
    angle, length = rng.uniform(-math.pi, math.pi), rng.uniform(0, most_mm)
    return length * math.cos(angle), length * math.sin(angle)

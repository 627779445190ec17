"""Simulated units to hold against a real one: contacts of the same kind, and a frame with nothing in reach."""

import math
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np
import torch

from sarl_training.realism.statistics import SIZE_PX
from sarl_training.simulation.contact import Contact, Unit, draw_exposure, draw_unit, sample_generator
from sarl_training.simulation.render import render_contacts
from sarl_training.simulation.sensors import SENSORS
from sarl_training.tasks import TASKS
from sarl_training.tasks.base import draw_albedo, draw_travel, touching_depth

ObjectName = Literal["bar", "plate", "edge", "ball"]
_BATCH = 8
_REST = Contact(object_name="nothing", depth_mm=-5.0)


class SimulatedUnit(NamedTuple):
    """Frames of one unit, uint8 RGB."""

    frames_NHWC: np.ndarray
    rest_HWC: np.ndarray


def _bar(rng: np.random.Generator) -> Contact:
    """The 2 x 16 mm bar of the MultiDiffSense frames."""
    x, y = rng.uniform(-2.5, 2.5, 2)
    light = rng.uniform(0.85, 1.0)
    return Contact(
        object_name="edge_bar",
        depth_mm=touching_depth(x, y, rng.uniform(0.2, 2.0)),
        x_mm=x,
        y_mm=y,
        yaw_rad=math.radians(rng.uniform(-90, 90)),
        travel_mm=draw_travel(rng, 1.0),
        albedo_rgb=(0.95 * light, 0.98 * light, light),
    )


def _plate(rng: np.random.Generator) -> Contact:
    """A flat body wider than the tip, hard or soft as a phantom is."""
    return Contact(
        object_name="plate",
        size_mm=(20.0, 0.0, 0.0, 0.0),
        depth_mm=rng.uniform(0.3, 3.0),
        tilt=tuple(rng.normal(0, 0.04, 2)),
        travel_mm=draw_travel(rng, 2.0),
        stiffness_N_per_mm3=float(10 ** rng.uniform(-2, 1)),
        albedo_rgb=draw_albedo(rng),
    )


OBJECTS: dict[ObjectName, Callable[[np.random.Generator], Contact]] = {
    "bar": _bar,
    "plate": _plate,
    "edge": lambda rng: TASKS["edge_pose"].draw(rng, 0),
    "ball": lambda rng: TASKS["contact_point"].draw(rng, 0),
}


def simulated_units(
    sensor: str, touched: ObjectName, units: int, contacts: int, seed: int, device: torch.device
) -> Iterator[SimulatedUnit]:
    """Unit after unit of the family `seed`, the same units that `sarl-train simulate --units` draws from."""
    for number in range(units):
        rng = sample_generator(seed, "realism", touched, number)
        pressed = [OBJECTS[touched](rng) for _ in range(contacts)]
        images = _render([*pressed, _REST], draw_unit(seed, number), rng, sensor, device)
        yield SimulatedUnit(images[:-1], images[-1])


def _render(
    contacts: list[Contact], unit: Unit, rng: np.random.Generator, sensor: str, device: torch.device
) -> np.ndarray:
    batches = [contacts[first : first + _BATCH] for first in range(0, len(contacts), _BATCH)]
    return np.concatenate(
        [
            render_contacts(
                batch, [unit] * len(batch), [draw_exposure(rng) for _ in batch], [SENSORS[sensor]], SIZE_PX, device
            )[0][sensor]
            for batch in batches
        ]
    )

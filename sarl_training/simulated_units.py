"""Which unit of a sensor made each contact of `sarl-train simulate --units`: to learn what units have in common.

Shapes: N contacts.
"""

import numpy as np

from sarl_training.dataset import Dataset, Table
from sarl_training.errors import DataRefused
from sarl_training.simulation.contact import sample_generator
from sarl_training.tasks import SimulatedTask

LEAST_UNITS = 8


def units_of(dataset: Dataset, task: SimulatedTask | None, table: Table) -> np.ndarray:
    """[N] the unit that `sarl-train simulate --units` drew for each contact. DataRefused for other data."""
    generator = dataset.info.get("generator", {})
    units, seed = generator.get("units", 0), dataset.info.get("seed")
    if task is None or not dataset.simulated or units < LEAST_UNITS or not isinstance(seed, int):
        raise DataRefused(
            f"{dataset.path}: {units or 'no'} simulated units, at least {LEAST_UNITS} are needed to learn how units "
            "differ; make them with `sarl-train simulate --suite units --units 256` (for calibrate) or "
            "`--suite many_units --units 4000` (for supervise --unit-offsets)"
        )
    found = []
    for name in table.sample_id:
        index = int(name.rsplit("-", 1)[1])
        rng = sample_generator(seed, task.name, index)
        task.draw(rng, index)  # the unit is drawn after the contact
        found.append(int(rng.integers(units)))
    return np.array(found)

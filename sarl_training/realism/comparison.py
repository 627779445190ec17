"""Inside or outside: each figure of a real unit against its 5 to 95 % range over simulated units."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from sarl_training.realism.statistics import Figure, Measured

SHARES = (5, 95)


class Row(NamedTuple):
    """One figure of the real unit beside the simulated ones."""

    name: str
    unit: str
    about: str
    real: float
    low: float
    median: float
    high: float

    @property
    def where(self) -> Literal["inside", "below", "above"]:
        return "below" if self.real < self.low else "above" if self.real > self.high else "inside"


def compare(real: Measured, simulated: Sequence[Measured]) -> list[Row]:
    """Rows in the order of the figures; those that could not be measured on either side are left out."""
    rows = []
    for name, figure in real.figures.items():
        values = np.array([unit.figures[name].value for unit in simulated if name in unit.figures])
        values = values[np.isfinite(values)]
        if len(values) and np.isfinite(figure.value):
            rows.append(_row(name, figure, values))
    return rows


def _row(name: str, figure: Figure, values: np.ndarray) -> Row:
    low, median, high = np.percentile(values, (SHARES[0], 50, SHARES[1]))
    return Row(name, figure.unit, figure.about, figure.value, float(low), float(median), float(high))

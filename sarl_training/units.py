"""Units by name: those that foreign files may use, those that datasets store, those that leave for the robot."""

import math

SI: dict[str, tuple[str, float]] = {
    "mm": ("m", 1e-3),
    "deg": ("rad", math.pi / 180),
    "N": ("N", 1.0),
    "Nmm": ("N m", 1e-3),
    "px": ("px", 1.0),
    "1": ("1", 1.0),
}
"""Dataset unit -> (SI unit, `value_si / value`). A pixel (of the image as it was ingested) and 1 stay what they are."""

ACCEPTED: dict[str, tuple[str, float]] = {
    "mm": ("mm", 1.0),
    "cm": ("mm", 10.0),
    "m": ("mm", 1000.0),
    "um": ("mm", 1e-3),
    "deg": ("deg", 1.0),
    "rad": ("deg", 180 / math.pi),
    "N": ("N", 1.0),
    "mN": ("N", 1e-3),
    "Nmm": ("Nmm", 1.0),
    "Nm": ("Nmm", 1000.0),
    "px": ("px", 1.0),
    "1": ("1", 1.0),
}
"""Unit in a foreign file -> (dataset unit, `value_dataset / value`)."""

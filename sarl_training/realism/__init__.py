"""Simulation held against reality: the same figures of real frames and of many simulated units of the sensor.

Reading order: `pins.py` where the pins are, `statistics.py` the figures of one unit, `simulated.py` units to compare
with, `frames.py` the real frames, `comparison.py` inside or outside, `press_order.py` a model on an ordered press,
`page.py` and `picture.py` all of it as files, `hold.py` one after the other.
"""

from sarl_training.realism.config import RealismConfig
from sarl_training.realism.hold import hold_against_reality

__all__ = ["RealismConfig", "hold_against_reality"]

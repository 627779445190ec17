"""One picture of the comparison: frames with their pins, light and sharpness by radius, every figure in its range."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from sarl_training.realism.comparison import SHARES, Row
from sarl_training.realism.statistics import PROFILE_PX, ZONES_PX, Measured

REAL, SIMULATED = "#c2571a", "#2f6da8"
_SHOWN = 3
_FARTHEST = 4.0  # half ranges from the middle: farther figures are drawn here with an arrow


def draw(
    real_NHWC: np.ndarray,
    real: Measured,
    simulated_NHWC: Sequence[np.ndarray],
    simulated: Sequence[Measured],
    rows: Sequence[Row],
) -> bytes:
    """PNG. Frames: `real_NHWC` of the real unit, `simulated_NHWC[i]` of simulated unit i."""
    figure = Figure(figsize=(11.5, 7.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1])
    pictures, profiles = left.subfigures(2, 1, height_ratios=[2, 1])
    grid = pictures.subplots(2, _SHOWN)
    chosen = np.linspace(0, len(real_NHWC) - 1, _SHOWN).round().astype(int)
    for column, number in enumerate(chosen):
        _frame(grid[0, column], real_NHWC[number], real, number, "real" if column == 0 else "")
    for column in range(_SHOWN):
        unit = min(column, len(simulated) - 1)
        _frame(grid[1, column], simulated_NHWC[unit][0], simulated[unit], 0, "simulated units" if not column else "")
    light, sharp = profiles.subplots(1, 2)
    _profiles(light, "grey value by radius", real.brightness_R, [unit.brightness_R for unit in simulated])
    _profiles(sharp, "gradient, share per px", real.sharpness_R, [unit.sharpness_R for unit in simulated])
    _figures(right.subplots(), rows)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=85)
    small = io.BytesIO()
    with Image.open(buffer) as image:
        image.convert("RGB").quantize(200).save(small, "png", optimize=True)
    return small.getvalue()


def _frame(axis: Axes, image_HWC: np.ndarray, measured: Measured, number: int, title: str) -> None:
    """The frame with a line from each pin's rest to where it is."""
    axis.imshow(image_HWC)
    for pin, motion in zip(measured.rest_pins_P2, measured.moved_pins_FP2[number], strict=True):
        if np.isfinite(motion[0]):
            axis.plot(*np.stack([pin, pin + motion], 1) - 0.5, color="#39e75f", linewidth=0.9)
    axis.set_xlim(-0.5, image_HWC.shape[1] - 0.5)
    axis.set_ylim(image_HWC.shape[0] - 0.5, -0.5)
    axis.set_title(title, fontsize=9, loc="left")
    axis.set_axis_off()


def _profiles(axis: Axes, title: str, real_R: np.ndarray, simulated: Sequence[np.ndarray]) -> None:
    shown = ZONES_PX["rim"][1] > PROFILE_PX
    radius = PROFILE_PX[shown]
    low, median, high = np.nanpercentile(np.stack(simulated)[:, shown], (SHARES[0], 50, SHARES[1]), axis=0)
    axis.fill_between(radius, low, high, color=SIMULATED, alpha=0.25, linewidth=0, label="simulated, 5 to 95 %")
    axis.plot(radius, median, color=SIMULATED, linewidth=1)
    axis.plot(radius, real_R[shown], color=REAL, linewidth=1.6, label="real")
    axis.set_title(title, fontsize=9, loc="left")
    axis.set_xlabel("radius, px", fontsize=7)
    axis.set_ylim(bottom=0)
    axis.tick_params(labelsize=7)
    axis.legend(fontsize=7, frameon=False)


def _figures(axis: Axes, rows: Sequence[Row]) -> None:
    """Each real figure on a scale where the simulated range is -1 to 1."""
    axis.axvspan(-1, 1, color=SIMULATED, alpha=0.2, linewidth=0)
    for line, row in enumerate(rows):
        half = max((row.high - row.low) / 2, 1e-9)
        place = (row.real - (row.high + row.low) / 2) / half
        shown = float(np.clip(place, -_FARTHEST, _FARTHEST))
        marker = "o" if shown == place else ">" if place > 0 else "<"
        axis.plot(shown, line, marker, color=REAL if row.where != "inside" else "#3b8f5a", markersize=5)
    axis.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=7)
    axis.invert_yaxis()
    axis.set_xlim(-_FARTHEST - 0.3, _FARTHEST + 0.3)
    axis.tick_params(axis="x", labelsize=7)
    axis.set_xlabel("place in the simulated range: -1 is 5 %, 1 is 95 %; arrows: further off", fontsize=7)
    axis.set_title("real unit; blue: simulated, 5 to 95 %", fontsize=9, loc="left")
    axis.grid(axis="y", alpha=0.2)

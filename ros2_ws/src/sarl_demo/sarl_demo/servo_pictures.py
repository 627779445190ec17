"""Draw trajectories over the true outline, and tile the pictures into one sheet."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sarl_demo.servo_score import Trajectory


def draw_outline(path: Path, name: str, trajectories: list[Trajectory]) -> None:
    """The outline and the tip's ways round it; beside it the signed distance along the way."""
    figure = Figure(figsize=(9, 4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    plan, error = figure.subplots(1, 2, width_ratios=(1, 1.25))
    outline = trajectories[0].outline
    rim = outline.point(np.linspace(0, outline.length_mm, 2000))
    plan.fill(*rim.T, color="0.9")
    plan.plot(*rim.T, color="0.3", linewidth=0.8, label="true outline")
    for number, trajectory in enumerate(trajectories):
        way = np.array([pose.position_mm for pose in trajectory.poses])[np.array(trajectory.settled, bool)]
        if not len(way):
            continue
        nearest = outline.nearest(way)
        label = "tip" if number == 0 else None
        plan.plot(*way.T, color="tab:red", linewidth=0.8, alpha=0.8, label=label)
        order = np.argsort(nearest.along_mm)
        error.plot(nearest.along_mm[order], nearest.distance_mm[order], color="tab:red", linewidth=0.8, alpha=0.8)
    plan.set(aspect="equal", xlabel="x mm", ylabel="y mm", title=f"{name}, {outline.length_mm:.0f} mm round")
    plan.invert_yaxis()
    plan.legend(loc="center", frameon=False)
    error.axhspan(-0.5, 0.5, color="0.93")
    error.axhline(0, color="0.3", linewidth=0.8)
    error.set(xlabel="way round, mm", ylabel="distance to the outline, mm (outside +)", title="simulated, true tip")
    figure.savefig(path)


def draw_sheet(path: Path, pictures: list[Path]) -> None:
    """One picture under the other, two in a row."""
    tiles = [cv2.imread(str(picture)) for picture in pictures]
    if len(tiles) % 2:
        tiles.append(np.full_like(tiles[0], 255))
    rows = [np.concatenate(tiles[first : first + 2], 1) for first in range(0, len(tiles), 2)]
    cv2.imwrite(str(path), np.concatenate(rows, 0))

"""Curves of one run or several as SVG, small panels side by side."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sarl_training.diagnostics import COLLAPSED_RANK, COLLAPSED_STD
from sarl_training.online_probe import SCORE
from sarl_training.run_report.pictures import part_colours
from sarl_training.run_report.record import GRADIENT, PROBE, Curve, RunRecord

COLOURS = ("#2f6da8", "#c2571a", "#3b8f5a", "#8a4fa3", "#a8862f", "#5b6770", "#b8436d", "#3fa3a8")
_PANELS_A_ROW = 4
_LOG_SPAN = 20  # a term whose largest value is so many times its smallest gets a logarithmic axis
_STYLE = {
    "font.size": 9, "font.family": "sans-serif", "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.alpha": 0.25, "svg.fonttype": "none", "svg.hashsalt": "sarl",
}  # fmt: skip


class Panel(NamedTuple):
    """One small picture: a curve name, its title, and an alarm line if it has one."""

    name: str
    title: str
    alarm: float | None = None


WATCHED = (
    Panel("feature_std", "feature std (1: spread, 0: one point)", COLLAPSED_STD),
    Panel("effective_rank", "effective rank of 512", COLLAPSED_RANK),
)
SPEED = (
    Panel("lr", "learning rate"),
    Panel("images_per_second", "images / s"),
    Panel("memory_peak_mb", "memory peak, MB"),
)


def term_panels(run: RunRecord) -> list[Panel]:
    """The loss and its terms before weighting."""
    return [Panel(name, name) for name in run.terms()]


def probe_panels(run: RunRecord) -> list[Panel]:
    """The score, then every axis or accuracy."""
    names = sorted(run.names(PROBE), key=lambda name: name != SCORE)
    return [Panel(name, _probe_title(name)) for name in names]


def _probe_title(name: str) -> str:
    if name == SCORE:
        return "score (1: perfect, 0: mean predictor)"
    task, _, value = name.removeprefix(PROBE).partition("/")
    axis, _, unit = value.rpartition("_")
    return f"{task}: {axis}, MAE in {unit}" if axis else f"{task}: {value}"


def draw_panels(runs: Mapping[str, RunRecord], panels: Sequence[Panel]) -> str:
    """SVG of the panels that any run has a curve for, all runs in each; empty when there is none."""
    shown = [panel for panel in panels if any(panel.name in run.curves for run in runs.values())]
    if not shown:
        return ""

    def draw(axes: Sequence[Axes]) -> None:
        for panel, axis in zip(shown, axes, strict=True):
            for colour, (label, run) in zip(_cycle(len(runs)), runs.items(), strict=True):
                if panel.name in run.curves:
                    _line(axis, run.curves[panel.name], colour, label)
            if panel.alarm is not None:
                axis.axhline(panel.alarm, color="#c03030", linewidth=1, linestyle=":", label="alarm")
            _scale(axis, [run.curves[panel.name] for run in runs.values() if panel.name in run.curves], panel)
            axis.set_title(panel.title, fontsize=9, loc="left")
        if len(runs) > 1:
            axes[0].legend(fontsize=7, frameon=False)

    return _svg(len(shown), draw)


def draw_gradient_shares(run: RunRecord) -> str:
    """Stacked shares of the weighted terms' gradient norms at the end of layer 3; empty with fewer than two terms or
    measurements.
    """
    names = [name for name in run.names(GRADIENT) if run.curves[name].value.any()]
    lengths = {len(run.curves[name].value) for name in names}
    if len(names) < 2 or len(lengths) > 1 or min(lengths) < 2:
        return ""
    norms_TN = np.stack([run.curves[name].value for name in names])
    shares_TN = norms_TN / norms_TN.sum(0).clip(1e-30)

    def draw(axes: Sequence[Axes]) -> None:
        labels = [name.removeprefix(GRADIENT) for name in names]
        axes[0].stackplot(run.curves[names[0]].epoch, shares_TN, labels=labels, colors=_cycle(len(names)), alpha=0.85)
        axes[0].set_ylim(0, 1)
        axes[0].legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
        axes[0].set_title("share of the gradient that reaches layer 3, by weighted term", fontsize=9, loc="left")

    return _svg(1, draw, width=7.5, right=0.9)


def draw_usage(share_K: np.ndarray) -> str:
    """Bars: how often each prototype wins a cell, the commonest first."""

    def draw(axes: Sequence[Axes]) -> None:
        order = np.argsort(-share_K)
        axes[0].bar(range(len(share_K)), share_K[order], color=part_colours(len(share_K)) / 255)
        axes[0].axhline(1 / len(share_K), color="0.4", linewidth=1, linestyle=":")
        axes[0].set_title("share of cells won; dotted: if all won alike", fontsize=9, loc="left")

    return _svg(1, draw, width=7.5, label="prototype, commonest first")


def _line(axis: Axes, curve: Curve, colour: str, label: str) -> None:
    marker = "o" if len(curve.value) < 15 else ""
    axis.plot(curve.epoch, curve.value, color=colour, linewidth=1.4, marker=marker, markersize=3, label=label)


def _scale(axis: Axes, curves: Sequence[Curve], panel: Panel) -> None:
    values = np.concatenate([curve.value for curve in curves])
    if panel.name not in ("lr", SCORE) and values.min() > 0 and values.max() > _LOG_SPAN * values.min():
        axis.set_yscale("log")
    elif panel.alarm is not None or panel.name in ("lr", "images_per_second", "memory_peak_mb"):
        axis.set_ylim(bottom=0)


def _cycle(count: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(count)]


def _svg(
    panels: int, draw: Callable[[Sequence[Axes]], None], width: float = 0.0, right: float = 0.15, label: str = "epoch"
) -> str:
    """Panels over `label`; `width` and the margin at the `right` in inches."""
    columns = panels if panels <= _PANELS_A_ROW + 1 else _PANELS_A_ROW
    rows = -(-panels // columns)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width or min(2.9 * columns, 11.6), 2.2 * rows))
        axes = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axis in axes[panels:]:
            axis.set_visible(False)
        draw(axes[:panels])
        wide, high = figure.get_size_inches()
        figure.subplots_adjust(0.65 / wide, 0.45 / high, 1 - right / wide, 1 - 0.3 / high, wspace=0.35, hspace=0.55)
        for axis in axes[:panels]:
            axis.set_xlabel(label, fontsize=8)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]

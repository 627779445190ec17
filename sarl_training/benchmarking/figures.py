"""The Fig. 4 scatter and the plot of errors against labels."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import Locator, LogLocator, MaxNLocator

from sarl_training.atomic_file import write_atomically
from sarl_training.benchmarking.cells import Numbers
from sarl_training.benchmarking.plan import BUDGETS
from sarl_training.benchmarking.tables import budget_lines
from sarl_training.pictures import predicted_against_true

_PANELS = {
    "edge_pose/x_mm": "edge pose: x error (mm)",
    "edge_pose/z_mm": "edge pose: press depth error (mm)",
    "edge_pose/theta_deg": "edge pose: angle error (deg)",
    "shape/top1": "shape: wrong answers (%)",
}
_STYLES = (("C0", "o-"), ("C0", "s--"), ("0.5", "o-"), ("0.5", "s--"), ("C3", "^-"))


def draw_all(numbers: Numbers, folder: Path) -> list[str]:
    """Write the pictures that there are records for; the Markdown that shows them."""
    return [*_scatter(numbers, folder), *_budgets(numbers, folder)]


def _suffix(numbers: Numbers) -> str:
    return f"{numbers.images()}; preset {numbers.scope}{': says nothing' if numbers.preset == 'smoke' else ''}"


def _scatter(numbers: Numbers, folder: Path) -> Iterator[str]:
    for record in numbers.records:
        if record["kind"] == "scatter":
            points = {name: np.array(values) for name, values in record["points"].items()}
            name = f"fig4_{numbers.scope}.png"
            models = {"supervised": points["supervised"], "SARL, linear probe": points["sarl"]}
            title = f"Edge pose on test ({_suffix(numbers)})"
            predicted_against_true(folder / "pictures" / name, title, record["axes"], points["true"], models)
            yield from ("#### Fig. 4: edge pose, predicted against true", "")
            yield from (numbers.origin([record["key"].rpartition("/")[0].removeprefix(f"{numbers.scope}/")]), "")
            yield from (f"![Fig. 4](pictures/{name})", "")


def _budgets(numbers: Numbers, folder: Path) -> Iterator[str]:
    """One panel per metric, one line per way to use labels; `all` stands at the number of labels it means."""
    if not numbers.has(["labels"]):
        return
    most = max((2 * budget for budget in BUDGETS if _measured(numbers, str(budget))), default=40)
    figure = Figure(figsize=(4.0 * len(_PANELS), 4.2), layout="constrained")
    figure.suptitle(f"Error on test against labelled samples, mean ± std over seeds ({_suffix(numbers)})")
    for axis, (metric, title) in zip(figure.subplots(1, len(_PANELS)), _PANELS.items(), strict=True):
        for line, (colour, style) in enumerate(_STYLES):
            places, values, spreads, name = [], [], [], ""
            for budget in (*map(str, BUDGETS), "all"):
                name, group, number = budget_lines(budget, metric)[line]
                found = numbers.value(group, number)
                if found is not None:
                    places.append(most if budget == "all" else int(budget))
                    wrong = metric.endswith("top1")
                    values.append(100 * (1 - found["mean"]) if wrong else found["mean"])
                    spreads.append(100 * found["std"] if wrong else found["std"])
            axis.errorbar(places, values, spreads, fmt=style, color=colour, label=name, markersize=4, capsize=2)
        axis.set_xscale("log")
        ticks = [*(budget for budget in BUDGETS if budget < most), most]
        axis.set_xticks(ticks, [*map(str, ticks[:-1]), "all"])
        if metric.endswith("top1"):
            axis.set_ylim(0, 100)
        else:
            axis.set_yscale("log")
            axis.yaxis.set_major_locator(log_ticks(*axis.get_ylim()))
            axis.yaxis.set_major_formatter("{x:g}")
        axis.minorticks_off()
        axis.grid(axis="y", alpha=0.3)
        axis.set_xlabel("labelled samples (train and val)")
        axis.set_title(title, fontsize=10)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    name = f"labels_{numbers.scope}.png"
    write_atomically(folder / "pictures" / name, buffer.getvalue())
    yield from (f"![Errors against labels](pictures/{name})", "")


def log_ticks(low: float, high: float) -> Locator:
    """1, 2, 5 of each decade; even steps where fewer than three of those lie between the limits of a log axis."""
    ticks = LogLocator(subs=(1, 2, 5))
    enough = sum(low <= tick <= high for tick in ticks.tick_values(low, high)) >= 3
    return ticks if enough else MaxNLocator(6, steps=(1, 2, 2.5, 5, 10))


def _measured(numbers: Numbers, budget: str) -> bool:
    return any(record["kind"] == "labels" and record["detail"] == budget for record in numbers.records)

"""`report.html`: one run as a page, or several side by side. Read from run folders alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sarl_training.atomic_file import write_atomically
from sarl_training.census import CENSUS_FILE, read_counts
from sarl_training.errors import UsageError
from sarl_training.online_probe import SCORE
from sarl_training.run_report import curves, html
from sarl_training.run_report.encoder_sections import encoder_sections
from sarl_training.run_report.record import PROBE, RunRecord, read_run
from sarl_training.run_report.verdict import judge

REPORT_FILE = "report.html"


def write_report(path: Path) -> Path:
    """Write `report.html` into a run folder and return where it is.

    Raises UsageError when the folder holds no run; sections that the run has nothing for are left out.
    """
    run = read_run(path)
    only = {run.name: run}
    pictures, notes = encoder_sections(run)
    parts = [
        html.heading(f"{run.config['method_name']}: {run.name}", _origin_line(run)),
        html.verdict(*judge(run.curves)),
        html.cards(_numbers(run)),
        html.section(
            "What it knows: online probe", _PROBE_TEXT, curves.draw_panels(only, curves.probe_panels(run))
        ),
        html.section("Is it alive", _ALIVE_TEXT, curves.draw_panels(only, curves.WATCHED)),
        html.section(
            "Loss and its terms",
            "Means between two measurements, before weighting. A wide range is drawn on a logarithmic axis.",
            curves.draw_panels(only, curves.term_panels(run)),
        ),
        html.section("Which terms steer", _SHARES_TEXT, curves.draw_gradient_shares(run)),
        *pictures,
        html.section("Speed", "", curves.draw_panels(only, curves.SPEED)),
        html.section("Images", "", _census(run)),
        html.section("Where it comes from", "", html.table(("", ""), _flat(run.origin)),
                     html.folded("all settings", html.table(("setting", "value"), _flat(run.config)))),
        *map(html.note, notes),
    ]  # fmt: skip
    out = path / REPORT_FILE
    write_atomically(out, html.page(f"{run.name}: training report", parts).encode())
    return out


def write_comparison(paths: Sequence[Path], out: Path) -> Path:
    """Write one page about several runs: verdicts, final numbers, settings that differ, curves over each other."""
    runs = {}
    for path in paths:
        run = read_run(path)
        label = run.name if run.name not in runs else str(path)
        if label in runs:
            raise UsageError(f"{path}: named twice; name each run once")
        runs[label] = run
    terms = {panel: None for run in runs.values() for panel in curves.term_panels(run)}
    probes = {panel: None for run in runs.values() for panel in curves.probe_panels(run)}
    verdicts = [(label, *judge(run.curves)) for label, run in runs.items()]
    names = list(dict.fromkeys(name for run in runs.values() for name, _ in _numbers(run)))
    numbers = {label: dict(_numbers(run)) for label, run in runs.items()}
    parts = [
        html.heading(f"{len(runs)} runs compared", ", ".join(runs)),
        html.section("Verdicts", "", html.table(("run", "", "why"), verdicts)),
        html.section(
            "Final numbers", "",
            html.table(("", *runs), [(name, *(numbers[label].get(name, "") for label in runs)) for name in names]),
        ),
        html.section("Settings that differ", "", html.table(("setting", *runs), _differences(runs))),
        html.section("Online probe", _PROBE_TEXT, curves.draw_panels(runs, list(probes))),
        html.section("Is it alive", _ALIVE_TEXT, curves.draw_panels(runs, curves.WATCHED)),
        html.section("Loss and its terms", "Terms of one name need not be the same thing in different methods.",
                     curves.draw_panels(runs, list(terms))),
        html.section("Speed", "", curves.draw_panels(runs, curves.SPEED)),
    ]  # fmt: skip
    write_atomically(out, html.page("Training runs compared", parts).encode())
    return out


_PROBE_TEXT = (
    "Ridge regression on frozen embeddings, fitted on train, measured on val: mean absolute error per axis, or top-1. "
    "A quick stand-in for sarl-train probe, which is what to report."
)
_ALIVE_TEXT = "Embeddings of un-augmented images. Below a dotted line they have become one point or one line."
_SHARES_TEXT = (
    "Norms of the gradients of the weighted terms where they enter layer 3. A term with a thin band has no say."
)


def _origin_line(run: RunRecord) -> str:
    origin = run.origin
    data = "simulated images" if origin.get("simulated") else "real images"
    known = [origin.get("started"), f"commit {str(origin['commit'])[:12]}" if "commit" in origin else None]
    return " · ".join(str(part) for part in (data, *known, origin.get("machine")) if part)


def _numbers(run: RunRecord) -> list[tuple[str, str]]:
    """Name and value of what is asked first."""
    values = [("epochs done / asked", f"{run.epochs_done:.4g} / {run.config.get('epochs', '?')}")]
    if "images" in run.origin:
        values.append(("images", f"{run.origin['images']:,}"))
    if "images_per_second" in run.curves:
        values.append(("images / s, median", f"{np.median(run.curves['images_per_second'].value):.3g}"))
    for name, title in (("loss", "loss, last"), ("feature_std", "feature std"), ("effective_rank", "effective rank")):
        if name in run.curves:
            values.append((title, f"{run.last(name):.3g}"))
    if SCORE in run.curves:
        best = int(run.curves[SCORE].value.argmax())
        values.append(("best probe score, epoch",
                       f"{run.curves[SCORE].value[best]:.3f}, {run.curves[SCORE].epoch[best]:.3g}"))  # fmt: skip
        for name in run.names(PROBE):
            if name != SCORE and best < len(run.curves[name].value):
                values.append(
                    (name.removeprefix(PROBE).replace("/", " ") + " then", f"{run.curves[name].value[best]:.3g}")
                )
    return values


def _census(run: RunRecord) -> str:
    """Counts of what of a flat folder was taken, from images.csv."""
    file = run.path / CENSUS_FILE
    return html.table(("", "images", ""), read_counts(file)) if file.exists() else ""


def _flat(values: dict[str, Any], where: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, entry in values.items():
        value = dict(enumerate(entry, 1)) if key == "resumed" else entry  # once for each time
        rows += _flat(value, f"{where}{key}.") if isinstance(value, dict) else [(f"{where}{key}", str(value))]
    return rows


def _differences(runs: dict[str, RunRecord]) -> list[tuple[str, ...]]:
    """Settings that are not the same in all runs; the folder to write to always differs and says nothing."""
    settings = {label: dict(_flat(run.config)) for label, run in runs.items()}
    names = dict.fromkeys(name for values in settings.values() for name in values if name != "out")
    rows = [(name, *(values.get(name, "—") for values in settings.values())) for name in names]
    return [row for row in rows if len(set(row[1:])) > 1]

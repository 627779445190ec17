"""Whether calibration contacts reach over the range that the model answers in; the range stands in the model's card."""

import itertools
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sarl_training.errors import DataRefused
from sarl_training.labels import Table
from sarl_training.tasks import Task

logger = logging.getLogger(__name__)

LEAST_SHARE = 0.5
ENOUGH_SHARE = 0.75
WIDEST_GAP = 1 / 3  # of the model's range; ten contacts at random leave one in a fifth of all cases, fifty never
OUTSIDE_MARGIN = 0.1  # of the model's range
TOGETHER = 0.9  # correlation from which the effects of two axes cannot be told apart
DEPTH = {"edge_pose": "z_mm"}  # column that is above 0 in every contact
_NUMBER = r"(-?\d[\d.]*(?:e[+-]?\d+)?)"

Ranges = Mapping[str, tuple[float, float]]
"""Column of labels.csv -> smallest and largest label, dataset units."""


def range_line(task: Task, contacts: str, ranges: Ranges) -> str:
    """The card's line that `card_ranges` reads again."""
    return f"- {task.output}: {contacts}" + "".join(f"; {name} {a:.3g} to {b:.3g}" for name, (a, b) in ranges.items())


def card_ranges(model: Path, task: Task) -> Ranges:
    """Label ranges from the card beside a model; empty, with a warning, where it does not say."""
    card = model.with_suffix(".md")
    text = card.read_text(encoding="utf-8", errors="replace") if card.exists() else ""
    lines = re.findall(rf"^- {re.escape(task.output)}: .*$", text, re.MULTILINE)
    found = {name: re.search(rf"; {re.escape(name)} {_NUMBER} to {_NUMBER}", "".join(lines)) for name in task.columns}
    if not all(found.values()):
        logger.warning("%s: does not give the label ranges of %s; they are not checked", card, task.output)
        return {}
    return {name: (float(match[1]), float(match[2])) for name, match in found.items() if match}


def touching(task: Task, rows: Table) -> tuple[Table, Sequence[str]]:
    """The rows pressed into the sensor, and a warning that counts the others: between touches there is no edge to read.

    DataRefused where no row is pressed in.
    """
    depth_N = rows.columns[DEPTH[task.name]] if task.name in DEPTH else np.ones(len(rows))
    off_N = depth_N <= 0
    if not off_N.any():
        return rows, []
    said = (
        f"{rows.path}: {task.output}: {off_N.sum()} of {len(rows)} contacts have {DEPTH[task.name]} "
        f"{depth_N[off_N].min():.3g} to {depth_N[off_N].max():.3g}, a contact is above 0"
    )
    if off_N.all():
        raise DataRefused(f"{said}; check the object's pose and the sign of the depth")
    return rows.rows(np.flatnonzero(~off_N)), [f"{said}: they are left out; record touches only"]


def check_inside(where: Path, task: Task, columns: Mapping[str, np.ndarray], known: Ranges) -> Sequence[str]:
    """Warnings for axes with labels outside the range that the model answers in: they pull the others off."""
    warnings = []
    for name, unit in zip(task.columns, task.units, strict=True):
        value_N = columns[name]
        first, last = known.get(name, (value_N.min(), value_N.max()))
        out_N = (value_N < first - OUTSIDE_MARGIN * (last - first)) | (value_N > last + OUTSIDE_MARGIN * (last - first))
        if out_N.any():
            warnings.append(
                f"{where}: {task.output}: {out_N.sum()} of {len(value_N)} contacts have {name} at "
                f"{value_N[out_N].min():.3g} to {value_N[out_N].max():.3g} {unit}, outside the model's {first:.3g} to "
                f"{last:.3g}; they can make it worse inside: leave them out, or compare without them"
            )
    return warnings


def check_ranges(where: Path, task: Task, measured: Ranges, known: Ranges) -> Sequence[str]:
    """Warnings that say what to record; DataRefused for an axis with less than half of the model's range."""
    warnings = []
    for name, unit in zip(task.columns, task.units, strict=True):
        low, high = measured[name]
        first, last = known.get(name, (low, high))
        if last == first == low == high:
            raise DataRefused(
                f"{where}: {task.output}: {name} is {low:.3g} {unit} in every contact: record some in which it changes"
            )
        if last == first:
            continue
        share = (min(high, last) - max(low, first)) / (last - first)
        missing = [
            f"{a:.3g} to {b:.3g} {unit}" for a, b in ((first, min(low, last)), (max(high, first), last)) if b > a
        ]
        text = (
            f"{where}: {task.output}: {name} covers {low:.3g} to {high:.3g} {unit}, {max(share, 0):.0%} of the model's "
            f"{first:.3g} to {last:.3g}; record contacts at {' and '.join(missing)}"
        )
        if share < LEAST_SHARE:
            raise DataRefused(f"{text} (at least {LEAST_SHARE:.0%} is needed)")
        if share < ENOUGH_SHARE:
            warnings.append(text)
    return warnings


def check_spread(where: Path, task: Task, columns: Mapping[str, np.ndarray], known: Ranges) -> Sequence[str]:
    """Warnings that say what to record where contacts leave a wide gap inside an axis' range, or two axes always move
    together.
    """
    warnings = []
    for name, unit in zip(task.columns, task.units, strict=True):
        value_N = np.sort(columns[name])
        first, last = known.get(name, (value_N[0], value_N[-1]))
        widest = int(np.diff(value_N).argmax())
        low, high = value_N[widest : widest + 2].clip(first, last)
        if high - low > WIDEST_GAP * (last - first):
            warnings.append(
                f"{where}: {task.output}: no contact has {name} between {low:.3g} and {high:.3g} {unit}, "
                f"{(high - low) / (last - first):.0%} of the range; record some there"
            )
    moving = [name for name in task.columns if np.ptp(columns[name]) > 0]
    for a, b in itertools.combinations(moving, 2):
        correlation = float(np.corrcoef(columns[a], columns[b])[0, 1])
        if abs(correlation) > TOGETHER:
            warnings.append(
                f"{where}: {task.output}: {a} and {b} move together (correlation {correlation:+.2f}), so that their "
                "effects cannot be told apart; record contacts with one of them changed alone"
            )
    return warnings

"""The comparison as files: realism.html (complete in itself), realism.png, realism.md and realism.json."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sarl_training.atomic_file import write_atomically
from sarl_training.realism.comparison import SHARES, Row
from sarl_training.run_report import html

PAGE_FILE = "realism.html"
_ABOUT = {
    "unit": (
        "The unit: optics, pins, light",
        "What is pressed changes these little (light most): outside means that simulated units are not like this one.",
    ),
    "press": (
        "The unit and the press",
        "These depend on how hard and where was pressed too, which is not known of the real frames.",
    ),
}
_ORDER_TEXT = (
    "Spearman rank correlation of a model's outputs with the order of the frames: as they are, and with the gain of "
    "each colour channel matched to the simulated units. Pin motion needs no model: where it does not follow the order "
    "either, the order is hardly one of depth."
)


class Subject(NamedTuple):
    """What was compared, in words."""

    title: str
    lines: tuple[str, ...]


def write_page(
    out: Path, subject: Subject, rows: Sequence[Row], ranks: Mapping[str, Mapping[str, float]], png: bytes
) -> Path:
    """Write the four files into a folder; returns the page."""
    facts = {
        "title": subject.title,
        "about": list(subject.lines),
        "range_percent": list(SHARES),
        "figures": [{**row._asdict(), "where": row.where} for row in rows],
        "press_order_spearman": {name: dict(values) for name, values in ranks.items()},
    }
    write_atomically(out / "realism.png", png)
    write_atomically(out / "realism.json", (json.dumps(facts, indent=1) + "\n").encode())
    write_atomically(out / "realism.md", _markdown(subject, rows, ranks).encode())
    write_atomically(out / PAGE_FILE, _html(subject, rows, ranks, png).encode())
    return out / PAGE_FILE


def summary(rows: Sequence[Row]) -> str:
    """How many of how many are inside."""
    parts = []
    for about, name in (("unit", "of the unit"), ("press", "of the press")):
        group = [row for row in rows if row.about == about]
        if group:
            parts.append(f"{sum(row.where == 'inside' for row in group)} of {len(group)} figures {name}")
    return f"inside the {SHARES[0]} to {SHARES[1]} % range of simulated units: {', '.join(parts)}"


def _cells(row: Row) -> tuple[str, str, str, str, str]:
    return (
        f"{row.name}{f', {row.unit}' if row.unit else ''}",
        f"{row.real:.3g}",
        f"{row.low:.3g} to {row.high:.3g}",
        f"{row.median:.3g}",
        row.where,
    )


_RANK_HEADER = ("ranked by", "raw", "gain matched")
_HEADER = ("figure", "real unit", "simulated, 5 to 95 %", "median", "real is")


def _html(subject: Subject, rows: Sequence[Row], ranks: Mapping[str, Mapping[str, float]], png: bytes) -> str:
    word = "inside" if all(row.where == "inside" for row in rows) else "outside"
    parts = [
        html.heading(subject.title, subject.lines[0]),
        html.verdict(word, summary(rows).capitalize()),
        html.picture(png, "real and simulated frames, profiles and figures"),
        *(html.section(*words, html.table(_HEADER, [_cells(row) for row in rows if row.about == about]))
          for about, words in _ABOUT.items()),
        html.section("Does a model rank the press", _ORDER_TEXT, html.table(_RANK_HEADER, _rank_rows(ranks))),
        *map(html.note, subject.lines[1:]),
    ]  # fmt: skip
    return html.page(subject.title, parts)


def rank_lines(ranks: Mapping[str, Mapping[str, float]]) -> list[list[str]]:
    """What ranks, and its correlations in words."""
    return [[name, *(f"{how} {value:.2f}" for how, value in values.items())] for name, values in ranks.items()]


def _rank_rows(ranks: Mapping[str, Mapping[str, float]]) -> list[tuple[str, str, str]]:
    return [(name, f"{v['raw']:.2f}", f"{v['gain']:.2f}" if "gain" in v else "") for name, v in ranks.items()]


def _markdown(subject: Subject, rows: Sequence[Row], ranks: Mapping[str, Mapping[str, float]]) -> str:
    """Only what is outside, and counts: the page has every figure."""
    outside = [row for row in rows if row.where != "inside"]
    lines = [f"## {subject.title}", "", *subject.lines, "", f"{summary(rows).capitalize()}.", ""]
    if outside:
        lines += _table(_HEADER, [_cells(row) for row in outside])
    if ranks:
        lines += [_ORDER_TEXT, "", *_table(_RANK_HEADER, _rank_rows(ranks))]
    return "\n".join(lines).rstrip() + "\n"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = "|" + "---|" * len(header)
    return [f"| {' | '.join(header)} |", rule, *(f"| {' | '.join(row)} |" for row in rows), ""]

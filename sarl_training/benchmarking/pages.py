"""RESULTS.md: the tables of every preset in results.json, between two markers; what stands around them stays."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from sarl_training.atomic_file import write_atomically
from sarl_training.benchmarking import figures, tables
from sarl_training.benchmarking.cells import Numbers
from sarl_training.benchmarking.plan import split_scope
from sarl_training.benchmarking.presets import PRESETS
from sarl_training.benchmarking.records import Record, scope_of
from sarl_training.errors import DataRefused

BEGIN = "<!-- benchmark: written by `sarl-train benchmark`; what stands between the two markers is replaced -->"
END = "<!-- benchmark: end -->"
_NOTE = (
    "Columns **here** are measured by this software, on simulated contacts unless a table says real; columns **paper** "
    "are the paper's, on real sensors and other data. Compare down a column, never across the two. ± is the standard "
    "deviation over seeds. Linear probes standardise embeddings on train (models/LOG.md). MINC is a reconstruction."
)
PAGE, RECORDS = "RESULTS.md", "results.json"


def write_page(folder: Path, records: Mapping[str, Record]) -> None:
    """Write RESULTS.md and the pictures it shows into `folder`.

    DataRefused when the file there has only one of the two markers.
    """
    path = folder / PAGE
    before, after = _around(path)
    sections = [BEGIN, "", "## Benchmark", "", _NOTE, ""]
    scopes = sorted({scope_of(key) for key in records})
    for preset in PRESETS:
        for scope in (scope for scope in scopes if split_scope(scope)[0] == preset):
            sections += _section(Numbers(scope, records.values()), folder)
    text = "\n".join([*sections, END])
    write_atomically(path, f"{before}{text}{after}".encode())


def _section(numbers: Numbers, folder: Path) -> list[str]:
    preset = PRESETS[numbers.preset]
    own = f", dataset `{numbers.dataset}`" if numbers.dataset else ""
    says_nothing = ", smoke: says nothing" if preset.name == "smoke" else ""
    title = f"### Preset `{preset.name}`{own} ({numbers.images()}{says_nothing})"
    seeds = f"{preset.seeds} {'seeds' if preset.seeds > 1 else 'seed'}"
    if numbers.seeds < preset.seeds:
        seeds = f"{numbers.seeds} of {seeds} so far"
    size = (
        f"{preset.image_size} px, {preset.epochs} epochs of batch {preset.batch_size}, {seeds}; baselines with their "
        f"`{preset.baselines}` settings."
    )
    shows = "A dataset given with `--data`, named after it and its SHA-256." if own else preset.shows
    lines = [title, "", f"{shows} {size}", ""]
    for make in tables.TABLES:
        lines += _spaced(make(numbers))
    return lines + _spaced(figures.draw_all(numbers, folder))


def _spaced(lines: Iterable[str]) -> list[str]:
    lines = list(lines)
    return [*lines, ""] if lines else []


def _around(path: Path) -> tuple[str, str]:
    """What stands before and after the generated part."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return "# Results\n\n", "\n"
    if BEGIN not in text and END not in text:
        return text.rstrip() + "\n\n", "\n"
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(END) < text.index(BEGIN):
        raise DataRefused(f"{path}: one of the markers {BEGIN!r} and {END!r} is missing or twice there; put it back")
    return text[: text.index(BEGIN)], text[text.index(END) + len(END) :]

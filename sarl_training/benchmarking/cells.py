"""Numbers of records as cells of Markdown tables."""

from collections.abc import Iterable, Mapping, Sequence

from sarl_training.benchmarking.plan import split_scope
from sarl_training.benchmarking.records import Record, means, scope_of

NONE = "–"
_PERCENT = ("top1", "top5")


class Numbers:
    """Means over seeds of the records of one scope: a preset, with the simulated data or a dataset of the user's."""

    def __init__(self, scope: str, records: Iterable[Record]) -> None:
        self.scope = scope
        self.preset, self.dataset = split_scope(scope)
        self.records = [record for record in records if scope_of(record["key"]) == scope]
        self.means = means(self.records)
        counts = [value["seeds"] for metrics in self.means.values() for value in metrics.values()]
        self.seeds = max(counts, default=0)

    def value(self, group: str, metric: str) -> dict[str, float] | None:
        """`mean`, `std` and `seeds`; None when nothing of it was measured."""
        return self.means.get(f"{self.scope}/{group}", {}).get(metric)

    def cell(self, group: str, metric: str) -> str:
        """`92.5 ± 0.3` in percent for accuracies, three significant digits for errors; says when others have more.

        One seed has no spread.
        """
        found = self.value(group, metric)
        if found is None:
            return NONE
        short = f" ({found['seeds']} of {self.seeds} seeds)" if found["seeds"] < self.seeds else ""
        one = found["seeds"] == 1
        if metric.endswith(_PERCENT):
            return f"{100 * found['mean']:.1f}" + ("" if one else f" ± {100 * found['std']:.1f}") + short
        return _digits(found["mean"], 3) + ("" if one else f" ± {_digits(found['std'], 2)}") + short

    def has(self, kinds: Sequence[str]) -> bool:
        """Whether anything of these kinds was measured."""
        return any(record["kind"] in kinds for record in self.records)

    def images(self, kind: str = "") -> str:
        """`simulated` or `real`: what the records saw, or those of one kind (transfer sets are always simulated)."""
        simulated = all(record["simulated"] for record in self.records if kind in ("", record["kind"]))
        return "simulated" if simulated else "real"

    def origin(self, groups: Iterable[str]) -> str:
        """Device, preset, seeds, commit and data of the records behind a table, and whether they are simulated.

        Commits are those of the measurements and of the encoders that were measured.
        """
        prefixes = tuple(f"{self.scope}/{group}/" for group in groups)
        used = [record for record in self.records if record["key"].startswith(prefixes)]
        subjects = {_subject(record) for record in used}
        encoders = [r for r in self.records if r["kind"] == "pretrain" and _subject(r) in subjects]
        facts = {
            "device": {record["device"] for record in used},
            "preset": {self.preset},
            "seeds": {str(record["seed"]) for record in used},
            "commit": {_short(record["commit"]) for record in [*used, *encoders]},
            "data": {record["data_sha256"][:8] for record in used},
        }
        said = "; ".join(f"{name}: {', '.join(sorted(values))}" for name, values in facts.items())
        images = "simulated" if all(record["simulated"] for record in used) else "real"
        return f"*{said}; images: {images}.*"


def paper_cell(values: Mapping[str, float], metric: str) -> str:
    """The paper's number, or none."""
    if metric not in values:
        return NONE
    return f"{values[metric]:.2f}" if metric.endswith(_PERCENT) else f"{values[metric]:.4f}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _digits(value: float, count: int) -> str:
    """So many significant digits, zeros at the end too."""
    return f"{value:#.{count}g}".rstrip(".")


def _subject(record: Record) -> str:
    return record["key"].split("/")[2]


def _short(commit: str) -> str:
    head, dirty, _ = commit.partition("-dirty")
    return head[:7] + dirty

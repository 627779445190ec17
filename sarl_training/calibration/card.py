"""What calibration did to a model: the table it prints and the page beside the file. N contacts, D axes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sarl_training.calibration.coverage import range_line
from sarl_training.calibration.fit import candidate_name
from sarl_training.task_answers import Calibration
from sarl_training.tasks import Task


@dataclass(frozen=True)
class HeadFacts:
    """One head on the contacts of the new unit; SI units."""

    task: Task
    groups: int
    label_ND: np.ndarray
    before_ND: np.ndarray
    """Answers of the file as it was."""
    held_out_ND: np.ndarray
    """Answers after calibration on the other folds only."""
    fitted_ND: np.ndarray
    """Answers after calibration on all contacts."""
    chosen_D: np.ndarray
    uncertainty_before: Calibration
    uncertainty_after: Calibration
    """Of contacts left out, covariances fitted on the others."""
    ranges: Mapping[str, tuple[float, float]]
    """Smallest and largest label per column, dataset units."""

    def error(self, found_ND: np.ndarray) -> np.ndarray:
        """Mean absolute error [D]."""
        return np.abs(found_ND - self.label_ND).mean(0)


def table(facts: Sequence[HeadFacts]) -> list[str]:
    """Error before and after per axis in the dataset's units, and how honest the covariances are."""
    lines = ["| head | axis | error before | after, contacts left out | unit | how |", "|---|---|---|---|---|---|"]
    for fact in facts:
        task, errors = fact.task, zip(fact.error(fact.before_ND), fact.error(fact.held_out_ND), strict=True)
        for axis, unit, si, (before, after), chosen in zip(
            task.axes, task.units, task.si_scale, errors, fact.chosen_D, strict=True
        ):
            how = candidate_name(int(chosen))
            lines.append(f"| {task.output} | {axis} | {before / si:.3g} | {after / si:.3g} | {unit} | {how} |")
    lines += [
        "",
        "| head | contacts | inside the 90 % ellipsoid before | after, contacts left out |",
        "|---|---|---|---|",
    ]
    for fact in facts:
        before, after = fact.uncertainty_before.coverage_90, fact.uncertainty_after.coverage_90
        lines.append(f"| {fact.task.output} | {len(fact.label_ND)} | {before:.0%} | {after:.0%} |")
    return lines


def card(
    name: str,
    source: str,
    contract: Mapping[str, object],
    facts: Sequence[HeadFacts],
    warnings: Sequence[str],
    command: str,
) -> str:
    """The calibrated model's page, Markdown."""
    origin = contract["provenance"]
    simulated = " (simulated)" if origin["simulated"] else ""
    ranges = [
        range_line(fact.task, f"{len(fact.label_ND)} contacts in {fact.groups} groups", fact.ranges) for fact in facts
    ]
    kept = [entry["name"] for entry in contract["outputs"] if entry["name"] not in {f.task.output for f in facts}]
    limits = [
        *(f"- {warning}" for warning in warnings),
        *(
            f"- {head}: had no labels here; it is the old unit's, and its error on this unit is not known."
            for head in kept
        ),
        "- Contacts beyond the ranges above, another unit, another light.",
    ]
    lines = "\n".join
    return f"""# {name}

`{source}` calibrated to another unit of `{contract["sensor"]}` on {origin["created"]} by `{command}`.
Data `{origin["data_sha256"][:12]}`, code `{origin["commit"][:12]}`. The encoder is the old one; heads are shrunk
towards the old heads in closed form, how far chosen by cross-validation over groups. The sense for unfamiliar frames
is centred on this unit's frames.

## Error{simulated}

Mean absolute error. After: each contact judged by a fit, choice of candidates included, without its group's fold.

{lines(table(facts))}

{lines(ranges)}

## Not good for

{lines(limits)}
"""

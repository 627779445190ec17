"""What calibration did to a model: the table it prints and the page beside the file. N contacts, D axes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sarl_training.calibration.coverage import Ranges, range_line
from sarl_training.calibration.fit import candidate_name
from sarl_training.calibration.unlabelled import Adapted
from sarl_training.task_answers import Calibration
from sarl_training.tasks import Task

SPREAD = (0.05, 0.95)  # of the answers without labels, for the table


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
Data `{origin["data_sha256"][:12]}`, code `{origin["commit"][:12]}`. The encoder is the old one; heads are corrected
in closed form from the old heads or from heads learned on many simulated units ("how"), how far chosen by
cross-validation over groups. The sense for unfamiliar frames
is centred on this unit's frames.

## Error{simulated}

Mean absolute error. After: each contact judged by a fit, choice of candidates included, without its group's fold; an
axis that got no better so keeps the old head.

{lines(table(facts))}

{lines(ranges)}

## Not good for

{lines(limits)}
"""


def adapted_table(adapted: Adapted) -> list[str]:
    """Where the answers lay before and after, and the error to expect, in the dataset's units."""
    low, high = (f"{share:.0%}" for share in SPREAD)
    lines = [
        f"| head | axis | answers before, {low} to {high} | after | error on simulated units left out, not this unit's "
        "| unit |",
        "|---|---|---|---|---|---|",
    ]
    for head in adapted.heads:
        task = head.task
        spans = [
            np.quantile(values_ND / task.si_scale, SPREAD, axis=0).T for values_ND in (head.before_ND, head.after_ND)
        ]
        rows = zip(task.axes, task.units, *spans, head.expected_D / task.si_scale, strict=True)
        for axis, unit, before, after, expected in rows:
            said = " | ".join(f"{span[0]:.3g} to {span[1]:.3g}" for span in (before, after))
            lines.append(f"| {task.output} | {axis} | {said} | {expected:.2g} | {unit} |")
    return lines


def adapted_card(
    name: str,
    source: str,
    contract: Mapping[str, object],
    adapted: Adapted,
    known: Mapping[Task, Ranges],
    command: str,
) -> str:
    """The page of a model that was moved to another unit without labels, Markdown."""
    origin, changed = contract["provenance"], [head.task.output for head in adapted.heads]
    kept = [entry["name"] for entry in contract["outputs"] if entry["name"] not in changed]
    learned = [
        range_line(
            head.task,
            f"learned from {head.learned_from[0]} contacts on {head.learned_from[1]} simulated units",
            known[head.task],
        )
        for head in adapted.heads
    ]
    limits = [
        *(f"- {head}: is the old unit's, and its error on this unit is not known." for head in kept),
        "- A robot that needs a known error: nothing here was measured on this unit. Label 10 contacts and calibrate.",
        "- A unit unlike the simulated ones, or frames of something else than contacts of the heads' kind.",
    ]
    lines = "\n".join
    return f"""# {name}

`{source}` adapted to another unit of `{contract["sensor"]}` from {adapted.frames} frames without labels on
{origin["created"]} by `{command}`. Data `{origin["data_sha256"][:12]}`, code `{origin["commit"][:12]}`. The encoder is
the old one; {", ".join(changed)}: in place of the old head one learned on many simulated units, moved to these frames.
The sense for unfamiliar frames is centred on them;
half were at {np.median(adapted.unfamiliar_N):.2g} times its threshold or above before.

{lines(learned)}

## Answers

{lines(adapted_table(adapted))}

## Not good for

{lines(limits)}
"""

"""The page that travels with a model file: what it is, how good, how honest, and what it is not good for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sarl_training.familiarity import FALSE_ALARMS
from sarl_training.task_answers import Calibration
from sarl_training.tasks import Task


@dataclass(frozen=True)
class TaskFacts:
    """One head, measured."""

    task: Task
    counts: Mapping[str, int]
    """Samples per split."""
    val: Sequence[float]
    """Error on val: mean absolute error per axis (SI), or [1 - Top-1]."""
    test: Sequence[float]
    """Error of the exported file on test, likewise."""
    calibration: Calibration | None
    """Of the exported file's covariances on test."""
    ranges: Mapping[str, tuple[float, float]]
    """Smallest and largest training label per column, dataset units."""
    classes: int


@dataclass(frozen=True)
class UnlikeFacts:
    """How the exported file takes one kind of frame."""

    name: str
    frames: int
    called_unfamiliar: float
    """Share above the contract's threshold."""
    auroc: float | None
    """Against the sensor's own test frames; None for those."""
    coverage_90: float | None
    """Share of their true values inside the 90 % ellipsoids, all geometric heads; None where no truth is known."""


@dataclass(frozen=True)
class Loss:
    """What compression cost one axis, or one head's classes, on test."""

    name: str
    float32: float
    """Error in printed units."""
    compressed: float
    share: float
    """Error gained, or Top-1 lost, as a share of what float32 has."""


@dataclass(frozen=True)
class ModelFacts:
    """One exported file."""

    name: str
    megabytes: float
    latency_ms: float
    precision: str
    parity: Mapping[str, float]
    """Largest difference to PyTorch per output, as a share of its range; empty for a compressed file."""
    losses: Sequence[Loss]
    """Of a compressed file."""
    contract: Mapping[str, object]
    encoder: Mapping[str, str]
    readout: str
    command: str
    tasks: Sequence[TaskFacts]
    unlike: Sequence[UnlikeFacts]
    notes: str
    """Markdown of the one who exports; "" for none."""


def summary(facts: ModelFacts) -> str:
    """What `sarl-train export` prints."""
    lines = [
        f"Exported model{_simulated(facts)}: {_cost(facts)}",
        *_error_table(facts),
        *_uncertainty_table(facts),
        *_unlike_table(facts),
        *_loss_table(facts),
    ]
    if facts.parity:
        parity = ", ".join(f"{name} {share:.0e}" for name, share in facts.parity.items())
        lines.append(f"ONNX against PyTorch, largest difference as a share of each output's range: {parity}")
    return "\n".join(lines)


def card(facts: ModelFacts) -> str:
    """The model card, Markdown."""
    image, origin = facts.contract["image"], facts.contract["provenance"]
    simulated = _simulated(facts)
    return f"""# {facts.name}

Tactile model for `{facts.contract["sensor"]}`: {image["width"]} x {image["height"]} RGB in, SI units out (CONTRACT.md).
{_cost(facts)}.

- Encoder: ResNet-18, trained by `{origin["method"]}` (run `{origin["run"]}`, settings
  `{origin["config_sha256"][:12]}`, commit `{facts.encoder.get("commit", "unknown")[:12]}`).
- Heads: closed-form ridge on the `{facts.readout}` readout, fitted on the train split of `{origin["dataset"]}` (data
  `{origin["data_sha256"][:12]}`); lambda and uncertainty from its val split.
- Exported {origin["created"]} from commit `{origin["commit"][:12]}` by `{facts.command}`.

## Error{simulated}

Mean absolute error, or the share of wrong classes. Test is the exported file, run with onnxruntime.

{_lines(_error_table(facts))}

{_lines(_counts(facts))}

## Uncertainty{simulated}

{_lines(_uncertainty_table(facts) or ["No head of this model gives a covariance."])}
{_calibration_note(facts)}
## Frames unlike the training images{simulated}

The graph's `unfamiliarity` is the Mahalanobis distance of early-layer channel statistics to the training frames of
all tasks. Above {facts.contract["unfamiliar_threshold"]:.3g}, which {FALSE_ALARMS:.0%} of val frames pass, a frame is
unfamiliar, and covariances grow.

{_lines(_unlike_table(facts))}

## Not good for

{_lines(_limits(facts))}
{_compression(facts)}{_notes(facts)}"""


def _lines(lines: Sequence[str]) -> str:
    return "\n".join(lines)


def _simulated(facts: ModelFacts) -> str:
    return " (simulated)" if facts.contract["provenance"]["simulated"] else ""


def _cost(facts: ModelFacts) -> str:
    latency = f"{facts.latency_ms:.1f} ms for one image on the CPU that exported it"
    return f"{facts.precision}, {facts.megabytes:.1f} MB, {latency}"


def _unlike_table(facts: ModelFacts) -> list[str]:
    lines = ["| frames | how many | called unfamiliar | AUROC | inside the 90 % ellipsoid |", "|---|---|---|---|---|"]
    for fact in facts.unlike:
        auroc = "" if fact.auroc is None else f"{fact.auroc:.3f}"
        coverage = "" if fact.coverage_90 is None else f"{fact.coverage_90:.0%}"
        lines.append(f"| {fact.name} | {fact.frames} | {fact.called_unfamiliar:.1%} | {auroc} | {coverage} |")
    return lines


def _calibration_note(facts: ModelFacts) -> str:
    """Names the heads whose coverage is not what it should be."""
    off = [
        fact.task.output
        for fact in facts.tasks
        if fact.calibration is not None and not 0.85 <= fact.calibration.coverage_90 <= 0.95
    ]
    return f"\nOutside 85 to 95 %: {', '.join(off)}.\n" if off else ""


def _loss_table(facts: ModelFacts) -> list[str]:
    rows = [
        f"| {loss.name} | {loss.float32:.3g} | {loss.compressed:.3g} | {loss.share:+.1%} |" for loss in facts.losses
    ]
    title = f"| test error | float32 | {facts.precision} | lost |"
    return [title, "|---|---|---|---|", *rows] if rows else []


def _compression(facts: ModelFacts) -> str:
    return f"\n## Against float32\n\n{_lines(_loss_table(facts))}\n" if facts.losses else ""


def _notes(facts: ModelFacts) -> str:
    return f"\n{facts.notes.strip()}\n" if facts.notes else ""


def _error_table(facts: ModelFacts) -> list[str]:
    """In the dataset's units."""
    lines = ["| head | axis | val error | test error | unit |", "|---|---|---|---|---|"]
    for fact in facts.tasks:
        name, task = fact.task.output, fact.task
        if task.kind == "regression":
            for axis, val, test, unit, si in zip(
                task.axes, fact.val, fact.test, task.units, task.si_scale, strict=True
            ):
                lines.append(f"| {name} | {axis} | {val / si:.3g} | {test / si:.3g} | {unit} |")
        else:
            lines.append(f"| {name} | 1 - Top-1, {fact.classes} classes | {fact.val[0]:.1%} | {fact.test[0]:.1%} | |")
    return lines


def _uncertainty_table(facts: ModelFacts) -> list[str]:
    """How honest the covariances are on test; empty without a covariance."""
    rows = []
    for fact in facts.tasks:
        if fact.calibration is not None:
            nees, inside = fact.calibration.nees, fact.calibration.coverage_90
            rows.append(f"| {fact.task.output} | {nees:.2f} ({len(fact.task.axes)}) | {inside:.1%} |")
    return ["| head | mean NEES (right: axes) | inside the 90 % ellipsoid |", "|---|---|---|", *rows] if rows else []


def _counts(facts: ModelFacts) -> list[str]:
    lines = []
    for fact in facts.tasks:
        counts = ", ".join(f"{count} {split}" for split, count in fact.counts.items())
        ranges = "".join(f"; {column} {low:.3g} to {high:.3g}" for column, (low, high) in fact.ranges.items())
        lines.append(f"- {fact.task.output}: {counts} contacts{ranges}")
    return lines


def _limits(facts: ModelFacts) -> list[str]:
    limits = [
        "- Labels outside the ranges above: a linear head extrapolates there, and its covariance grows too slowly.",
        "- Another sensor, skin, lens or light: the covariance is calibrated on contacts like those it was fitted on.",
    ]
    if any(fact.task.kind == "regression" for fact in facts.tasks):
        limits.append("- Frames without contact: poses, points and forces mean nothing there; gate them by contact.")
    if _simulated(facts):
        limits.append(
            "- A real sensor as it is: the heads saw simulated images only; every number here is simulated. Fit them\n"
            "  again on labelled frames of your own sensor, and measure, before a robot moves on them."
        )
    return limits

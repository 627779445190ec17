"""`sarl-train calibrate MODEL DATA`: a model file for another unit of its sensor, from contacts with or without labels.

Works on the ONNX file alone: heads, covariances and the sense for unfamiliar frames change, the encoder does not.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import tyro

from sarl_training.atomic_file import write_atomically
from sarl_training.calibration import many_units
from sarl_training.calibration.card import HeadFacts, adapted_card, adapted_table, card, table
from sarl_training.calibration.coverage import card_ranges, check_inside, check_ranges, check_spread, touching
from sarl_training.calibration.labelled import label_ranges, refit
from sarl_training.calibration.many_units import UnitHead
from sarl_training.calibration.model_file import ModelFile
from sarl_training.calibration.plausible import check_adapted, check_answers, check_pictures, check_read, check_readable
from sarl_training.calibration.unlabelled import adapt
from sarl_training.dataset import Dataset, Table, load_images
from sarl_training.errors import DataRefused, RunFailed, UsageError
from sarl_training.onnx_file import PARITY, OnnxModel
from sarl_training.output_place import check_writable
from sarl_training.pictures import before_and_after, predicted_against_true
from sarl_training.run_folder import git_commit, provenance
from sarl_training.simulated_units import units_of
from sarl_training.task_tables import known_tasks
from sarl_training.tasks import TASKS, Task

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CalibrateConfig:
    """Fit a model file to another unit of its sensor: 10 or more labelled contacts, or frames alone (CPU, minutes).

    Geometric heads only; class heads stay. With labels all splits of DATA are used: errors are measured on groups left
    out in turn; an axis that gets no better keeps the old head. Without, the heads of MODEL.units.npz take the place of
    the old ones, moved to this unit's frames; frames that the model cannot read are refused.
    """

    model: tyro.conf.Positional[Path]
    """ONNX file of `sarl-train export`, float32; stays as it is."""
    data: tyro.conf.Positional[Path]
    """Dataset folder of the new unit with labels, for example from `sarl-train ingest rosbag`; or a folder of frames of
    contacts, without labels; or, to learn how units differ, `simulate --suite units
    --units 256`."""
    out: Path
    """ONNX file to write; its card (.md) and pictures (.png) go beside it. With a name that ends in .units.npz: heads
    for any unit, learned from DATA with many simulated units, once per model."""
    units: Path | None = None
    """What was learned from many units; MODEL.units.npz beside the model when not given, if there is one."""

    def __post_init__(self) -> None:
        if self.out.suffix != ".onnx" and not self.learns_units:
            raise UsageError(
                f"--out {self.out}: must end in .onnx, for example {self.model.stem}_unit2.onnx (or in "
                f"{many_units.SUFFIX}, to learn how units differ)"
            )
        if self.out.resolve() == self.model.resolve():
            raise UsageError(f"--out {self.out}: is the model itself; choose another name, so that you can go back")

    @property
    def learns_units(self) -> bool:
        """Whether DATA holds many units to learn from."""
        return self.out.name.endswith(many_units.SUFFIX)


def run(config: CalibrateConfig) -> None:
    """Write `config.out` only after it says what the fit says; the input file is not touched."""
    check_writable(config.out.parent)
    model, dataset = ModelFile(config.model), Dataset.open(config.data)
    if config.learns_units:
        _learn_units(config, model, dataset)
    elif dataset.flat:
        _adapt(config, model, dataset)
    else:
        _refit(config, model, dataset)


def _learn_units(config: CalibrateConfig, model: ModelFile, dataset: Dataset) -> None:
    heads = {}
    for task, rows in _tables(model, dataset).items():
        unit_N = units_of(dataset, TASKS.get(task.name), rows)
        seen = model.read(load_images(rows.images, model.image_size), task.output, f"{task.name} features")
        z_NF = model.head(task.output).standardise(seen["phi"]).astype(np.float32)
        heads[task.output] = many_units.learn(z_NF, rows.targets(task.columns) * task.si_scale, unit_N)
        contacts, units = heads[task.output].size
        errors = zip(heads[task.output].error_D / task.si_scale, task.axes, task.units, strict=True)
        said = ", ".join(f"{axis} {error:.3g} {unit}" for error, axis, unit in errors)
        print(f"{task.output}: {contacts} contacts on {units} simulated units; error on units left out: {said}")
    write_atomically(config.out, many_units.to_bytes(heads, model.trunk_sha256()))
    print(f"written: {config.out}; keep it beside {config.model.name}")


def _adapt(config: CalibrateConfig, model: ModelFile, dataset: Dataset) -> None:
    """Without labels."""
    pool = dataset.load_pool(str(model.contract["sensor"]), model.image_size)
    print(pool.census.table())
    found = adapt(model, pool.images, _units(config, model))
    check_readable(dataset.path, found)
    known = {head.task: card_ranges(config.model, head.task) for head in found.heads}
    for head in found.heads:
        check_adapted(dataset.path, head, known[head.task])
    errors = {head.task.output: head.expected_D.tolist() for head in found.heads}
    contract = _contract(model.contract, dataset, "adapted without labels", errors)
    file = model.written(found.numbers, contract)
    for head in found.heads:
        before_and_after(
            config.out.with_suffix(f".{head.task.name}.png"),
            f"{head.task.output}: answers to {found.frames} frames without labels",
            _axes(head.task),
            head.before_ND / head.task.si_scale,
            head.after_ND / head.task.si_scale,
        )
    page = adapted_card(config.out.stem, config.model.name, contract, found, known, provenance()["command"])
    write_atomically(config.out.with_suffix(".md"), page.encode())
    write_atomically(config.out, file)
    print("\n".join(adapted_table(found)))
    print(f"written: {config.out}; its card and picture are beside it; {config.model} is as it was")


def _refit(config: CalibrateConfig, model: ModelFile, dataset: Dataset) -> None:
    """With labels."""
    tables: dict[Task, Table] = {}
    warnings: list[str] = []
    for task, found_rows in _tables(model, dataset).items():
        rows, left_out = touching(task, found_rows)
        tables[task], known = rows, card_ranges(config.model, task)
        warnings += left_out
        warnings += check_inside(rows.path, task, rows.columns, known)
        warnings += check_ranges(rows.path, task, label_ranges(task, rows), known)
        warnings += check_spread(rows.path, task, rows.columns, known)
        check_pictures(rows.path, rows.images)
    _say(warnings)
    found = refit(model, tables, _units(config, model))
    check_read(dataset.path, found.facts)
    answers = [warning for fact in found.facts for warning in check_answers(tables[fact.task].path, fact)]
    _say(answers)
    errors = {fact.task.output: fact.error(fact.held_out_ND).tolist() for fact in found.facts}
    contract = _contract(model.contract, dataset, "calibrated", errors)
    file = model.written(found.numbers, contract)
    for fact in found.facts:
        _check(file, fact, tables[fact.task], model.image_size)
        shown = {"as it was": fact.before_ND, "calibrated, contacts left out": fact.held_out_ND}
        predicted_against_true(
            config.out.with_suffix(f".{fact.task.name}.png"),
            f"{fact.task.output}{' (simulated)' if dataset.simulated else ''}",
            _axes(fact.task),
            fact.label_ND / fact.task.si_scale,
            {name: values / fact.task.si_scale for name, values in shown.items()},
        )
    page = card(
        config.out.stem, config.model.name, contract, found.facts, [*warnings, *answers], provenance()["command"]
    )
    write_atomically(config.out.with_suffix(".md"), page.encode())
    write_atomically(config.out, file)
    print("\n".join(table(found.facts)))
    print(f"written: {config.out}; its card and pictures are beside it; {config.model} is as it was")


def _say(warnings: Sequence[str]) -> None:
    for warning in warnings:
        logger.warning("%s", warning)


def _axes(task: Task) -> list[str]:
    """As pictures name them."""
    return [f"{axis} ({unit})" for axis, unit in zip(task.axes, task.units, strict=True)]


def _units(config: CalibrateConfig, model: ModelFile) -> Mapping[str, UnitHead]:
    """Heads of many units, from the file asked for or the one beside the model; none where there is no such file."""
    path = config.units or config.model.with_suffix(many_units.SUFFIX)
    if config.units is None and not path.exists():
        logger.warning("%s: not there; without it a new unit needs more contacts (sarl-train calibrate --help)", path)
        return {}
    return many_units.load(path, model.trunk_sha256())


def _tables(model: ModelFile, dataset: Dataset) -> dict[Task, Table]:
    """Labels for the model's geometric heads. DataRefused when there are none for its sensor."""
    if dataset.flat:
        raise DataRefused(f"{dataset.path}: images without labels; give a dataset of `simulate --suite units`")
    sensor = str(model.contract["sensor"])
    heads = {output["name"]: output for output in model.contract["outputs"] if "axes" in output}
    known, tables = known_tasks(dataset), {}
    for name in dataset.tasks():
        task = known.get(name)
        if task is None or task.output not in heads or sensor not in dataset.sensors(name):
            continue
        head = heads[task.output]
        if (list(task.contract_axes), list(task.si_units)) != (head["axes"], head["unit"]):
            raise DataRefused(
                f"{dataset.path}: {name} has the labels {', '.join(task.columns)}, the model's {task.output} answers "
                f"{_with_units(head['axes'], head['unit'])}; give the same axes in this order (--axes of ingest)"
            )
        tables[task] = dataset.table(name, sensor, task.columns)
    if not tables:
        found = sorted({f"{name}/{other}" for name in dataset.tasks() for other in dataset.sensors(name)})
        raise DataRefused(
            f"{dataset.path}: no labels for {sensor} and {', '.join(heads) or 'any geometric head'}; it has "
            f"{', '.join(found)} (of frames without labels, give the images folder itself)"
        )
    return tables


def _with_units(axes: Sequence[str], units: Sequence[str]) -> str:
    return ", ".join(f"{axis} in {unit}" for axis, unit in zip(axes, units, strict=True))


def _check(file: bytes, fact: HeadFacts, rows: Table, size: int) -> None:
    """The written file answers what the fit answers."""
    found_ND = OnnxModel(file)(load_images(rows.images, size), label=f"{fact.task.name} check")[fact.task.output]
    share = float((np.abs(found_ND - fact.fitted_ND) / np.ptp(fact.label_ND, axis=0)).max())
    if not share <= PARITY:
        raise RunFailed(
            f"{fact.task.output}: the file and the fit differ by {share:.1e} of the range, allowed {PARITY:.0e}; "
            "nothing written"
        )


def _contract(
    old: Mapping[str, object], dataset: Dataset, how: str, errors: Mapping[str, list[float]]
) -> dict[str, object]:
    """The old promise with the new errors and origin."""
    outputs = [
        {**entry, "validation_error": errors.get(entry["name"], entry["validation_error"])} for entry in old["outputs"]
    ]
    origin, name = old["provenance"], str(dataset.info.get("name", dataset.path.name))
    untouched = len(errors) < len(outputs) or dataset.flat
    changed = {
        "method": f"{origin['method']}, {how}",
        "dataset": f"{origin['dataset']}, {how} on {name}",
        "data_sha256": dataset.data_hash(),
        "simulated": dataset.simulated or (untouched and origin["simulated"]),
        "commit": git_commit(),
        "created": date.today().isoformat(),
    }
    return {**old, "outputs": outputs, "provenance": {**origin, **changed}}

"""`sarl-train calibrate MODEL DATA`: a model file for another unit of its sensor, from labelled contacts on that unit.

Works on the ONNX file alone: heads, covariances and the sense for unfamiliar frames change, the encoder does not.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import tyro

from sarl_training.atomic_file import write_atomically
from sarl_training.calibration import uncertainty
from sarl_training.calibration.card import HeadFacts, card, table
from sarl_training.calibration.coverage import card_ranges, check_ranges
from sarl_training.calibration.fit import Contacts, calibrate
from sarl_training.calibration.model_file import ModelFile
from sarl_training.dataset import Dataset, Table, load_images
from sarl_training.deployed_model import covariance_name
from sarl_training.errors import DataRefused, RunFailed, UsageError
from sarl_training.onnx_file import PARITY, OnnxModel
from sarl_training.pictures import predicted_against_true
from sarl_training.run_folder import git_commit, provenance
from sarl_training.task_answers import calibration, labels
from sarl_training.task_tables import known_tasks
from sarl_training.tasks import Task

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CalibrateConfig:
    """Fit a model file to another unit of its sensor from 10 or more labelled contacts (CPU, minutes).

    Geometric heads only; class heads stay. Unlabelled frames are not enough: batch-norm statistics are folded into the
    file's convolutions. All splits of DATA are used: errors are measured on groups left out in turn.
    """

    model: tyro.conf.Positional[Path]
    """ONNX file of `sarl-train export`, float32; stays as it is."""
    data: tyro.conf.Positional[Path]
    """Dataset folder of the new unit with labels, for example from `sarl-train ingest rosbag`."""
    out: Path
    """ONNX file to write; its card (.md) and pictures (.png) go beside it."""

    def __post_init__(self) -> None:
        if self.out.suffix != ".onnx":
            raise UsageError(f"--out {self.out}: must end in .onnx, for example {self.model.stem}_unit2.onnx")
        if self.out.resolve() == self.model.resolve():
            raise UsageError(f"--out {self.out}: is the model itself; choose another name, so that you can go back")


def run(config: CalibrateConfig) -> None:
    """Write `config.out` only after it said what the fit says; the input file is not touched."""
    model = ModelFile(config.model)
    dataset = Dataset.open(config.data)
    tables = _tables(model, dataset)
    warnings = [
        warning
        for task, rows in tables.items()
        for warning in check_ranges(rows.path, task, _ranges(task, rows), card_ranges(config.model, task))
    ]
    for warning in warnings:
        logger.warning("%s", warning)

    seen = {task: _read(model, task, rows) for task, rows in tables.items()}
    numbers = _familiarity(model, seen)
    aware = OnnxModel(model.written(numbers, model.contract))
    facts = []
    for task, rows in tables.items():
        new, fact = _calibrate_head(model, task, rows, seen[task], aware)
        numbers |= new
        facts.append(fact)
    contract = _contract(model.contract, dataset, facts)
    file = model.written(numbers, contract)
    for fact in facts:
        _check(file, fact, tables[fact.task], model.image_size)
        axes = [f"{axis} ({unit})" for axis, unit in zip(fact.task.axes, fact.task.units, strict=True)]
        shown = {"as it was": fact.before_ND, "calibrated, contacts left out": fact.held_out_ND}
        predicted_against_true(
            config.out.with_suffix(f".{fact.task.name}.png"),
            f"{fact.task.output}{' (simulated)' if dataset.simulated else ''}",
            axes,
            fact.label_ND / fact.task.si_scale,
            {name: values / fact.task.si_scale for name, values in shown.items()},
        )
    page = card(config.out.stem, config.model.name, contract, facts, warnings, provenance()["command"])
    write_atomically(config.out.with_suffix(".md"), page.encode())
    write_atomically(config.out, file)
    print("\n".join(table(facts)))
    print(f"written: {config.out}; its card and pictures are beside it; {config.model} is as it was")


def _tables(model: ModelFile, dataset: Dataset) -> dict[Task, Table]:
    """Labels for the model's geometric heads. DataRefused when there are none for its sensor."""
    if dataset.flat:
        raise DataRefused(
            f"{dataset.path}: images without labels; label 10 or more contacts (sarl-train ingest rosbag)"
        )
    sensor = str(model.contract["sensor"])
    heads = {output["name"]: output for output in model.contract["outputs"] if "axes" in output}
    known, tables = known_tasks(dataset), {}
    for name in dataset.tasks():
        task = known.get(name)
        if task is None or task.output not in heads or sensor not in dataset.sensors(name):
            continue
        if list(task.si_units) != heads[task.output]["unit"]:
            raise DataRefused(
                f"{dataset.path}: {name} has {len(task.units)} axes in {', '.join(task.units)}, the model's "
                f"{task.output} answers in {', '.join(heads[task.output]['unit'])}; correct the labels' units"
            )
        tables[task] = dataset.table(name, sensor, task.columns)
    if not tables:
        found = sorted({f"{name}/{other}" for name in dataset.tasks() for other in dataset.sensors(name)})
        raise DataRefused(
            f"{dataset.path}: no labels for {sensor} and {', '.join(heads) or 'any geometric head'}; it has "
            f"{', '.join(found)}"
        )
    return tables


def _ranges(task: Task, rows: Table) -> dict[str, tuple[float, float]]:
    return {name: (float(rows.columns[name].min()), float(rows.columns[name].max())) for name in task.columns}


def _read(model: ModelFile, task: Task, rows: Table) -> dict[str, np.ndarray]:
    return model.read(load_images(rows.images, model.image_size), task.output, f"{task.name} features")


def _familiarity(model: ModelFile, seen: Mapping[Task, Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The new unit's frames are what is familiar from now on."""
    channels_NC = np.concatenate([found["channels"] for found in seen.values()])
    threshold = float(model.contract["unfamiliar_threshold"])
    mean_C, whitening_CC = uncertainty.recentred(channels_NC, *model.familiarity(), threshold)
    return {"familiarity.mean_C": mean_C, "familiarity.whitening_CC": whitening_CC}


def _calibrate_head(
    model: ModelFile, task: Task, rows: Table, seen: Mapping[str, np.ndarray], aware: OnnxModel
) -> tuple[dict[str, np.ndarray], HeadFacts]:
    """New numbers of one head, and its facts. `aware` is the model with the new sense for what is unfamiliar."""
    head = model.head(task.output)
    label_ND = labels(task, rows).double().numpy()
    before_ND = seen[task.output].astype(np.float64)
    contacts = Contacts(head.standardise(seen["phi"].astype(np.float64)), before_ND, label_ND, rows.group_id)
    found = calibrate(contacts, head)

    inflated = aware(load_images(rows.images, model.image_size), label=f"{task.name} covariance")
    inflation_N = inflated[covariance_name(task.output)][:, 0, 0].astype(np.float64) / head.covariance_DD[0, 0]
    error_ND, spread_D = found.held_out_ND - label_ND, label_ND.std(0)
    covariance_DD = uncertainty.covariance(error_ND, inflation_N, spread_D)
    covariance_NDD = uncertainty.held_out_covariances(error_ND, inflation_N, spread_D, found.fold_N)
    honest = calibration(task, {task.output: found.held_out_ND, covariance_name(task.output): covariance_NDD}, rows)
    new = {"weight_FD": found.weight_FD, "bias_D": found.bias_D, "covariance_DD": covariance_DD}
    facts = HeadFacts(
        task=task,
        groups=len(np.unique(rows.group_id)),
        label_ND=label_ND,
        before_ND=before_ND,
        held_out_ND=found.held_out_ND,
        fitted_ND=contacts.z_NF @ found.weight_FD + found.bias_D,
        chosen_D=found.chosen_D,
        uncertainty_before=calibration(task, seen, rows),
        uncertainty_after=honest,
        ranges=_ranges(task, rows),
    )
    return {f"heads.{task.output}.{name}": value for name, value in new.items()}, facts


def _check(file: bytes, fact: HeadFacts, rows: Table, size: int) -> None:
    """The written file answers what the fit answers."""
    found_ND = OnnxModel(file)(load_images(rows.images, size), label=f"{fact.task.name} check")[fact.task.output]
    share = float((np.abs(found_ND - fact.fitted_ND) / np.ptp(fact.label_ND, axis=0)).max())
    if not share <= PARITY:
        raise RunFailed(
            f"{fact.task.output}: the file and the fit differ by {share:.1e} of the range, allowed {PARITY:.0e}; "
            "nothing written"
        )


def _contract(old: Mapping[str, object], dataset: Dataset, facts: list[HeadFacts]) -> dict[str, object]:
    """The old promise with the new errors and origin."""
    after = {fact.task.output: fact.error(fact.held_out_ND).tolist() for fact in facts}
    outputs = [
        {**entry, "validation_error": after.get(entry["name"], entry["validation_error"])} for entry in old["outputs"]
    ]
    origin, name = old["provenance"], str(dataset.info.get("name", dataset.path.name))
    untouched = len(after) < len(outputs)
    changed = {
        "method": f"{origin['method']}, calibrated",
        "dataset": f"{origin['dataset']}, calibrated on {name}",
        "data_sha256": dataset.data_hash(),
        "simulated": dataset.simulated or (untouched and origin["simulated"]),
        "commit": git_commit(),
        "created": date.today().isoformat(),
    }
    return {**old, "outputs": outputs, "provenance": {**origin, **changed}}

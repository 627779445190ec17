"""Heads fitted to another unit from labelled contacts: numbers for the model file, and what is known about them.

Shapes: N contacts, D axes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sarl_training.calibration import uncertainty
from sarl_training.calibration.card import HeadFacts
from sarl_training.calibration.fit import Contacts, Linear, calibrate, keep_where_no_better
from sarl_training.calibration.many_units import UnitHead
from sarl_training.calibration.model_file import ModelFile
from sarl_training.dataset import Table, load_images
from sarl_training.deployed_model import covariance_name
from sarl_training.onnx_file import OnnxModel
from sarl_training.task_answers import calibration, labels
from sarl_training.tasks import Task


@dataclass(frozen=True)
class Refitted:
    """What changes in the model file."""

    numbers: Mapping[str, np.ndarray]
    facts: list[HeadFacts]


def refit(model: ModelFile, tables: Mapping[Task, Table], units: Mapping[str, UnitHead]) -> Refitted:
    """New heads for the tasks that have labels, starting from the old ones and from those of many `units`."""
    seen = {task: _read(model, task, rows) for task, rows in tables.items()}
    numbers = model.recentred(np.concatenate([found["channels"] for found in seen.values()]))
    aware = OnnxModel(model.written(numbers, model.contract))
    facts = []
    for task, rows in tables.items():
        new, fact = _refit_head(model, task, rows, seen[task], aware, units.get(task.output))
        numbers |= new
        facts.append(fact)
    return Refitted(numbers, facts)


def label_ranges(task: Task, rows: Table) -> dict[str, tuple[float, float]]:
    """Smallest and largest label per column, dataset units."""
    return {name: (float(rows.columns[name].min()), float(rows.columns[name].max())) for name in task.columns}


def _read(model: ModelFile, task: Task, rows: Table) -> dict[str, np.ndarray]:
    return model.read(load_images(rows.images, model.image_size), task.output, f"{task.name} features")


def _refit_head(
    model: ModelFile,
    task: Task,
    rows: Table,
    seen: Mapping[str, np.ndarray],
    aware: OnnxModel,
    unit_head: UnitHead | None,
) -> tuple[dict[str, np.ndarray], HeadFacts]:
    """New numbers of one head, and its facts. `aware` is the model with the new sense for what is unfamiliar."""
    head = model.head(task.output)
    label_ND = labels(task, rows).double().numpy()
    z_NF = head.standardise(seen["phi"].astype(np.float64))
    starts: list[Linear] = [(head.weight_FD, head.bias_D)]
    if unit_head is not None:  # the fit finds the offset
        starts.append((unit_head.within_FD.astype(np.float64), np.zeros_like(head.bias_D)))
    start_SND = np.stack([z_NF @ weight_FD + bias_D for weight_FD, bias_D in starts])
    contacts = Contacts(z_NF, start_SND, label_ND, rows.group_id)
    found = keep_where_no_better(calibrate(contacts, starts), contacts, starts[0])

    inflated = aware(load_images(rows.images, model.image_size), label=f"{task.name} covariance")
    inflation_N = inflated[covariance_name(task.output)][:, 0, 0].astype(np.float64) / head.covariance_DD[0, 0]
    error_ND, spread_D = found.held_out_ND - label_ND, label_ND.std(0)
    known_DD = None if unit_head is None else unit_head.spread_DD
    covariance_DD = uncertainty.covariance(error_ND, inflation_N, spread_D, known_DD)
    covariance_NDD = uncertainty.held_out_covariances(error_ND, inflation_N, spread_D, found.fold_N, known_DD)
    honest = calibration(task, {task.output: found.held_out_ND, covariance_name(task.output): covariance_NDD}, rows)
    new = {"weight_FD": found.weight_FD, "bias_D": found.bias_D, "covariance_DD": covariance_DD}
    facts = HeadFacts(
        task=task,
        groups=len(np.unique(rows.group_id)),
        label_ND=label_ND,
        before_ND=seen[task.output].astype(np.float64),
        held_out_ND=found.held_out_ND,
        fitted_ND=z_NF @ found.weight_FD + found.bias_D,
        chosen_D=found.chosen_D,
        uncertainty_before=calibration(task, seen, rows),
        uncertainty_after=honest,
        ranges=label_ranges(task, rows),
    )
    return {f"heads.{task.output}.{name}": value for name, value in new.items()}, facts

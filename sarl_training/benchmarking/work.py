"""Doing one run: each kind calls the verb or the measurement it is made of, and returns what it found."""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sarl_training import pretrain, supervise
from sarl_training.atomic_file import write_atomically
from sarl_training.benchmarking import measures
from sarl_training.benchmarking.plan import BUDGET_TASKS, TASKS, Run, split_scope
from sarl_training.benchmarking.presets import PRESETS
from sarl_training.benchmarking.records import Record
from sarl_training.benchmarking.settings import fine_tuning, identity, method_of, pretrain_config, supervise_config
from sarl_training.benchmarking.sources import Sources
from sarl_training.config import Device
from sarl_training.dataset import Dataset, Table, load_images
from sarl_training.device import device_name, resolve_device
from sarl_training.errors import DataRefused
from sarl_training.fine_tuning import fine_tune
from sarl_training.labels import SPLITS
from sarl_training.networks import ENCODER_FILE, Encoder, load_encoder
from sarl_training.run_folder import RunFolder, git_commit
from sarl_training.supervised_run import PREDICTIONS_FILE
from sarl_training.task_tables import known_tasks, task_tables
from sarl_training.tasks import Task
from sarl_training.transfer import random_start

_IDENTITY_FILE = "identity"


@dataclass(frozen=True)
class Workplace:
    """Where a benchmark works."""

    folder: Path
    sources: Sources
    device: Device

    def run_folder(self, key: str) -> Path:
        return self.folder / "runs" / key

    def artifact(self, run: Run) -> Path:
        """The file that later runs read."""
        if run.kind == "pretrain":
            return self.run_folder(run.key) / ENCODER_FILE
        return self.run_folder(run.key) / run.detail / PREDICTIONS_FILE


def perform(run: Run, place: Workplace) -> Record:
    """Do a run, going on where a killed one stopped; its record."""
    dataset = Dataset.open(place.sources.path(run.data))
    folder, wanted, data_hash = place.run_folder(run.key), identity(run), dataset.data_hash()
    _, own = split_scope(run.scope)
    if own and run.data != "transfer" and not own.endswith(data_hash[:8]):
        raise DataRefused(f"{dataset.path}: changed since the benchmark began; start it again for the new contents")
    mark, text = folder / _IDENTITY_FILE, f"{wanted} {data_hash}"
    if folder.exists() and (not mark.exists() or mark.read_text(encoding="utf-8") != text):
        shutil.rmtree(folder)  # of other settings or data
    continued = folder.exists()
    write_atomically(mark, text.encode())
    start = time.monotonic()
    found = _KINDS[run.kind](run, place)
    seconds = time.monotonic() - start
    method, method_preset = method_of(run.subject)
    return {
        "key": run.key,
        "kind": run.kind,
        "method": method,
        "method_preset": method_preset or PRESETS[run.preset].baselines,
        "preset": run.preset,
        "seed": run.seed,
        "sensor": run.sensor,
        "detail": run.detail,
        "commit": git_commit(),
        "config_sha256": wanted,
        "data_sha256": data_hash,
        "simulated": dataset.simulated,
        "device": device_name(resolve_device(place.device)),
        "torch": torch.__version__,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_s": round(seconds, 2),
        "continued": continued,
        **found,
    }


def _pretrain(run: Run, place: Workplace) -> dict[str, Any]:
    out = place.run_folder(run.key)
    config = pretrain_config(run, place.sources.path(run.data), out, place.device)
    if RunFolder(out).config_file.exists():
        config = replace(config, resume=True)
    pretrain.run(config)
    lines = RunFolder(out).metrics_file.read_text(encoding="utf-8").splitlines()
    last = {name: value for line in lines for name, value in json.loads(line).items()}
    return {"training": {name: last[name] for name in ("loss", "effective_rank", "feature_std") if name in last}}


def _probe(run: Run, place: Workplace) -> dict[str, Any]:
    tables = _tables(run, place, TASKS)
    if run.subject == "mean":
        return measures.mean_predictor(tables)
    return measures.probe(_encoder(run, place), tables, PRESETS[run.preset].image_size, run.seed)


def _heads(run: Run, place: Workplace) -> dict[str, Any]:
    return measures.heads(_encoder(run, place), _tables(run, place, TASKS), PRESETS[run.preset].image_size, run.seed)


def _labels(run: Run, place: Workplace) -> dict[str, Any]:
    count = None if run.detail == "all" else int(run.detail)
    tables = _tables(run, place, BUDGET_TASKS)
    return measures.budget(_encoder(run, place), tables, PRESETS[run.preset].image_size, run.seed, count)


def _readouts(run: Run, place: Workplace) -> dict[str, Any]:
    encoder, size = _encoder(run, place), PRESETS[run.preset].image_size
    found = measures.readouts(encoder, _tables(run, place, TASKS), size, run.seed)
    return {**found, "cost": measures.readout_costs(encoder, size)}


def _supervise(run: Run, place: Workplace) -> dict[str, Any]:
    out = place.run_folder(run.key)
    config = supervise_config(run, place.sources.path(run.data), out, place.device)
    if RunFolder(out).config_file.exists():
        config = replace(config, resume=True)
    supervise.run(config)
    task = config.tasks[0]
    scores = json.loads((out / "supervise.json").read_text(encoding="utf-8"))["tasks"][task]["supervised"]
    return {
        split: {f"{task}/{name}": v for name, v in scores[split].items() if not name.endswith("_std")}
        for split in ("val", "test")
    }


def _transfer(run: Run, place: Workplace) -> dict[str, Any]:
    size, device = PRESETS[run.preset].image_size, resolve_device(place.device)
    table = Dataset.open(place.sources.path(run.data)).table(run.detail, run.sensor, ("label",))
    images = load_images(table.images, size)
    labels = torch.from_numpy(table.columns["label"])
    rows = {split: torch.from_numpy(np.flatnonzero(table.split == split)) for split in SPLITS}
    if run.needs:
        encoder = load_encoder(place.artifact(run.needs[0]))[0].to(device)
    else:
        encoder = random_start(table, size, run.seed, device)
    logits = fine_tune(encoder, images, labels, rows, len(table.class_names), fine_tuning(run), run.seed, run.key)
    return {split: measures.class_scores(values, labels[rows[split]]) for split, values in logits.items()}


def _scatter(run: Run, place: Workplace) -> dict[str, Any]:
    pretrained, supervised = run.needs
    ((task, table),) = _tables(run, place, (run.detail,)).items()
    encoder = load_encoder(place.artifact(pretrained))[0].to(resolve_device(place.device))
    size = PRESETS[run.preset].image_size
    true_ND, frozen_ND = measures.edge_points(encoder, task, table, size, run.seed)
    with np.load(place.artifact(supervised)) as file:
        learned_ND = file["predicted"]
    points = {"true": true_ND, "sarl": frozen_ND, "supervised": learned_ND}
    return {
        "axes": [f"{axis} ({unit})" for axis, unit in zip(task.axes, task.units, strict=True)],
        "points": {name: np.round(values.astype(float), 4).tolist() for name, values in points.items()},
    }


def _tables(run: Run, place: Workplace, names: tuple[str, ...]) -> Mapping[Task, Table]:
    """Those of `names` that the dataset has for the run's sensor."""
    dataset = Dataset.open(place.sources.path(run.data))
    known = known_tasks(dataset)
    have = [name for name in names if name in dataset.tasks() and run.sensor in dataset.sensors(name)]
    return {known[name]: table for name, table in task_tables(dataset, have, run.sensor).items()}


def _encoder(run: Run, place: Workplace) -> Encoder:
    device, size = resolve_device(place.device), PRESETS[run.preset].image_size
    if run.subject == "random_init":
        return measures.random_start(Dataset.open(place.sources.path(run.data)), run.sensor, size, run.seed, device)
    return load_encoder(place.artifact(run.needs[0]))[0].to(device)


_KINDS: dict[str, Callable[[Run, Workplace], dict[str, Any]]] = {
    "pretrain": _pretrain,
    "probe": _probe,
    "heads": _heads,
    "supervise": _supervise,
    "transfer": _transfer,
    "labels": _labels,
    "readouts": _readouts,
    "scatter": _scatter,
}

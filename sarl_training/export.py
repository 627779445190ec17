"""`sarl-train export`: encoder + deployment heads as one ONNX file in SI units, compared with PyTorch first.

Heads are fitted in closed form on train, their lambda and uncertainty on val; the file itself is then measured on test.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from torch import nn

from sarl_training.atomic_file import write_atomically
from sarl_training.config import Device
from sarl_training.contract import VERSION, check_contract
from sarl_training.dataset import Dataset, Table, load_images
from sarl_training.deployed_model import READOUT, DeployedModel, covariance_name
from sarl_training.deployment_heads import fit_classification, fit_contact, fit_regression
from sarl_training.device import resolve_device
from sarl_training.errors import DataRefused, UsageError
from sarl_training.features import extract, image_size_for
from sarl_training.labels import SPLITS
from sarl_training.model_card import ModelFacts, TaskFacts, card, summary
from sarl_training.networks import Encoder, load_encoder
from sarl_training.onnx_file import OnnxModel, compare, to_onnx
from sarl_training.pictures import confusion_matrices, predicted_against_true
from sarl_training.readouts import READOUTS
from sarl_training.run_folder import git_commit, provenance
from sarl_training.task_answers import answers, calibration, errors, labels
from sarl_training.task_tables import known_tasks, task_tables
from sarl_training.tasks import Task

PARITY_IMAGES = 32  # per task


@dataclass(frozen=True)
class ExportConfig:
    """Fit deployment heads and write one ONNX file, its card (.md) and its pictures (.png)."""

    encoder: Path
    """Run folder of `pretrain`, or an encoder file."""
    data: Path
    """Dataset folder with labels."""
    out: Path
    """ONNX file to write, for example models/vitactip.onnx."""
    tasks: tuple[str, ...] = ()
    """Tasks that get a head; all that the dataset has for the sensor when not given."""
    sensor: str = "vitactip"
    """Sensor the model is for."""
    image_size: int | None = None
    """Side of the input images in pixels; the encoder's when not given."""
    device: Device = "auto"
    """Where to compute the features of the training images."""

    def __post_init__(self) -> None:
        if self.out.suffix != ".onnx":
            raise UsageError(f"--out {self.out}: must end in .onnx, for example models/{self.sensor}.onnx")


def run(config: ExportConfig) -> None:
    """Write `config.out` only after it agreed with PyTorch; raises RunFailed when it does not."""
    device = resolve_device(config.device)
    encoder, metadata = load_encoder(config.encoder)
    size = image_size_for(metadata, config.image_size)
    dataset = Dataset.open(config.data)
    tasks = known_tasks(dataset)
    tables = {tasks[name]: table for name, table in task_tables(dataset, config.tasks, config.sensor).items()}

    encoder.to(device)
    fitted = {task: _fit_head(task, table, encoder, size) for task, table in tables.items()}
    model = DeployedModel(encoder.cpu(), {task.output: head for task, (head, _) in fitted.items()})
    contract = _contract(config, metadata, dataset, size, {task: (tables[task], fitted[task][1]) for task in tables})
    check_contract(contract)
    file = to_onnx(model, model.output_names, size, contract)
    onnx_model = OnnxModel(file)
    tests = {task: table.part("test") for task, table in tables.items()}
    images = load_images([image for test in tests.values() for image in test.images[:PARITY_IMAGES]], size)
    ranges = {task.output: np.ptp(labels(task, table).numpy(), 0) for task, table in tables.items() if task.axes}
    parity = compare(model, onnx_model, images, ranges)

    task_facts = []
    for task, test in tests.items():
        outputs = onnx_model(load_images(test.images, size), label=f"{task.name} test")
        task_facts.append(_measure(task, tables[task], fitted[task][1], outputs))
        _draw(config.out.with_suffix(f".{task.name}.png"), task, test, outputs, dataset.simulated)
    facts = ModelFacts(
        name=config.out.stem,
        megabytes=len(file) / 1e6,
        latency_ms=onnx_model.latency_ms(images[0]),
        parity=parity,
        contract=contract,
        encoder=metadata,
        readout=READOUT,
        command=provenance()["command"],
        tasks=task_facts,
    )
    write_atomically(config.out.with_suffix(".md"), card(facts).encode())
    write_atomically(config.out, file)
    print(summary(facts))
    print(f"written: {config.out}; its card and pictures are beside it")


def _fit_head(task: Task, table: Table, encoder: Encoder, size: int) -> tuple[nn.Module, list[float]]:
    """The task's head and its error on val."""
    folds, parts = {}, {split: table.part(split) for split in ("train", "val")}
    for split, part in parts.items():
        phi_NF = extract(encoder, READOUTS[READOUT], load_images(part.images, size), f"{task.name} {split}")
        folds[split] = phi_NF, labels(task, part)
    if task.message == "contact":
        if set(table.columns["label"]) != {0, 1}:
            raise DataRefused(f"{table.path}: labels of {task.name} must be 0 and 1, both present; label both kinds")
        head: nn.Module = fit_contact(folds["train"], folds["val"])
    elif task.kind == "classification":
        head = fit_classification(folds["train"], folds["val"], len(table.class_names))
    else:
        head = fit_regression(folds["train"], folds["val"])
    found = head(folds["val"][0])
    values = found[0] if task.kind == "regression" else found
    return head, errors(task, {task.output: values.numpy()}, parts["val"])


def _contract(
    config: ExportConfig,
    metadata: Mapping[str, str],
    dataset: Dataset,
    size: int,
    heads: Mapping[Task, tuple[Table, list[float]]],
) -> dict[str, object]:
    """The promise that travels in the file; models/CONTRACT.md explains it."""
    frame = f"{config.sensor}_tip"
    return {
        "version": VERSION,
        "sensor": config.sensor,
        "image": {"height": size, "width": size, "encoding": "rgb8"},
        "frame": frame,
        "outputs": [_contract_output(task, table, error, frame) for task, (table, error) in heads.items()],
        "provenance": {
            "method": metadata.get("method", "unknown"),
            "run": metadata.get("run", "unknown"),
            "commit": git_commit(),
            "config_sha256": metadata.get("config_sha256", "unknown"),
            "data_sha256": dataset.data_hash(),
            "simulated": dataset.simulated,
            "created": date.today().isoformat(),
            "dataset": str(dataset.info.get("name", dataset.path.name)),
        },
    }


def _contract_output(task: Task, table: Table, validation_error: list[float], frame: str) -> dict[str, object]:
    entry: dict[str, object] = {"name": task.output, "kind": task.message, "validation_error": validation_error}
    if task.kind == "classification":
        return {**entry, "class_names": ["contact"] if task.message == "contact" else list(table.class_names)}
    axes = [axis.removeprefix("p") for axis in task.axes] if task.message == "point" else list(task.axes)
    entry |= {"axes": axes, "unit": list(task.si_units), "frame": frame, "covariance": covariance_name(task.output)}
    return entry


def _measure(task: Task, table: Table, val: list[float], outputs: Mapping[str, np.ndarray]) -> TaskFacts:
    """What the exported file does on test."""
    train, test = table.part("train"), table.part("test")
    ranges = {name: (float(train.columns[name].min()), float(train.columns[name].max())) for name in task.columns}
    return TaskFacts(
        task=task,
        counts={split: int((table.split == split).sum()) for split in SPLITS},
        val=val,
        test=errors(task, outputs, test),
        calibration=calibration(task, outputs, test),
        ranges=ranges if task.kind == "regression" else {},
        classes=len(table.class_names),
    )


def _draw(path: Path, task: Task, test: Table, outputs: Mapping[str, np.ndarray], simulated: bool) -> None:
    title = f"{task.output}{' (simulated)' if simulated else ''}"
    found, true = answers(task, outputs), labels(task, test).numpy()
    if task.kind == "classification":
        confusion_matrices(path, title, test.class_names, true, {"exported file": found})
    else:
        axes = [f"{axis} ({unit})" for axis, unit in zip(task.axes, task.units, strict=True)]
        predicted_against_true(path, title, axes, true / task.si_scale, {"exported file": found / task.si_scale})

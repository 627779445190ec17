"""`sarl-train export`: encoder + deployment heads as one ONNX file in SI units, compared with PyTorch first.

Heads are fitted in closed form on train, their lambda and uncertainty on val; the file itself is then measured on test.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from sarl_training.atomic_file import write_atomically
from sarl_training.compression import Compressed, compress, measure
from sarl_training.config import Device
from sarl_training.contract import VERSION, check_contract
from sarl_training.dataset import Dataset, Table, load_images
from sarl_training.deployed_model import READOUT, DeployedModel, Trunk, covariance_name
from sarl_training.device import resolve_device
from sarl_training.errors import DataRefused, UsageError
from sarl_training.features import extract_trunk, image_size_for
from sarl_training.head_fitting import Fitted, fit
from sarl_training.image_file import find_images
from sarl_training.labels import SPLITS
from sarl_training.model_card import ModelFacts, card, summary
from sarl_training.model_measurement import draw, measure_unlike
from sarl_training.networks import load_encoder
from sarl_training.onnx_file import OnnxModel, compare, to_onnx
from sarl_training.output_place import check_writable
from sarl_training.run_folder import git_commit, provenance
from sarl_training.task_answers import labels
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
    quantize: Literal["none", "int8", "fp16"] = "none"
    """int8 for CPUs, fp16 for GPUs: the encoder's convolutions; heads stay float32. Refused when an axis or Top-1
    loses more than 5 % against float32."""
    unlike: tuple[Path, ...] = ()
    """Folders of images that the model should call unfamiliar (another sensor's): the card says how often it does."""
    notes: Path | None = None
    """Markdown file to close the card with."""

    def __post_init__(self) -> None:
        if self.out.suffix != ".onnx":
            raise UsageError(f"--out {self.out}: must end in .onnx, for example models/{self.sensor}.onnx")


def run(config: ExportConfig) -> None:
    """Write `config.out` only after it agreed with PyTorch, or when compressed with float32; else raises RunFailed."""
    check_writable(config.out.parent)
    device, notes = resolve_device(config.device), _read_notes(config.notes)
    encoder, metadata = load_encoder(config.encoder)
    size = image_size_for(metadata, config.image_size)
    dataset = Dataset.open(config.data)
    tasks = known_tasks(dataset)
    tables = {tasks[name]: table for name, table in task_tables(dataset, config.tasks, config.sensor).items()}
    familiar = _familiar_tables(dataset, config.sensor)

    trunk = Trunk(encoder.to(device))
    fitted = fit(partial(extract_trunk, trunk), tables, familiar, size)
    model = DeployedModel(trunk.cpu(), fitted.heads)
    contract = _contract(config, metadata, dataset, size, tables, fitted)
    file = to_onnx(model, model.output_names, size, contract)
    tests = {task: table.part("test") for task, table in tables.items()}
    images = load_images([image for test in tests.values() for image in test.images[:PARITY_IMAGES]], size)
    # of classes that is 1: a label is a probability of 0 or 1
    ranges = {task.output: np.ptp(labels(task, table).numpy(), 0) if task.axes else 1 for task, table in tables.items()}
    parity = compare(model, OnnxModel(file), images, ranges)
    measured = measure(file, tables, fitted, size)
    made = Compressed("float32", file, contract, measured, [])
    if config.quantize != "none":
        parity = {}
        write_contract = partial(_contract, config, metadata, dataset, size, tables)
        made = compress(config.quantize, trunk, measured.facts, tables, familiar, size, write_contract)

    onnx_model = OnnxModel(made.file)
    threshold, foreign = float(made.contract["unfamiliar_threshold"]), _foreign_frames(dataset, tables, config)
    facts = ModelFacts(
        name=config.out.stem,
        megabytes=len(made.file) / 1e6,
        latency_ms=onnx_model.latency_ms(images[0]),
        precision=made.precision,
        parity=parity,
        losses=made.losses,
        contract=made.contract,
        encoder=metadata,
        readout=READOUT,
        command=provenance()["command"],
        tasks=made.measured.facts,
        unlike=measure_unlike(onnx_model, tables, familiar, foreign, threshold, size),
        notes=notes,
    )
    _draw(config.out, dataset, tests, made.measured.outputs)
    write_atomically(config.out.with_suffix(".md"), card(facts).encode())
    write_atomically(config.out, made.file)
    print(summary(facts))
    print(f"written: {config.out}; its card and pictures are beside it")


def _draw(
    out: Path, dataset: Dataset, tests: Mapping[Task, Table], outputs: Mapping[Task, Mapping[str, np.ndarray]]
) -> None:
    """A picture per task; those that an earlier file of this name had for other tasks go."""
    for task, test in tests.items():
        draw(out.with_suffix(f".{task.name}.png"), task, test, outputs[task], dataset.simulated)
    for name in set(dataset.tasks()) - {task.name for task in tests}:
        out.with_suffix(f".{name}.png").unlink(missing_ok=True)


def _familiar_tables(dataset: Dataset, sensor: str) -> dict[str, Table]:
    """Every labelled table of the sensor that has train, val and test frames."""
    tables = {name: dataset.table(name, sensor) for name in dataset.tasks() if sensor in dataset.sensors(name)}
    return {name: table for name, table in tables.items() if set(SPLITS) <= set(table.split)}


def _foreign_frames(dataset: Dataset, tables: Mapping[Task, Table], config: ExportConfig) -> dict[str, list[Path]]:
    """Frames that are not this sensor's: the dataset's other sensors on the same tasks' test contacts, and `unlike`."""
    foreign: dict[str, list[Path]] = {}
    for task in tables:
        for sensor in dataset.sensors(task.name):
            if sensor != config.sensor:
                foreign.setdefault(sensor, []).extend(dataset.table(task.name, sensor).part("test").images)
    for folder in config.unlike:
        images = find_images(folder)[0]
        if not images:
            raise DataRefused(f"--unlike {folder}: no images found; give a folder of jpg, png, bmp, tif or webp")
        foreign["/".join(folder.parts[-3:])] = images
    return foreign


def _read_notes(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataRefused(f"--notes {path}: cannot be read ({error}); give a Markdown file in UTF-8") from error


def _contract(
    config: ExportConfig,
    metadata: Mapping[str, str],
    dataset: Dataset,
    size: int,
    tables: Mapping[Task, Table],
    fitted: Fitted,
) -> dict[str, object]:
    """The promise that travels in the file; models/CONTRACT.md explains it."""
    frame = f"{config.sensor}_tip"
    saliency = Trunk.saliency_size(size)
    contract: dict[str, object] = {
        "version": VERSION,
        "sensor": config.sensor,
        "image": {"height": size, "width": size, "encoding": "rgb8"},
        "frame": frame,
        "outputs": [_contract_output(task, tables[task], error, frame) for task, error in fitted.validation.items()],
        "unfamiliar_threshold": fitted.heads.familiarity.threshold,
        "saliency": {"height": saliency, "width": saliency},
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
    check_contract(contract)
    return contract


def _contract_output(task: Task, table: Table, validation_error: list[float], frame: str) -> dict[str, object]:
    entry: dict[str, object] = {"name": task.output, "kind": task.message, "validation_error": validation_error}
    if task.kind == "classification":
        return {**entry, "class_names": ["contact"] if task.message == "contact" else list(table.class_names)}
    axes, unit = list(task.contract_axes), list(task.si_units)
    return {**entry, "axes": axes, "unit": unit, "frame": frame, "covariance": covariance_name(task.output)}

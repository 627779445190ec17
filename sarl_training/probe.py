"""`sarl-train probe`: how much a frozen encoder knows, measured with linear probes (paper IV-A).

For every task: embed all images once, train the linear layer for three seeds, choose on val, report test; beside it an
encoder with random weights and the mean predictor.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from sarl_training import pictures
from sarl_training.atomic_file import write_atomically
from sarl_training.config import Device, check_seed
from sarl_training.dataset import Dataset, Table, load_images
from sarl_training.device import resolve_device
from sarl_training.features import extract, image_size_for, random_encoder, statistics_sample
from sarl_training.labels import SPLITS
from sarl_training.linear_probe import LinearProbe
from sarl_training.networks import Encoder, load_encoder
from sarl_training.output_place import check_out
from sarl_training.probe_metrics import table_lines
from sarl_training.readouts import READOUTS
from sarl_training.run_folder import provenance
from sarl_training.task_probe import Fold, fit_probe, mean_prediction, said, score, task_labels
from sarl_training.task_tables import known_tasks, task_tables
from sarl_training.tasks import Task

SEEDS = 3


@dataclass(frozen=True)
class ProbeConfig:
    """Measure a frozen encoder with linear probes, beside a random-init encoder and the mean predictor."""

    encoder: Path
    """Run folder of `pretrain`, or an encoder file."""
    data: Path
    """Dataset folder with labels."""
    out: Path
    """Folder for probe.json and the pictures."""
    tasks: tuple[str, ...] = ()
    """Tasks to probe; all that the dataset has for the sensor when not given."""
    sensor: str = "vitactip"
    """Sensor whose images are used."""
    image_size: int | None = None
    """Side of the images in pixels; the encoder's when not given."""
    seed: int = 0
    """First of the three seeds; also draws the random-init encoder."""
    device: Device = "auto"
    """Where to embed and train."""

    def __post_init__(self) -> None:
        check_seed(self.seed)


def run(config: ProbeConfig) -> None:
    """Print the tables; write probe.json and one picture per task into `config.out`."""
    check_out(config.out, config.data)
    device = resolve_device(config.device)
    encoder, metadata = load_encoder(config.encoder)
    size = image_size_for(metadata, config.image_size)
    dataset = Dataset.open(config.data)
    tasks, tables = known_tasks(dataset), task_tables(dataset, config.tasks, config.sensor)
    sample = load_images(statistics_sample(dataset.ssl_pool(config.sensor)), size)
    encoders = {"encoder": encoder.to(device), "random_init": random_encoder(sample, config.seed, device)}

    simulated = " (simulated)" if dataset.simulated else ""
    title = (
        f"Linear probe{simulated}, test: {config.encoder} on {config.data}, {config.sensor}, {size} px, {SEEDS} seeds"
    )
    print(title)
    results = {}
    for name, table in tables.items():
        results[name] = _probe_task(tasks[name], table, encoders, size, config, f"{name}{simulated}")
        print("\n".join(table_lines(name, results[name])))

    record = {
        "title": title,
        "simulated": dataset.simulated,
        **provenance(),
        "seed": config.seed,
        "sensor": config.sensor,
        "image_size": size,
        "encoder": {"path": str(config.encoder), **metadata},
        "data": {"name": dataset.info.get("name"), "sha256": dataset.data_hash()},
        "tasks": results,
    }
    write_atomically(config.out / "probe.json", (json.dumps(record, indent=2) + "\n").encode())
    print(f"written: {config.out / 'probe.json'} and a picture per task beside it")


def _probe_task(
    task: Task, table: Table, encoders: Mapping[str, Encoder], size: int, config: ProbeConfig, title: str
) -> dict[str, object]:
    """Scores of every model on val and test; draws the task's picture."""
    images = load_images(table.images, size)
    index = {split: torch.from_numpy((table.split == split).nonzero()[0]) for split in SPLITS}
    labels = task_labels(task, table)
    probes: dict[str, tuple[LinearProbe, dict[str, Fold]]] = {}
    for model, encoder in encoders.items():
        embeddings = extract(encoder, READOUTS["gap"], images, f"embed {task.name} ({model})")
        device = next(encoder.parameters()).device
        folds = {split: (embeddings[rows].to(device), labels[rows].to(device)) for split, rows in index.items()}
        probes[model] = fit_probe(task, folds, len(table.class_names), range(config.seed, config.seed + SEEDS)), folds
    predictions = {
        model: {split: probe.predict(folds[split][0]).cpu() for split in ("val", "test")}
        for model, (probe, folds) in probes.items()
    }
    predictions["mean"] = {
        split: mean_prediction(task, labels[index["train"]], len(index[split]), len(table.class_names))
        for split in ("val", "test")
    }
    first = {
        f"{title_of}, seed {config.seed}": said(task, predictions[model]["test"][0]).numpy()
        for model, title_of in (("encoder", "encoder"), ("random_init", "random-init"))
    }
    true, picture = labels[index["test"]].numpy(), config.out / f"{task.name}.png"
    pictures.predictions(picture, title, task, table.class_names, true, first)
    return {
        "kind": task.kind,
        "count": {split: len(rows) for split, rows in index.items()},
        **{
            model: {split: score(task, values, labels[index[split]]) for split, values in splits.items()}
            for model, splits in predictions.items()
        },
    }

"""`sarl-train transfer`: does an encoder help on a sensor that it has never seen (paper V-B, Table II)?

For every classification set of a dataset: fine-tune layer 4 and a head on GAP(layer 3) and GAP(layer 4), for several
seeds; beside it the same from random weights, and a ResNet-18 trained as a whole from scratch.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from sarl_training.atomic_file import write_atomically
from sarl_training.config import Device, check_seed
from sarl_training.dataset import Dataset, Table, load_images
from sarl_training.device import resolve_device
from sarl_training.errors import UsageError
from sarl_training.features import image_size_for, random_encoder, statistics_sample
from sarl_training.fine_tuning import FineTuning, fine_tune
from sarl_training.labels import SPLITS
from sarl_training.networks import Encoder, load_encoder
from sarl_training.output_place import check_out
from sarl_training.pictures import top1_of_sets
from sarl_training.probe_metrics import Scores, classification_scores
from sarl_training.run_folder import provenance
from sarl_training.transfer_sets import transfer_tables

logger = logging.getLogger(__name__)

Model = Literal["encoder", "random_init", "supervised"]
SUPERVISED_LR = 1e-3
_TITLES = {"encoder": "encoder", "random_init": "random-init", "supervised": "supervised"}


@dataclass(frozen=True)
class TransferConfig:
    """Fine-tune an encoder's last block on labelled classes of sensors that it has never seen."""

    data: Path
    """Dataset folder with classification sets: of `simulate --suite transfer`, or of `ingest class_folders`."""
    out: Path
    """Folder for transfer.json and transfer.png."""
    encoder: Path | None = None
    """Run folder of `pretrain`, or an encoder file; not needed for random_init and supervised."""
    models: tuple[Model, ...] = ("encoder", "random_init", "supervised")
    """What to measure: the encoder; the same network with random weights, fine-tuned alike; the whole network trained
    from scratch (learning rate 1e-3), the bound."""
    tasks: tuple[str, ...] = ()
    """Sets to use; all classification sets of the dataset when not given."""
    sensors: tuple[str, ...] = ()
    """Sensors to use; all that a set has when not given."""
    image_size: int | None = None
    """Side of the images in pixels; the encoder's when not given."""
    epochs: int = 60
    """Passes over the train images; the one with the best val Top-1 is kept."""
    batch_size: int = 64
    """Images per step."""
    lr: float = 1e-2
    """AdamW's learning rate at the start; it falls along half a cosine."""
    seeds: int = 3
    """Repetitions with other random numbers."""
    seed: int = 0
    """First of the seeds."""
    device: Device = "auto"
    """Where to compute."""

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if self.encoder is None and "encoder" in self.models:
            raise UsageError("--encoder: not given; name a run folder, or leave encoder out of --models")
        if self.seeds < 1 or not self.models:
            raise UsageError(f"--seeds {self.seeds} --models {self.models}: at least one of each is needed")
        FineTuning("layer4", self.epochs, self.batch_size, self.lr)


def run(config: TransferConfig) -> None:
    """Print a table of Top-1 and Top-5 on test, mean ± std over seeds; write transfer.json and transfer.png."""
    check_out(config.out, config.data)
    device = resolve_device(config.device)
    encoder, metadata = load_encoder(config.encoder) if config.encoder else (None, {})
    size = image_size_for(metadata, config.image_size)
    dataset = Dataset.open(config.data)
    tables = transfer_tables(dataset, config.tasks, config.sensors)
    _warn_of_its_own_sensor(config, metadata, tables)

    simulated = " (simulated)" if dataset.simulated else ""
    title = (
        f"Transfer{simulated}, test: {config.encoder or 'no encoder'} on {config.data}, {size} px, "
        f"{config.epochs} epochs, {config.seeds} seeds"
    )
    print(title)
    results = {}
    for (task, sensor), table in tables.items():
        results[f"{task}/{sensor}"] = scores = _measure(config, encoder, table, size, device, f"{task}/{sensor}")
        print("\n".join(_lines(f"{task}/{sensor}", table, scores)))

    record = {
        "title": title,
        "simulated": dataset.simulated,
        **provenance(),
        "seed": config.seed,
        "seeds": config.seeds,
        "image_size": size,
        "encoder": {"path": str(config.encoder), **metadata} if config.encoder else None,
        "data": {"name": dataset.info.get("name"), "sha256": dataset.data_hash()},
        "settings": {"epochs": config.epochs, "batch_size": config.batch_size, "lr": config.lr},
        "sets": results,
    }
    write_atomically(config.out / "transfer.json", (json.dumps(record, indent=2) + "\n").encode())
    _draw(config, title, tables, results)
    print(f"written: {config.out / 'transfer.json'} and a picture, transfer.png, beside it")


def _warn_of_its_own_sensor(
    config: TransferConfig, metadata: Mapping[str, str], tables: Mapping[tuple[str, str], Table]
) -> None:
    own = [f"{task}/{sensor}" for task, sensor in tables if sensor == metadata.get("sensor")]
    if own:
        logger.warning(
            "--encoder %s was pretrained on %s: %s is no transfer; leave it out with --sensors",
            config.encoder, metadata["sensor"], ", ".join(own),
        )  # fmt: skip


def _measure(
    config: TransferConfig, encoder: Encoder | None, table: Table, size: int, device: torch.device, name: str
) -> dict[str, dict[str, Scores]]:
    """Scores on val and test of each model on one set."""
    images = load_images(table.images, size)
    rows = {split: torch.from_numpy((table.split == split).nonzero()[0]) for split in SPLITS}
    labels = torch.from_numpy(table.columns["label"])
    settings = {
        model: FineTuning("layer4", config.epochs, config.batch_size, config.lr)
        if model != "supervised"
        else FineTuning("all", config.epochs, config.batch_size, SUPERVISED_LR)
        for model in config.models
    }
    scores: dict[str, dict[str, Scores]] = {}
    for model in config.models:
        logits: dict[str, list[torch.Tensor]] = {"val": [], "test": []}
        for seed in range(config.seed, config.seed + config.seeds):
            start = encoder.to(device) if model == "encoder" else random_start(table, size, seed, device)
            found = fine_tune(start, images, labels, rows, len(table.class_names), settings[model], seed, name)
            for split, values in found.items():
                logits[split].append(values)
        scores[model] = {
            split: classification_scores(torch.stack(values), labels[rows[split]]) for split, values in logits.items()
        }
    return scores


def _draw(
    config: TransferConfig,
    title: str,
    tables: Mapping[tuple[str, str], Table],
    results: Mapping[str, Mapping[str, Mapping[str, Scores]]],
) -> None:
    chances = {f"{task}/{sensor}": 1 / len(table.class_names) for (task, sensor), table in tables.items()}
    by_model = {model: {name: models[model]["test"] for name, models in results.items()} for model in config.models}
    top1 = {
        _TITLES[model]: {name: (scores["top1"], scores["top1_std"]) for name, scores in of_model.items()}
        for model, of_model in by_model.items()
    }
    top1_of_sets(config.out / "transfer.png", title, chances, top1)


def random_start(table: Table, size: int, seed: int, device: torch.device) -> Encoder:
    """Random weights, with batch-norm statistics of the set's train and val images."""
    return random_encoder(load_images(statistics_sample(table.part("train", "val").images), size), seed, device)


def _lines(name: str, table: Table, scores: dict[str, dict[str, Scores]]) -> list[str]:
    ranks = [rank for rank in next(iter(scores.values()))["test"] if not rank.endswith("_std")]
    head = f"{name}: {len(table.class_names)} classes, {int((table.split == 'train').sum())} train images"
    return [head] + [
        f"  {_TITLES[model]:<14}"
        + "".join(f"  {rank} {100 * s['test'][rank]:6.2f} ± {100 * s['test'][rank + '_std']:.2f} %" for rank in ranks)
        for model, s in scores.items()
    ]

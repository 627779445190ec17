"""`sarl-train supervise`: a ResNet-18 learned from the labels of each task, from scratch or from an encoder on.

From scratch it is the bound that frozen encoders are measured against; from an encoder on it is fine-tuning. The epoch
is chosen on val; the test split is looked at once, after training.
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tyro

from sarl_training import config as settings
from sarl_training.atomic_file import write_atomically
from sarl_training.dataset import Dataset, Table, load_images
from sarl_training.errors import RunFailed, UsageError
from sarl_training.fabric import launch
from sarl_training.features import image_size_for
from sarl_training.label_budget import with_labels
from sarl_training.networks import Encoder, load_encoder
from sarl_training.optim import OptimConfig
from sarl_training.output_place import check_out
from sarl_training.run_folder import RunFolder, provenance
from sarl_training.simulated_units import units_of
from sarl_training.supervised_run import Readout, SupervisedRun, TaskData
from sarl_training.task_tables import known_tasks, task_tables
from sarl_training.tasks import TASKS, Task
from sarl_training.views import ViewConfig

if TYPE_CHECKING:
    from lightning.fabric import Fabric

MAY_CHANGE_ON_RESUME = ("data", "out", "device", "resume")


class Start(NamedTuple):
    """What training starts from."""

    encoder: Encoder | None
    method: str
    """How the encoder was made; empty when there is none."""
    units: Mapping[str, np.ndarray]
    """Unit of each sample, by task; empty when that does not matter."""


def label_keeping_views() -> ViewConfig:
    """Changes of light and focus only: a crop, a zoom or a flip would change pose, force point, pitch or handedness."""
    return ViewConfig(
        crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), flip=0.0,
        brightness=0.2, contrast=0.2, saturation=0.1, hue=0.02, grayscale=0.0, blur=0.2,
    )  # fmt: skip


@dataclass(frozen=True)
class SuperviseConfig:
    """Train a ResNet-18 on the labels of each task: from scratch, or fine-tune an encoder."""

    data: Path
    """Dataset folder with labels."""
    out: Path
    """Folder to write: one run folder per task, with a picture, and supervise.json with all test scores."""
    encoder: Path | None = None
    """Run folder of `pretrain`, or encoder file, to start from; random weights when not given."""
    readout: Readout = "gap"
    """What the last layer reads: the 512-d embedding, or the maps of layers 2 and 3 that `export` reads (layer 4 is
    then not trained)."""
    tasks: tuple[str, ...] = ()
    """Tasks to learn; all that the dataset has for the sensor when not given."""
    labels: int | None = None
    """Use so many labelled samples of train and val together, drawn by the seed; all when not given."""
    sensor: str = "vitactip"
    """Sensor whose images are used."""
    unit_offsets: bool = False
    """For data of `simulate --units`: errors also count less each unit's own offset, which `calibrate` will find."""
    image_size: int | None = None
    """Side of the square images in pixels, a multiple of 8, at least 32; the encoder's, or 128, when not given."""
    epochs: int = 60
    """Passes over the train images."""
    batch_size: int = 64
    """Images per step. What is left of an epoch is dropped."""
    seed: int = 0
    """Start of all random numbers."""
    device: settings.Device = "auto"
    """Where to compute; auto takes a GPU if there is one."""
    precision: settings.Precision = "auto"
    """Arithmetic of the network (losses are always float32); auto takes bfloat16 where the hardware has it."""
    resume: bool = False
    """Continue in --out exactly where the last checkpoint left it, with the recorded settings."""
    views: ViewConfig = field(default_factory=label_keeping_views)
    optim: OptimConfig = field(default_factory=OptimConfig)

    def __post_init__(self) -> None:
        if self.image_size is not None:
            settings.check_image_size(self.image_size)
        settings.check_seed(self.seed)
        for name, least in (("epochs", 1), ("batch_size", 2)):
            if getattr(self, name) < least:
                raise UsageError(f"--{name.replace('_', '-')} {getattr(self, name)}: must be at least {least}")


def parse(argv: Sequence[str]) -> SuperviseConfig:
    """Words after `sarl-train supervise` to a config; with --resume over the recorded settings."""
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--out", type=Path)
    early.add_argument("--resume", action="store_true")
    words = early.parse_known_args(argv)[0]
    default = SuperviseConfig(data=tyro.MISSING, out=tyro.MISSING)
    if words.resume and words.out:
        default = _recorded(RunFolder(words.out))
    return tyro.cli(SuperviseConfig, default=default, args=argv, prog="sarl-train supervise")


def run(config: SuperviseConfig) -> None:
    """Train every task that is not done yet, print the test scores, and write supervise.json."""
    folder = RunFolder(config.out)
    if config.resume:
        _check_same(config, _recorded(folder))
    else:
        folder.check_unused()
        check_out(config.out, config.data)
    encoder, origin_of_encoder = load_encoder(config.encoder) if config.encoder else (None, {"image_size": "128"})
    config = replace(config, image_size=image_size_for(origin_of_encoder, config.image_size))
    fabric = launch(config.device, config.precision)
    if fabric.world_size > 1:
        raise UsageError("supervise: trains in one process; start it without torchrun, one run per GPU")
    dataset = Dataset.open(config.data)
    tables = task_tables(dataset, config.tasks, config.sensor)
    if config.labels is not None:
        tables = {name: with_labels(table, config.labels, config.seed) for name, table in tables.items()}
    tasks = known_tasks(dataset)
    for name, table in tables.items():
        _check_task(config, tasks[name], table)
    units = {name: units_of(dataset, TASKS.get(name), table) for name, table in tables.items() if config.unit_offsets}
    origin = {**provenance(), "data_sha256": dataset.data_hash(), "simulated": dataset.simulated}
    start = Start(encoder, origin_of_encoder.get("method", "an encoder") if encoder else "", units)
    if config.resume:
        folder.resume(origin)
    else:
        folder.start(settings.to_yaml(config), origin)

    how = f"Fine-tuned from {config.encoder}" if config.encoder else "Supervised from scratch"
    title = f"{how}{' (simulated)' if dataset.simulated else ''}, test: {config.data}, {config.sensor}"
    print(f"{title}, {config.image_size} px, {config.epochs} epochs, seed {config.seed}")
    results = {name: _learn(config, fabric, tasks[name], table, origin, start) for name, table in tables.items()}
    record = {"title": title, **origin, "config": settings.to_dict(config), "tasks": results}
    write_atomically(config.out / "supervise.json", (json.dumps(record, indent=2) + "\n").encode())
    print(f"written: {config.out / 'supervise.json'}; each task's encoder and picture are in its folder beside it")


def _learn(
    config: SuperviseConfig, fabric: Fabric, task: Task, table: Table, origin: dict[str, Any], start: Start
) -> dict[str, Any]:
    """Scores of one task: those already there, or those of the run that is started or continued here."""
    folder = config.out / task.name
    done = folder / "result.json"
    if not done.exists():
        data = TaskData(task, table, load_images(table.images, config.image_size), start.units.get(task.name))
        metadata = _encoder_metadata(config, task, origin, start)
        training = SupervisedRun(config, fabric, RunFolder(folder), data, metadata, start.encoder)
        try:
            result = training.learn()
        except KeyboardInterrupt as error:
            raise RunFailed(
                f"interrupted in {task.name} after step {training.step} of {training.total}; what is on disk is whole. "
                f"Continue with: sarl-train supervise --out {shlex.quote(str(config.out))} --resume"
            ) from error
        write_atomically(done, (json.dumps(result, indent=2) + "\n").encode())
        training.folder.forget_checkpoints()
    result = json.loads(done.read_text(encoding="utf-8"))
    for model in ("supervised", "mean"):
        shown = {name: value for name, value in result[model]["test"].items() if not name.endswith("_std")}
        print(f"{task.name:<14} {model:<11}" + "".join(f" {name} {value:.4g}" for name, value in shown.items()))
    return result


def _check_task(config: SuperviseConfig, task: Task, table: Table) -> None:
    train = int((table.split == "train").sum())
    if train < config.batch_size:
        raise UsageError(
            f"--batch-size {config.batch_size}: more than the {train} train images of {task.name}; "
            f"choose {train} or less, or leave the task out"
        )
    if config.unit_offsets and task.kind == "classification":
        raise UsageError(
            f"--unit-offsets: {task.name} has classes, which have no offset; leave the flag or the task out"
        )
    views = config.views
    still = views.crop_scale == (1.0, 1.0) and views.crop_ratio == (1.0, 1.0) and not views.flip
    if task.kind == "regression" and not still:
        raise UsageError(
            f"--views: crop-scale {views.crop_scale}, crop-ratio {views.crop_ratio}, flip {views.flip}: these move the "
            f"contact, and the labels of {task.name} would be wrong; leave them at 1 1, 1 1 and 0"
        )


def _recorded(folder: RunFolder) -> SuperviseConfig:
    default = SuperviseConfig(data=Path(), out=Path())
    values = folder.recorded_config()
    if "method_name" in values:
        raise UsageError(f"--resume: {folder.path} holds a run of pretrain, not of supervise; name another --out")
    recorded = settings.from_dict(default, {**values, "tasks": ()}, str(folder.config_file))
    return replace(recorded, out=folder.path, tasks=tuple(values.get("tasks", ())))


def _check_same(config: SuperviseConfig, recorded: SuperviseConfig) -> None:
    now, then = (
        {key: value for key, value in settings.to_dict(c).items() if key not in MAY_CHANGE_ON_RESUME}
        for c in (config, recorded)
    )
    changed = settings.differences(then, now)
    if changed:
        raise UsageError(f"--resume: {changed[0]}; a resumed run keeps its settings: leave the flag out")


def _encoder_metadata(config: SuperviseConfig, task: Task, origin: dict[str, Any], start: Start) -> dict[str, Any]:
    return {
        "image_size": config.image_size,
        "method": f"{start.method}, fine-tuned on {task.name}" if start.method else f"supervised on {task.name}",
        "preset": "supervise",
        "run": config.out.resolve().name,
        "commit": origin["commit"],
        "config_sha256": settings.config_hash(config, MAY_CHANGE_ON_RESUME),
        "data_sha256": origin["data_sha256"],
        "sensor": config.sensor,
        "simulated": origin["simulated"],
    }

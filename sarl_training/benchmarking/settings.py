"""The exact settings of each run, and the hash that says whether a record is one of them."""

import hashlib
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from sarl_training import config as settings
from sarl_training import pretrain, supervise
from sarl_training.benchmarking.plan import SHARED_VIEWS, TERMS, Run
from sarl_training.benchmarking.presets import PRESETS, Preset
from sarl_training.fine_tuning import FineTuning
from sarl_training.pretrain_config import MAY_CHANGE_ON_RESUME
from sarl_training.transfer import SUPERVISED_LR

# Raise a number when that measurement changes, so that old records of it are not taken.
PROTOCOL = {"probe": 3, "labels": 3, "readouts": 3, "scatter": 3, "heads": 2, "transfer": 3}
# options of supervise that are always their defaults here
_NOT_SETTINGS = {*MAY_CHANGE_ON_RESUME, "probe_every", "encoder", "readout", "unit_offsets"}


def method_of(subject: str) -> tuple[str, str]:
    """Method and which of its presets."""
    if subject.startswith("sarl"):
        return "sarl", "paper" if subject == "sarl_paper" else "recommended"
    return subject.removesuffix(SHARED_VIEWS), ""


def pretrain_config(run: Run, data: Path, out: Path, device: settings.Device) -> pretrain.PretrainConfig:
    """Of a pretrain run: the method's preset at the benchmark's size."""
    preset = PRESETS[run.preset]
    config = _pretrain_template(run.subject, preset)
    return replace(config, data=data, out=out, sensor=run.sensor, seed=run.seed, device=device)


@cache
def _pretrain_template(subject: str, preset: Preset) -> pretrain.PretrainConfig:
    method, own = method_of(subject)
    words = [method, "--data", "data", "--out", "out", "--preset", own or preset.baselines, "--probe-every", "0"]
    if subject.endswith(SHARED_VIEWS):
        words += ["--augment", "shared"]
    if subject.startswith("sarl_with_"):
        for term in TERMS:
            if term not in subject.removeprefix("sarl_with_").split("_"):
                words += [f"--method.{term}-weight", "0"]
    config = pretrain.parse(words)
    return replace(config, image_size=preset.image_size, epochs=preset.epochs, batch_size=preset.batch_size)


def supervise_config(run: Run, data: Path, out: Path, device: settings.Device) -> supervise.SuperviseConfig:
    """Of a supervise run; the batch is halved until a budget of labels fills it."""
    preset = PRESETS[run.preset]
    task, _, budget = run.detail.partition("@")
    batch = preset.supervised_batch
    while budget and batch > max(int(budget) // 2, 2):
        batch //= 2
    return supervise.SuperviseConfig(
        data=data,
        out=out,
        tasks=(task,),
        labels=int(budget) if budget else None,
        sensor=run.sensor,
        image_size=preset.image_size,
        epochs=preset.supervised_epochs,
        batch_size=batch,
        seed=run.seed,
        device=device,
    )


def fine_tuning(run: Run) -> FineTuning:
    """Of a transfer run."""
    preset = PRESETS[run.preset]
    whole = run.subject == "supervised"
    if whole:
        return FineTuning("all", preset.transfer_epochs, preset.transfer_batch, SUPERVISED_LR)
    return FineTuning("layer4", preset.transfer_epochs, preset.transfer_batch)


def identity(run: Run) -> str:
    """SHA-256 (hex) of all that decides a run's result but its data."""
    own: Any = {"protocol": PROTOCOL.get(run.kind), "image_size": PRESETS[run.preset].image_size}
    if run.kind == "pretrain":
        own = _values(pretrain_config(run, Path(), Path(), "auto"))
    elif run.kind == "supervise":
        own = _values(supervise_config(run, Path(), Path(), "auto"))
    elif run.kind == "transfer":
        own |= settings.to_dict(fine_tuning(run))
    text = json.dumps([run.key, own, [identity(need) for need in run.needs]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _values(config: Any) -> dict[str, Any]:
    return {name: value for name, value in settings.to_dict(config).items() if name not in _NOT_SETTINGS}

"""The settings of `sarl-train pretrain`: flags over a preset, or over the recorded settings when a run is resumed."""

import argparse
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import tyro

from sarl_training import config as settings
from sarl_training.errors import UsageError
from sarl_training.methods import METHODS
from sarl_training.optim import OptimConfig
from sarl_training.run_folder import RunFolder
from sarl_training.trackers import TrackerName
from sarl_training.views import ViewConfig

# Neither changes what is learned; the images may move, their contents are compared.
MAY_CHANGE_ON_RESUME = ("data", "out", "device", "compile", "resume", "trackers", "log_every", "checkpoint_minutes")


@dataclass(frozen=True)
class PretrainConfig:
    """Pretrain an encoder without labels. The preset sets the defaults, flags go on top."""

    method_name: tyro.conf.Suppress[str]
    method: Any
    """The method's own settings."""
    data: Path
    """Dataset folder of `sarl-train simulate`, or any folder of images."""
    out: Path
    """Run folder to write."""
    preset: Literal["recommended", "paper"] = "recommended"
    """Defaults of all other settings: measured best here, or the paper's numbers to the letter."""
    augment: Literal["own", "shared"] = "own"
    """Whose views are the defaults under --views: those of the method's own paper, or SARL's, for a comparison of
    objectives alone. Flags under --views go on top of either."""
    sensor: str = "vitactip"
    """Whose images to take from a dataset folder."""
    image_size: int = 128
    """Side of the square images in pixels; a multiple of 8, at least 32."""
    epochs: int = 100
    """Passes over the images."""
    batch_size: int | Literal["auto"] = 128
    """Images per step over all processes; each gives two views or more. What is left of an epoch is dropped. auto is
    the largest power of two up to 1024 that there is memory for; the number found is recorded."""
    accumulate: int = 1
    """Parts that a batch is split into, one after the other: less memory for the same step. Batch norms and negatives
    then see one part at a time, so the result is not that of the whole batch."""
    seed: int = 0
    """Start of all random numbers."""
    device: settings.Device = "auto"
    """Where to compute; auto takes a GPU if there is one."""
    precision: settings.Precision = "auto"
    """Arithmetic of the networks (losses are always float32); auto takes bfloat16 where the hardware has it."""
    compile: bool = False
    """Compile the encoders with torch.compile. Off by default: on two CPU cores steps are 4 % faster after a first one
    of 50 s (models/LOG.md); needs a C++ compiler."""
    resume: bool = False
    """Continue the run in --out exactly where its last checkpoint left it, with its recorded settings."""
    trackers: tuple[TrackerName, ...] = ()
    """Where to show the numbers besides TensorBoard; each needs its package."""
    log_every: int = 50
    """Steps between two measurements of terms, gradient norms and collapse."""
    probe_every: int = 5
    """Epochs between two online probes (edge pose and shape on val, if the data has labels); 0 for none. The encoder
    with the best score is kept as encoder_best.safetensors."""
    checkpoint_minutes: float = 10.0
    """Most minutes between two checkpoints; there is always one after an epoch."""
    views: ViewConfig = field(default_factory=ViewConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)

    def __post_init__(self) -> None:
        settings.check_image_size(self.image_size)
        settings.check_seed(self.seed)
        for name, least in (
            ("epochs", 1),
            ("accumulate", 1),
            ("log_every", 1),
            ("probe_every", 0),
            ("checkpoint_minutes", 0),
        ):
            if getattr(self, name) < least:
                raise UsageError(f"--{name.replace('_', '-')} {getattr(self, name)}: must be at least {least}")
        if self.batch_size != "auto" and self.batch_size < 2:
            raise UsageError(f"--batch-size {self.batch_size}: must be at least 2, or auto")


def parse(argv: list[str]) -> PretrainConfig:
    """Words after `sarl-train pretrain` to a config.

    An unknown method or preset raises UsageError; for the rest tyro exits with status 2.
    """
    known = ", ".join(METHODS)
    if argv and argv[0] in ("-h", "--help"):
        print(
            "usage: sarl-train pretrain METHOD --data DIR --out DIR [options]\n\n"
            f"Methods: {known}\nOptions: sarl-train pretrain {next(iter(METHODS))} --help"
        )
        raise SystemExit(0)
    if not argv or argv[0].startswith("-"):
        raise UsageError(f"pretrain: no method given; say for example `sarl-train pretrain sarl ...`; known: {known}")
    if argv[0] not in METHODS:
        raise UsageError(f"pretrain {argv[0]}: unknown method; known: {known}")
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--preset", default="recommended")
    early.add_argument("--augment", default="own")
    early.add_argument("--out", type=Path)
    early.add_argument("--resume", action="store_true")
    words = early.parse_known_args(argv[1:])[0]
    if words.resume and words.out:
        default = replace(recorded_config(RunFolder(words.out), argv[0]), out=words.out)
    else:
        default = _preset(argv[0], words.preset, words.augment)
    return tyro.cli(PretrainConfig, default=default, args=argv[1:], prog=f"sarl-train pretrain {argv[0]}")


def recorded_config(folder: RunFolder, method_name: str) -> PretrainConfig:
    """The config that the run in `folder` was started with; UsageError if that was a run of another method."""
    values = folder.recorded_config()
    if values.get("method_name") != method_name:
        raise UsageError(
            f"--resume: {folder.path} holds a run of {values.get('method_name')!r}, not of {method_name!r}; "
            "name that method or another --out"
        )
    default = PretrainConfig(method_name, METHODS[method_name].Config(), data=Path(), out=Path())
    return settings.from_dict(default, values, str(folder.config_file))


def continued(config: PretrainConfig, recorded: PretrainConfig) -> PretrainConfig:
    """`config` of a resumed run, with the batch size that `auto` found when the run began.

    UsageError naming the first setting in which it would differ from the run it continues.
    """
    if config.batch_size == "auto":
        config = replace(config, batch_size=recorded.batch_size)
    changed = settings.differences(_what_is_learned(recorded), _what_is_learned(config))
    if changed:
        raise UsageError(
            f"--resume: {changed[0]}; a resumed run keeps its settings: "
            "leave the flag out, or start a new run in another --out"
        )
    return config


def _what_is_learned(config: PretrainConfig) -> dict[str, Any]:
    return {key: value for key, value in settings.to_dict(config).items() if key not in MAY_CHANGE_ON_RESUME}


def _preset(method_name: str, preset: str, augment: str) -> PretrainConfig:
    """Defaults of a method under a preset and a choice of views; data and out are still missing."""
    method = METHODS[method_name]
    if preset not in method.PRESETS:
        raise UsageError(f"--preset {preset}: unknown preset; known: {', '.join(method.PRESETS)}")
    if augment not in ("own", "shared"):
        raise UsageError(f"--augment {augment}: unknown views; known: own, shared")
    views = method.OWN_VIEWS if augment == "own" else {"views": METHODS["sarl"].PRESETS[preset].get("views", {})}
    default = PretrainConfig(
        method_name, method.Config(), data=tyro.MISSING, out=tyro.MISSING, preset=preset, augment=augment
    )
    return settings.from_dict(default, settings.merge(method.PRESETS[preset], views))

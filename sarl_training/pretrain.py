"""Pretrain an encoder without labels: config -> images -> views -> method -> optimiser -> loop."""

import argparse
import logging
import shlex
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro
from lightning.fabric import Fabric
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from sarl_training import config as settings
from sarl_training import diagnostics
from sarl_training.dataset import Dataset, load_images
from sarl_training.errors import RunFailed, UsageError
from sarl_training.methods import METHODS, Method
from sarl_training.networks import ENCODER_FILE, save_encoder
from sarl_training.optim import OptimConfig, build_optimiser, learning_rate
from sarl_training.run_folder import RunFolder, provenance
from sarl_training.views import View, ViewConfig, make_view

logger = logging.getLogger(__name__)

WATCHED_IMAGES = 512  # un-augmented images whose embeddings are watched for collapse
COLLAPSED_STD = 0.05
COLLAPSED_RANK = 3.0
MAY_CHANGE_ON_RESUME = ("out", "device", "resume", "log_every", "checkpoint_minutes")


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
    sensor: str = "vitactip"
    """Whose images to take from a dataset folder."""
    image_size: int = 128
    """Side of the square images in pixels; a multiple of 8, at least 32."""
    epochs: int = 100
    """Passes over the images."""
    batch_size: int = 128
    """Images per step; each gives two views. What is left of an epoch is dropped."""
    seed: int = 0
    """Start of all random numbers."""
    device: settings.Device = "auto"
    """Where to compute; auto takes a GPU if there is one."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the networks (losses are always float32); auto takes bfloat16 where the hardware has it."""
    resume: bool = False
    """Continue the run in --out exactly where its last checkpoint left it, with its recorded settings."""
    log_every: int = 50
    """Steps between two measurements of terms, gradient norms and collapse."""
    checkpoint_minutes: float = 10.0
    """Most minutes between two checkpoints; there is always one after an epoch."""
    views: ViewConfig = field(default_factory=ViewConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)

    def __post_init__(self) -> None:
        settings.check_image_size(self.image_size)
        if min(self.epochs, self.log_every) < 1 or self.batch_size < 2 or self.seed < 0:
            raise UsageError(
                f"--epochs {self.epochs} --log-every {self.log_every} --batch-size {self.batch_size} --seed {self.seed}: "
                "epochs and log-every must be at least 1, batch-size at least 2, seed not below 0"
            )


def parse(argv: list[str]) -> PretrainConfig:
    """Words after `sarl-train pretrain` to a config. An unknown method raises UsageError; for unknown flags tyro exits with status 2."""
    known = ", ".join(METHODS)
    if not argv or argv[0].startswith("-"):
        raise UsageError(f"sarl-train pretrain METHOD: no method given; known: {known}. Try `sarl-train pretrain sarl --help`")
    if argv[0] not in METHODS:
        raise UsageError(f"sarl-train pretrain {argv[0]}: unknown method; known: {known}")
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--preset", default="recommended")
    early.add_argument("--out", type=Path)
    early.add_argument("--resume", action="store_true")
    words = early.parse_known_args(argv[1:])[0]
    if words.resume and words.out:
        default = replace(_recorded(RunFolder(words.out), argv[0]), out=words.out)
    else:
        default = _preset(argv[0], words.preset)
    return tyro.cli(PretrainConfig, default=default, args=argv[1:], prog=f"sarl-train pretrain {argv[0]}")


def run(config: PretrainConfig) -> None:
    """Pretrain as configured. Everything that ends up on disk is in `config.out`."""
    if config.resume:
        _check_same(config, _recorded(RunFolder(config.out), config.method_name))

    # images
    dataset = Dataset.open(config.data)
    paths = dataset.ssl_pool(config.sensor)
    if len(paths) < config.batch_size:
        raise UsageError(f"--batch-size {config.batch_size}: more than the {len(paths)} images of {config.data}; choose {len(paths)} or less, or add images")
    images = load_images(paths, config.image_size)

    # run folder
    folder = RunFolder(config.out)
    origin = {**provenance(), "data_sha256": dataset.data_hash(), "simulated": dataset.simulated, "images": len(paths)}
    if not config.resume:
        folder.start(settings.to_yaml(config))
        folder.write_json("provenance.json", origin)

    # method and optimiser
    fabric = _fabric(config)
    torch.manual_seed(config.seed)
    method = fabric.to_device(METHODS[config.method_name](config.method))
    optimiser = build_optimiser(method, config.optim, method.spared())
    run = Pretraining(config, folder, fabric, images, method, optimiser, _encoder_metadata(config, origin))
    if config.resume:
        run.restore()

    # loop
    try:
        run.train()
    except KeyboardInterrupt as error:
        raise RunFailed(f"interrupted after step {run.step} of {run.total}; the last checkpoint is whole. Continue with: sarl-train pretrain {config.method_name} --out {shlex.quote(str(config.out))} --resume") from error
    print(f"{folder.path / ENCODER_FILE}: {config.method_name} encoder after {config.epochs} epochs of {len(paths)} images")


class Pretraining:
    """The loop and what it needs. After any step all of its state is the networks, the optimiser and the number of steps."""

    def __init__(self, config: PretrainConfig, folder: RunFolder, fabric: Fabric, images: np.ndarray, method: Method, optimiser: torch.optim.Optimizer, metadata: dict[str, Any]) -> None:
        self.config, self.folder, self.fabric, self.images = config, folder, fabric, images
        self.method, self.optimiser, self.metadata = method, optimiser, metadata
        self.steps_per_epoch = len(images) // config.batch_size
        self.total = self.steps_per_epoch * config.epochs
        self.step = 0

    def restore(self) -> None:
        """Take over the newest readable checkpoint."""
        state = self.folder.load_checkpoint(self.fabric.device)
        if state is not None:
            self.method.load_state_dict(state["method"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step = state["step"]
        self.folder.forget_metrics_after(self.step)

    def train(self) -> None:
        """Run the steps that are left."""
        config = self.config
        writer = SummaryWriter(self.folder.path / "tensorboard", purge_step=self.step + 1)
        meter = Meter()
        saved = time.monotonic()
        progress = tqdm(total=self.total * config.batch_size, initial=self.step * config.batch_size, unit="img", unit_scale=True, desc=config.method_name)
        with writer, progress:
            while self.step < self.total:
                measure = (self.step + 1) % config.log_every == 0 or self.step + 1 == self.total
                lr = learning_rate(self.step, self.total, config.optim)
                terms, norms = self.one_step(lr, measure)
                meter.add(terms, config.batch_size)
                self.step += 1
                progress.update(config.batch_size)
                epoch_over = self.step % self.steps_per_epoch == 0
                due = epoch_over or time.monotonic() - saved > 60 * config.checkpoint_minutes
                if measure or due:
                    meter.check_finite(self.step)
                if measure:
                    self.report({**meter.take(), "lr": lr, **norms, **self.watch()}, writer, progress)
                if due:
                    self.save()
                    saved = time.monotonic()

    def one_step(self, lr: float, measure: bool) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
        """One batch: its terms, and the gradient norms of the weighted terms at layer 3 if `measure`."""
        first, second = self.views(self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        with self.fabric.autocast():
            terms = self.method(first, second)
        norms = {}
        if measure:
            last_of_layer3 = self.method.encoder.layer3[-1].conv2.weight
            norms = {f"gradient/{name}": norm for name, norm in diagnostics.gradient_norms(terms, self.method.weights(), last_of_layer3).items()}
        self.optimiser.zero_grad()
        terms["loss"].backward()
        self.optimiser.step()
        self.method.after_step()
        return {name: term.detach() for name, term in terms.items()}, norms

    def views(self, step: int) -> tuple[View, View]:
        """The two views of step `step`, whatever ran before it."""
        config = self.config
        epoch, position = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng((config.seed, epoch)).permutation(len(self.images))
        samples_B = order[position * config.batch_size : (position + 1) * config.batch_size]
        batch_BHWC = torch.from_numpy(self.images[samples_B]).to(self.fabric.device, non_blocking=True)
        first, second = (
            make_view(batch_BHWC, samples_B, config.image_size, config.views, seed=config.seed, epoch=epoch, view=view) for view in (0, 1)
        )
        return first, second

    def watch(self) -> dict[str, float]:
        """Spread of the embeddings of a fixed set of images, with an alarm when they have become one."""
        chosen = np.linspace(0, len(self.images) - 1, min(WATCHED_IMAGES, len(self.images))).astype(int)
        with self.fabric.autocast():
            embeddings_BD = diagnostics.embed(self.method.encoder, torch.from_numpy(self.images[chosen]).to(self.fabric.device))
        std, rank = diagnostics.feature_std(embeddings_BD), diagnostics.effective_rank(embeddings_BD)
        if std < COLLAPSED_STD or rank < COLLAPSED_RANK:
            logger.warning("step %d: the representation is collapsing: feature std %.3f (alarm below %g), effective rank %.1f (alarm below %g); lower --optim.lr, raise --method.ema-decay or the batch size", self.step, std, COLLAPSED_STD, rank, COLLAPSED_RANK)
        return {"feature_std": std, "effective_rank": rank}

    def report(self, values: dict[str, float], writer: SummaryWriter, progress: tqdm) -> None:
        """To metrics.jsonl, TensorBoard and the progress bar."""
        self.folder.log({"step": self.step, "epoch": round(self.step / self.steps_per_epoch, 3), **values})
        for name, value in values.items():
            writer.add_scalar(name, value, self.step)
        shown = ["loss", *self.method.weights(), "effective_rank"]
        progress.set_postfix_str(" ".join(f"{name} {values[name]:.3g}" for name in shown))

    def save(self) -> None:
        """Checkpoint, then the encoder as it is now."""
        state = {"step": self.step, "method": self.method.state_dict(), "optimiser": self.optimiser.state_dict()}
        self.folder.save_checkpoint(self.step, state)
        save_encoder(self.method.encoder, self.folder.path / ENCODER_FILE, {**self.metadata, "steps": f"{self.step}/{self.total}"})


class Meter:
    """Means of the terms between two reports, kept on the device: reading a value there would make the CPU wait for it."""

    def __init__(self) -> None:
        self.sums: dict[str, torch.Tensor] = {}
        self.steps = self.images = 0
        self.since = time.monotonic()

    def add(self, terms: dict[str, torch.Tensor], images: int) -> None:
        self.sums = {name: self.sums[name] + term if name in self.sums else term for name, term in terms.items()}
        self.steps += 1
        self.images += images

    def check_finite(self, step: int) -> None:
        """RunFailed if any term was not finite since the last report: a sum keeps a NaN or infinity."""
        bad = [name for name, value in self.sums.items() if not torch.isfinite(value)]
        if bad:
            raise RunFailed(f"step {step}: {', '.join(bad)} not finite; training stopped, the last good checkpoint is kept. Lower --optim.lr, or set --precision float32")

    def take(self) -> dict[str, float]:
        """Means since the last call, and images per second."""
        seconds = time.monotonic() - self.since
        means = {name: float(value) / self.steps for name, value in self.sums.items()}
        means["images_per_second"] = self.images / max(seconds, 1e-9)
        self.__init__()  # a fresh start
        return means


def _fabric(config: PretrainConfig) -> Fabric:
    gpu = torch.cuda.is_available()
    if config.device == "cuda" and not gpu:
        raise UsageError("--device cuda: this machine shows no CUDA GPU to torch; use --device cpu")
    on_gpu = gpu and config.device != "cpu"
    fast = torch.cuda.is_bf16_supported() if on_gpu else torch.cpu._is_avx512_bf16_supported()
    precision = config.precision if config.precision != "auto" else ("bfloat16" if fast else "float32")
    return Fabric(accelerator="cuda" if on_gpu else "cpu", devices=1, precision="bf16-mixed" if precision == "bfloat16" else "32-true")


def _preset(method_name: str, preset: str) -> PretrainConfig:
    """Defaults of a method under a preset; data and out are still missing."""
    method = METHODS[method_name]
    if preset not in method.PRESETS:
        raise UsageError(f"--preset {preset}: unknown preset; known: {', '.join(method.PRESETS)}")
    default = PretrainConfig(method_name, method.Config(), data=tyro.MISSING, out=tyro.MISSING, preset=preset)
    return settings.from_dict(default, method.PRESETS[preset])


def _recorded(folder: RunFolder, method_name: str) -> PretrainConfig:
    """The config that the run in `folder` was started with."""
    values = folder.recorded_config()
    if values.get("method_name") != method_name:
        raise UsageError(f"--resume: {folder.path} holds a run of {values.get('method_name')!r}, not of {method_name!r}; name that method or another --out")
    default = PretrainConfig(method_name, METHODS[method_name].Config(), data=Path(), out=Path())
    return settings.from_dict(default, values, str(folder.config_file))


def _check_same(config: PretrainConfig, recorded: PretrainConfig) -> None:
    """UsageError naming the first setting in which a resumed run would differ from the one it continues."""
    pruned = [{key: value for key, value in settings.to_dict(c).items() if key not in MAY_CHANGE_ON_RESUME} for c in (recorded, config)]
    changed = settings.differences(*pruned)
    if changed:
        raise UsageError(f"--resume: {changed[0]}; a resumed run keeps its settings: leave the flag out, or start a new run in another --out")


def _encoder_metadata(config: PretrainConfig, origin: dict[str, Any]) -> dict[str, Any]:
    return {
        "image_size": config.image_size,
        "method": config.method_name,
        "preset": config.preset,
        "run": config.out.resolve().name,
        "commit": origin["commit"],
        "config_sha256": settings.config_hash(config),
        "data_sha256": origin["data_sha256"],
        "sensor": config.sensor,
        "simulated": origin["simulated"],
    }

"""Pretrain an encoder without labels: config -> images -> method -> optimiser -> loop (`pretraining`)."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch._functorch import config as functorch_config

from sarl_training import distributed
from sarl_training.atomic_file import write_atomically
from sarl_training.batch_size import largest_batch
from sarl_training.census import CENSUS_FILE
from sarl_training.config import config_hash, to_yaml
from sarl_training.dataset import Dataset
from sarl_training.device import is_out_of_memory
from sarl_training.errors import RunFailed, UsageError
from sarl_training.fabric import launch
from sarl_training.image_feed import open_feed
from sarl_training.methods import METHODS, Method
from sarl_training.networks import ENCODER_FILE, Encoder
from sarl_training.online_probe import OnlineProbe
from sarl_training.optim import build_optimiser
from sarl_training.output_place import check_out
from sarl_training.pretrain_config import MAY_CHANGE_ON_RESUME, PretrainConfig, continued, parse, recorded_config
from sarl_training.pretraining import Pretraining
from sarl_training.run_folder import RunFolder, provenance
from sarl_training.run_report import keep_samples, write_report
from sarl_training.sampler import Sampler
from sarl_training.sync_batch_norm import synchronise_batch_norms
from sarl_training.trackers import require

if TYPE_CHECKING:
    from lightning.fabric import Fabric

__all__ = ["PretrainConfig", "parse", "run"]

logger = logging.getLogger(__name__)


def run(config: PretrainConfig) -> None:
    """Pretrain as configured, in this process or together with those that torchrun started beside it.

    Everything that ends up on disk is in `config.out`.
    """
    folder = RunFolder(config.out)
    if config.resume:
        config = continued(config, recorded_config(folder, config.method_name))
    else:
        folder.check_unused()
        check_out(config.out, config.data)
    require(config.trackers)
    fabric = launch(config.device, config.precision)
    with _one_line_when_out_of_memory(config):
        pretraining, images = _prepare(config, folder, fabric)
        try:
            pretraining.train()
        except KeyboardInterrupt as error:
            raise RunFailed(
                f"interrupted after step {pretraining.step} of {pretraining.total}, saved after step "
                f"{pretraining.saved_step}; what is on disk is whole. Continue with: {pretraining.resume_command}"
            ) from error
        finally:
            if fabric.is_global_zero:
                _report(folder)
    if fabric.is_global_zero:
        print(f"{folder.path / ENCODER_FILE}: {config.method_name} encoder, {config.epochs} epochs of {images} images")
    distributed.leave()


def _prepare(config: PretrainConfig, folder: RunFolder, fabric: Fabric) -> tuple[Pretraining, int]:
    """The run, ready for its next step, and the number of its images."""
    # images: the first process of a machine decodes what is not in the cache yet
    with fabric.rank_zero_first(local=True):
        dataset = Dataset.open(config.data)
        images, census = dataset.load_pool(config.sensor, config.image_size)
        data_sha256 = dataset.data_hash()
    if census is not None and fabric.is_global_zero:
        print(census.table())
    feed = open_feed(images, fabric.device)
    if config.batch_size == "auto":
        config = replace(config, batch_size=largest_batch(config, len(images), fabric))
    _check_batch(config, len(images), fabric.world_size)

    # run folder
    origin = {**provenance(), "data_sha256": data_sha256, "simulated": dataset.simulated, "images": len(images)}
    if fabric.is_global_zero:
        if config.resume:
            folder.resume(origin)
        else:
            folder.start(to_yaml(config), origin)
            keep_samples(folder.path, images)
        if census is not None:
            write_atomically(folder.path / CENSUS_FILE, census.to_csv())

    # method and optimiser
    torch.manual_seed(config.seed)
    method = METHODS[config.method_name](config.method)
    method = fabric.to_device(synchronise_batch_norms(method, fabric.device))
    if config.compile:
        _compile_encoders(method)
    optimiser = build_optimiser(method, config.optim, method.spared(), method.steady())

    # loop
    probe = None
    if config.probe_every and fabric.is_global_zero:
        probe = OnlineProbe(dataset, config.sensor, config.image_size, fabric.device)
    sampler = Sampler(len(images), config.batch_size, config.seed, config.accumulate)
    metadata = _encoder_metadata(config, origin)
    pretraining = Pretraining(config, folder, fabric, feed, sampler, method, optimiser, metadata, probe)
    if config.resume:
        pretraining.restore()
    return pretraining, len(images)


def _compile_encoders(method: Method) -> None:
    """When first called. Their backward passes must be repeatable: gradients of single terms are measured before."""
    functorch_config.donated_buffer = False
    for module in method.modules():
        if isinstance(module, Encoder):
            module.compile()


def _report(folder: RunFolder) -> None:
    """Draw report.html, whatever ended the run; that it fails must not hide why the run did."""
    try:
        print(f"written: {write_report(folder.path)}")
    except Exception as error:  # of whatever kind: it would stand in for the run's own
        logger.warning("no report: %s: %s", type(error).__name__, error)


def _check_batch(config: PretrainConfig, images: int, processes: int) -> None:
    if images < config.batch_size:
        raise UsageError(
            f"--batch-size {config.batch_size}: more than the {images} images of {config.data}; "
            f"choose {images} or less, or add images"
        )
    parts = config.accumulate * processes
    if config.batch_size % parts or config.batch_size < 2 * parts:
        raise UsageError(
            f"--batch-size {config.batch_size}: cannot be split into {config.accumulate} parts (--accumulate) for each "
            f"of {processes} processes; choose a multiple of {parts}, at least {2 * parts}"
        )


@contextlib.contextmanager
def _one_line_when_out_of_memory(config: PretrainConfig) -> Iterator[None]:
    """RunFailed that says what to change when memory runs out."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise RunFailed(
            f"out of memory at --batch-size {config.batch_size} --accumulate {config.accumulate} --image-size "
            f"{config.image_size}: lower the batch size (or let --batch-size auto find it), split it with a larger "
            "--accumulate, or lower the image size"
        ) from error


def _encoder_metadata(config: PretrainConfig, origin: dict[str, Any]) -> dict[str, Any]:
    return {
        "image_size": config.image_size,
        "method": config.method_name,
        "preset": config.preset,
        "run": config.out.resolve().name,
        "commit": origin["commit"],
        "config_sha256": config_hash(config, MAY_CHANGE_ON_RESUME),
        "data_sha256": origin["data_sha256"],
        "sensor": config.sensor,
        "simulated": origin["simulated"],
    }

"""Pretrain an encoder without labels: config -> images -> views -> method -> optimiser -> loop."""

import logging
from typing import Any

import torch
from lightning.fabric import Fabric

from sarl_training.atomic_file import write_atomically
from sarl_training.census import CENSUS_FILE
from sarl_training.config import config_hash, to_yaml
from sarl_training.dataset import Dataset
from sarl_training.device import resolve_device
from sarl_training.errors import RunFailed, UsageError
from sarl_training.methods import METHODS
from sarl_training.networks import ENCODER_FILE
from sarl_training.online_probe import OnlineProbe
from sarl_training.optim import build_optimiser
from sarl_training.pretrain_config import PretrainConfig, check_same, parse, recorded_config
from sarl_training.pretraining import Pretraining
from sarl_training.run_folder import RunFolder, provenance

__all__ = ["PretrainConfig", "parse", "run"]


def run(config: PretrainConfig) -> None:
    """Pretrain as configured. Everything that ends up on disk is in `config.out`."""
    folder = RunFolder(config.out)
    if config.resume:
        check_same(config, recorded_config(folder, config.method_name))
    fabric = _fabric(config)

    # images
    dataset = Dataset.open(config.data)
    images, census = dataset.load_pool(config.sensor, config.image_size)
    if census is not None:
        print(census.table())
    if len(images) < config.batch_size:
        raise UsageError(
            f"--batch-size {config.batch_size}: more than the {len(images)} images of {config.data}; "
            f"choose {len(images)} or less, or add images"
        )

    # run folder
    origin = {**provenance(), "data_sha256": dataset.data_hash(), "simulated": dataset.simulated, "images": len(images)}
    if config.resume:
        folder.resume(origin)
    else:
        folder.start(to_yaml(config), origin)
    if census is not None:
        write_atomically(folder.path / CENSUS_FILE, census.to_csv())

    # method and optimiser
    torch.manual_seed(config.seed)
    method = fabric.to_device(METHODS[config.method_name](config.method))
    optimiser = build_optimiser(method, config.optim, method.spared(), method.steady())

    # loop
    probe = OnlineProbe(dataset, config.sensor, config.image_size, fabric.device) if config.probe_every else None
    metadata = _encoder_metadata(config, origin)
    pretraining = Pretraining(config, folder, fabric, images, method, optimiser, metadata, probe)
    if config.resume:
        pretraining.restore()
    try:
        pretraining.train()
    except KeyboardInterrupt as error:
        raise RunFailed(
            f"interrupted after step {pretraining.step} of {pretraining.total}; what is on disk is whole. "
            f"Continue with: {pretraining.resume_command}"
        ) from error
    print(f"{folder.path / ENCODER_FILE}: {config.method_name} encoder, {config.epochs} epochs of {len(images)} images")


def _fabric(config: PretrainConfig) -> Fabric:
    """One device, with bfloat16 where the hardware has it: 1.5 to 2 times float32 on a CPU with AVX512-BF16."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # Fabric's greeting, under this name
    device = resolve_device(config.device)
    fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else torch.cpu._is_avx512_bf16_supported()
    half = config.precision == "bfloat16" or (config.precision == "auto" and fast)
    return Fabric(accelerator=device.type, devices=1, precision="bf16-mixed" if half else "32-true")


def _encoder_metadata(config: PretrainConfig, origin: dict[str, Any]) -> dict[str, Any]:
    return {
        "image_size": config.image_size,
        "method": config.method_name,
        "preset": config.preset,
        "run": config.out.resolve().name,
        "commit": origin["commit"],
        "config_sha256": config_hash(config),
        "data_sha256": origin["data_sha256"],
        "sensor": config.sensor,
        "simulated": origin["simulated"],
    }

"""Device, precision and processes of a training run: Lightning Fabric, as started by hand or by torchrun."""

from __future__ import annotations

import logging
import os
import warnings
from datetime import timedelta
from typing import TYPE_CHECKING

import torch

from sarl_training.config import Device, Precision
from sarl_training.device import has_bfloat16, resolve_device
from sarl_training.errors import UsageError

if TYPE_CHECKING:
    from lightning.fabric import Fabric

PATIENCE = timedelta(hours=4)  # until a process that waits for another gives up; torchrun ends them all when one dies


def launch(device: Device, precision: Precision) -> Fabric:
    """One process on one device, or under torchrun one of many, each with its device; they have met when this returns.

    `auto` is bfloat16 where the hardware has it.
    """
    from lightning.fabric import Fabric
    from lightning.fabric.strategies import DDPStrategy

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # Fabric's greeting, under this name
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    kind = resolve_device(device).type
    half = precision == "bfloat16" or (precision == "auto" and has_bfloat16(kind))
    world, local = (int(os.environ.get(name, "1")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if kind == "cuda" and local > torch.cuda.device_count():
        raise UsageError(
            f"--device {device}: {local} processes on this machine, {torch.cuda.device_count()} GPUs are visible; "
            "start one for each GPU (torchrun --nproc-per-node), or give --device cpu"
        )
    # Every process has the same buffers, since batch norms are synchronised: broadcasting them would be for nothing.
    warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated")  # its successor is not in torch 2.6
    ddp = DDPStrategy(timeout=PATIENCE, broadcast_buffers=False, gradient_as_bucket_view=True)
    fabric = Fabric(
        accelerator=kind,
        devices=local,
        num_nodes=world // local,
        strategy=ddp if world > 1 else "auto",
        precision="bf16-mixed" if half else "32-true",
    )
    fabric.launch()
    if fabric.global_rank:
        logging.disable(logging.WARNING)  # the first process says it
    return fabric

"""The device a command runs on."""

import torch

from sarl_training.config import Device
from sarl_training.errors import UsageError


def resolve_device(device: Device) -> torch.device:
    """`auto` is the first GPU if there is one, else the CPU; UsageError when CUDA is asked for and absent."""
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: no CUDA device is visible; use --device cpu or auto")
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")

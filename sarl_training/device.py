"""The device a command runs on, and its memory."""

import resource

import torch

from sarl_training.config import Device
from sarl_training.errors import UsageError


def resolve_device(device: Device) -> torch.device:
    """`auto` is the first GPU if there is one, else the CPU; UsageError when CUDA is asked for and absent."""
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: no CUDA device is visible; use --device cpu or auto")
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def memory_peak_mb(device: torch.device) -> float:
    """Most memory that this process has used so far: tensors on a GPU, everything resident on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device, or this machine, had no memory left."""
    text = str(error)
    return (
        isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)
        or "can't allocate memory" in text
        or "could not create a memory" in text  # oneDNN
    )

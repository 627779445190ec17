"""The device a command runs on, and its memory."""

import os
import platform
import resource
from pathlib import Path

import torch

from sarl_training.config import Device
from sarl_training.errors import UsageError

# What plain RuntimeErrors say: torch on a CPU, oneDNN, the CUDA driver (pinned memory among it), cuBLAS and cuDNN.
_OUT_OF_MEMORY = ("can't allocate memory", "could not create a memory", "out of memory", "_STATUS_ALLOC_FAILED")


def resolve_device(device: Device) -> torch.device:
    """`auto` is the first GPU if there is one, else the CPU; UsageError when CUDA is asked for and absent."""
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: no CUDA device is visible; use --device cpu or auto")
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def has_bfloat16(kind: str) -> bool:
    """Whether `cuda` or `cpu` here computes in bfloat16 at speed: with AVX512-BF16 1.8 times float32's on an EPYC, 0.97
    on a Xeon without AMX."""
    if kind == "cuda":  # GPUs before Ampere emulate it, slower than float32
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported()


def device_name(device: torch.device) -> str:
    """For people: the GPU's name, or the processor's and how many of it this process may use."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} CPUs"


def memory_peak_mb(device: torch.device) -> float:
    """Most memory that this process has used so far: tensors on a GPU, everything resident on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    status = Path("/proc/self/status")  # getrusage would begin with the memory of the process that started this one
    if status.exists():
        return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device, or this machine, had no memory left."""
    said = isinstance(error, RuntimeError) and any(mark in str(error) for mark in _OUT_OF_MEMORY)
    return said or isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)

"""Which onnxruntime execution provider runs the model, and with which options."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import onnxruntime

from sarl_perception.contract import ModelRefused
from sarl_perception.error_text import one_line

AUTO = "auto"
PREFERENCE = (
    "TensorrtExecutionProvider",
    "CUDAExecutionProvider",
    "OpenVINOExecutionProvider",
    "CPUExecutionProvider",
)
"""What `auto` stands for, fastest first."""


def choose_providers(wanted: Sequence[str], available: Sequence[str]) -> list[str]:
    """The wanted providers that are installed, in order, `auto` replaced by `PREFERENCE`; the CPU comes last.

    The CPU is added behind a GPU's provider, which leaves it the operations that it lacks. Raises `ModelRefused` when
    none is installed.
    """
    names = [name for want in wanted for name in (PREFERENCE if want == AUTO else (want,))]
    usable = [name for name in dict.fromkeys(names) if name in available]
    if not usable:
        raise ModelRefused(
            f"providers {list(wanted)}: none is installed; available: {', '.join(available)}; or write {AUTO}"
        )
    return list(dict.fromkeys([*usable, PREFERENCE[-1]]))


def provider_options(name: str, threads: int, cache: Path | None) -> dict[str, str]:
    """Options of a provider; TensorRT keeps the engines it builds (minutes on a small GPU) in `cache`, if any."""
    kept = {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(cache),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(cache),
    }
    return {
        "TensorrtExecutionProvider": {} if cache is None else kept,
        "CUDAExecutionProvider": {"cudnn_conv_algo_search": "HEURISTIC"},
        "OpenVINOExecutionProvider": {"device_type": "CPU", "num_of_threads": str(threads)},
    }.get(name, {})


def engine_cache() -> Path | None:
    """Where built engines are kept: $XDG_CACHE_HOME/sarl_perception, or ~/.cache/sarl_perception.

    None where that cannot be written (a container without a home): they are then built at every start.
    """
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sarl_perception"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return folder if os.access(folder, os.W_OK) else None


def open_session(path: Path, wanted: Sequence[str], threads: int) -> onnxruntime.InferenceSession:
    """Session of a model file on the first wanted provider that starts. Raises `ModelRefused` in one line."""
    if not path.is_file():
        raise ModelRefused(f"{path}: no such model file: give one written by sarl-train export")
    providers = choose_providers(wanted, onnxruntime.get_available_providers())
    cache = engine_cache() if "TensorrtExecutionProvider" in providers else None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads must not eat a core
    options.log_severity_level = 3
    with_options = [(name, provider_options(name, threads, cache)) for name in providers]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=with_options)
    except Exception as error:  # onnxruntime's errors share no base class
        raise ModelRefused(f"{path}: not a readable ONNX model: {one_line(error)}") from error

"""One run on disk: config.yaml, provenance.json, metrics.jsonl, checkpoints. The last good checkpoint always stays."""

import io
import json
import logging
import os
import pickle
import platform
import shlex
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import yaml

from sarl_training.atomic_file import write_atomically
from sarl_training.device import is_out_of_memory
from sarl_training.errors import DataRefused, RunFailed, UsageError

logger = logging.getLogger(__name__)

KEPT_CHECKPOINTS = 2
UNREADABLE = (
    OSError, EOFError, RuntimeError, ValueError, LookupError, NotImplementedError, AttributeError, struct.error,
    zlib.error, pickle.UnpicklingError, zipfile.BadZipFile,
)  # fmt: skip


class RunFolder:
    """The folder given by `--out`. Nothing is created before the first file is written."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.config_file = self.path / "config.yaml"
        self.origin_file = self.path / "provenance.json"
        self.metrics_file = self.path / "metrics.jsonl"

    def check_unused(self) -> None:
        """UsageError if the folder already holds a run."""
        if self.config_file.exists():
            raise UsageError(f"{self.path}: already holds a run; add --resume to continue it, or choose another --out")

    def start(self, config_yaml: str, origin: dict[str, Any]) -> None:
        """Record config and provenance of a new run; UsageError if the folder already holds one."""
        self.check_unused()
        self._write_origin(origin)
        write_atomically(self.config_file, config_yaml.encode())

    def resume(self, origin: dict[str, Any]) -> None:
        """Add a resumption to the provenance; DataRefused if the images are not those that the run began with."""
        try:
            began = json.loads(self.origin_file.read_text(encoding="utf-8"))
            images = began["data_sha256"]
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise DataRefused(
                f"{self.origin_file}: does not say which images the run began with ({type(error).__name__}); restore "
                "it, or start a new run in another --out"
            ) from error
        if images != origin["data_sha256"]:
            raise DataRefused(
                f"--resume: the images have SHA-256 {origin['data_sha256'][:12]}, the run in {self.path} began with "
                f"{images[:12]}; put those back, or start a new run in another --out"
            )
        self._write_origin({**began, "resumed": [*began.get("resumed", []), origin]})

    def recorded_config(self) -> dict[str, Any]:
        """The config of the run in this folder; UsageError if there is none."""
        try:
            values = yaml.safe_load(self.config_file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise UsageError(
                f"{self.path}: no run to resume (no config.yaml); leave --resume out to start one"
            ) from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise DataRefused(
                f"{self.config_file}: cannot be read as YAML ({str(error).splitlines()[0]}); start a new run"
            ) from error
        if not isinstance(values, dict):
            raise DataRefused(f"{self.config_file}: holds no settings; start a new run")
        return values

    def log(self, values: dict[str, Any]) -> None:
        """Append one line to metrics.jsonl."""
        try:
            with self.metrics_file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(values) + "\n")
        except OSError as error:
            raise RunFailed(
                f"{self.metrics_file}: could not be written ({error.strerror or error}); "
                "free some space and run again with --resume"
            ) from error

    def forget_metrics_after(self, step: int) -> list[dict[str, Any]]:
        """Drop the lines of metrics.jsonl that a resumed run is going to write again; the others, in order."""
        if not self.metrics_file.exists():
            return []
        kept = []
        for line in self.metrics_file.read_text(encoding="utf-8").splitlines():
            try:
                values = json.loads(line)
            except ValueError:
                continue  # the line that the interruption cut
            if values["step"] <= step:
                kept.append(values)
        write_atomically(self.metrics_file, "".join(json.dumps(values) + "\n" for values in kept).encode())
        return kept

    def save_checkpoint(self, step: int, state: dict[str, Any]) -> Path:
        """Write the state after `step` steps whole, then drop all but the newest two."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        path = self.path / "checkpoints" / f"step_{step:08d}.pt"
        write_atomically(path, [buffer.getbuffer()], durable=True)
        for old in self._checkpoints()[KEPT_CHECKPOINTS:]:
            old.unlink()
        return path

    def load_checkpoint(self, device: torch.device) -> dict[str, Any] | None:
        """The newest readable state, None if the run has written none yet. Unreadable ones are named and left out."""
        files = self._checkpoints()
        for path in files:
            try:
                _check_sums(path)
                return torch.load(path, map_location=device, weights_only=True)
            except UNREADABLE as error:
                if is_out_of_memory(error):  # that says nothing about the file
                    raise
                logger.warning("%s: not a whole checkpoint (%s); trying the one before it", path, type(error).__name__)
        if files:
            raise DataRefused(
                f"{self.path / 'checkpoints'}: none of {len(files)} checkpoints can be read; "
                "start a new run in another --out"
            )
        return None

    def forget_checkpoints(self) -> None:
        """Drop them all: a finished run whose encoder is written needs none."""
        shutil.rmtree(self.path / "checkpoints", ignore_errors=True)

    def _write_origin(self, origin: dict[str, Any]) -> None:
        write_atomically(self.origin_file, (json.dumps(origin, indent=2) + "\n").encode())

    def _checkpoints(self) -> list[Path]:
        """Newest first."""
        return sorted((self.path / "checkpoints").glob("step_*.pt"), reverse=True)


def _check_sums(path: Path) -> None:
    """BadZipFile if any part of a file of `torch.save` is not what was written; torch itself does not look."""
    with zipfile.ZipFile(path) as file:
        damaged = file.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"{damaged}: wrong checksum")


def provenance() -> dict[str, Any]:
    """Where and with what a run was made."""
    return {
        "command": shlex.join([*_program(), *sys.argv[1:]]),
        "commit": git_commit(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
    }


def _program() -> list[str]:
    """How the running program is started: `sarl-train`, `python -m PACKAGE`, or `python SCRIPT`."""
    path = Path(sys.argv[0])
    if path.name == "__main__.py":
        return ["python", "-m", path.parent.name]
    return ["python", str(path)] if path.suffix == ".py" else [path.name]


def git_commit() -> str:
    """Commit of this checkout, with `-dirty` where tracked files differ from it; `unknown` outside one."""
    here = Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "-C", here, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "-C", here, "status", "--porcelain", "-uno", "."], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("-dirty" if changed.strip() else "")

"""What a run folder says of its run: settings, provenance and curves."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from sarl_training.errors import DataRefused, UsageError
from sarl_training.run_folder import RunFolder

NOT_TERMS = frozenset({
    "step", "epoch", "time", "lr", "images_per_second", "feature_std", "effective_rank", "collapsed", "memory_peak_mb",
})  # fmt: skip
GRADIENT = "gradient/"
PROBE = "probe/"


class Curve(NamedTuple):
    """One measured quantity over the run; both arrays have as many entries as it was measured."""

    epoch: np.ndarray
    value: np.ndarray


@dataclass(frozen=True)
class RunRecord:
    """One run as it lies on disk."""

    path: Path
    config: dict[str, Any]
    origin: dict[str, Any]
    curves: dict[str, Curve]

    @property
    def name(self) -> str:
        return self.path.resolve().name

    def names(self, prefix: str) -> list[str]:
        """Curves whose names start with `prefix`, in the order of logging."""
        return [name for name in self.curves if name.startswith(prefix)]

    def terms(self) -> list[str]:
        """Curves of the loss and its terms, in the order of logging."""
        return [name for name in self.curves if name not in NOT_TERMS and "/" not in name]

    def last(self, name: str) -> float | None:
        """The last measured value."""
        return float(self.curves[name].value[-1]) if name in self.curves else None

    @property
    def epochs_done(self) -> float:
        """How far the run came."""
        return max((float(curve.epoch[-1]) for curve in self.curves.values()), default=0.0)


def read_run(path: Path) -> RunRecord:
    """Read a run folder. Raises UsageError when it holds no run, DataRefused when its files are spoilt."""
    folder = RunFolder(path)
    if not folder.config_file.exists():
        raise UsageError(f"{path}: no run (no {folder.config_file.name}); give run folders of `sarl-train pretrain`")
    try:
        config = yaml.safe_load(folder.config_file.read_text(encoding="utf-8"))
        origin = json.loads(folder.origin_file.read_text(encoding="utf-8")) if folder.origin_file.exists() else {}
    except (yaml.YAMLError, ValueError) as error:
        raise DataRefused(
            f"{path}: its settings or provenance cannot be read ({str(error).splitlines()[0]}); restore them"
        ) from error
    if not isinstance(config, dict) or not isinstance(origin, dict):
        raise DataRefused(f"{path}: {folder.config_file.name} holds no settings; restore it")
    if "method_name" not in config:
        raise UsageError(
            f"{path}: not a run of `sarl-train pretrain` ({folder.config_file.name} names no method); of a run of "
            "`sarl-train supervise`, read supervise.json"
        )
    return RunRecord(path, config, origin, _read_curves(folder.metrics_file))


def _read_curves(file: Path) -> dict[str, Curve]:
    """Finite numbers by name; a line that an interruption cut is left out."""
    points: dict[str, list[tuple[float, float]]] = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        try:
            values = json.loads(line)
            epoch = float(values["epoch"])
        except (ValueError, KeyError, TypeError):
            continue
        for name, value in values.items():
            if isinstance(value, int | float) and np.isfinite(value):
                points.setdefault(name, []).append((epoch, value))
    return {name: Curve(*np.array(pairs, float).T) for name, pairs in points.items()}

"""Where the numbers of a run are shown while it goes on: TensorBoard always, W&B and MLflow when asked for.

Neither asks the network unless the user's own environment says so (WANDB_MODE, MLFLOW_TRACKING_URI): they write below
the run folder, from where `wandb sync` or `mlflow ui` take it.
"""

import importlib
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol

from torch.utils.tensorboard import SummaryWriter

from sarl_training.errors import UsageError

TrackerName = Literal["wandb", "mlflow"]
PROJECT = "sarl"
NOT_MEASURED = frozenset({"step", "epoch", "time"})


class _Tracker(Protocol):
    def log(self, step: int, values: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class Trackers:
    """All trackers of a run as one. A context manager: they are closed whatever ends the run."""

    def __init__(
        self, folder: Path, config: Mapping[str, Any], names: Sequence[TrackerName], history: Iterable[Mapping] = ()
    ) -> None:
        """Start, or go on from `history`, lines of metrics.jsonl; `config` is the run's settings as plain values.

        Raises UsageError when a tracker is not installed.
        """
        modules = require(names)
        flat = _flat(config)
        self._trackers: list[_Tracker] = [_TensorBoard(folder, history)]
        self._trackers += [_TRACKERS[name](module, folder, flat) for name, module in modules.items()]

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Show the values that belong to `step`."""
        for tracker in self._trackers:
            tracker.log(step, values)

    def close(self) -> None:
        """Finish all of them."""
        for tracker in self._trackers:
            tracker.close()

    def __enter__(self) -> "Trackers":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def require(names: Sequence[TrackerName]) -> dict[TrackerName, ModuleType]:
    """The trackers' packages; UsageError naming the first that is not installed. To be asked before the work begins."""
    modules = {}
    for name in names:
        try:
            modules[name] = importlib.import_module(name)
        except ImportError as error:
            raise UsageError(
                f"--trackers {name}: the package {name} is not installed ({error}); pip install {name}, or leave it out"
            ) from error
    return modules


class _TensorBoard:
    """Its files are written anew when a run is resumed: a killed process leaves them without their last values."""

    def __init__(self, folder: Path, history: Iterable[Mapping]) -> None:
        shutil.rmtree(folder / "tensorboard", ignore_errors=True)
        self._writer = SummaryWriter(folder / "tensorboard")
        for line in history:
            values = {name: value for name, value in line.items() if name not in NOT_MEASURED}
            self.log(line["step"], values, line.get("time"))

    def log(self, step: int, values: Mapping[str, float], time_s: float | None = None) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step, walltime=time_s)

    def close(self) -> None:
        self._writer.close()


class _WandB:
    """One W&B run per start of training; offline unless WANDB_MODE says otherwise."""

    def __init__(self, wandb: ModuleType, folder: Path, config: Mapping[str, Any]) -> None:
        name = folder.resolve().name
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT), name=name, dir=str(folder), config=dict(config),
            mode=os.environ.get("WANDB_MODE", "offline"),
        )  # fmt: skip

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()


class _MLflow:
    """One MLflow run per start of training; a database in the run folder unless MLFLOW_TRACKING_URI says otherwise."""

    def __init__(self, mlflow: ModuleType, folder: Path, config: Mapping[str, Any]) -> None:
        self._mlflow = mlflow
        if "MLFLOW_TRACKING_URI" not in os.environ:
            mlflow.set_tracking_uri(f"sqlite:///{folder.resolve() / 'mlflow.db'}")
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        if mlflow.get_experiment_by_name(name) is None:  # its own place for artifacts would be the current folder
            mlflow.create_experiment(name, artifact_location=(folder.resolve() / "mlartifacts").as_uri())
        mlflow.set_experiment(name)
        mlflow.start_run(run_name=folder.resolve().name)
        mlflow.log_params(dict(config))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._mlflow.log_metrics({name: float(value) for name, value in values.items()}, step=step)

    def close(self) -> None:
        self._mlflow.end_run()


_TRACKERS = {"wandb": _WandB, "mlflow": _MLflow}


def _flat(config: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Nested settings under dotted names."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= _flat(value, f"{where}{key}.") if isinstance(value, Mapping) else {f"{where}{key}": value}
    return flat

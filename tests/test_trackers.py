"""Trackers: the same numbers everywhere, nothing asked of the network, a missing package named before the work."""

import sys
import types
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sarl_training.errors import UsageError
from sarl_training.trackers import Trackers, require

CONFIG = {"epochs": 2, "method": {"name": "sarl", "weights": [1, 2]}}


def scalars(folder: Path, name: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def fake(calls: list[tuple]) -> types.SimpleNamespace:
    """A module that records every call; what is called gives itself back."""

    class Recorder(types.SimpleNamespace):
        def __getattr__(self, name: str):
            def call(*args: object, **kwargs: object) -> "Recorder":
                calls.append((name, args, kwargs))
                return self

            return call

    return Recorder()


def test_tensorboard_is_always_there_and_forgets_what_comes_again(tmp_path: Path) -> None:
    with Trackers(tmp_path, CONFIG, ()) as trackers:
        trackers.log(10, {"loss": 2.0, "probe/score": 0.5})
        trackers.log(20, {"loss": 1.0})
    with Trackers(tmp_path, CONFIG, (), [{"step": 10, "time": 7.0, "loss": 2.0, "probe/score": 0.5}]) as trackers:
        trackers.log(20, {"loss": 1.5})
    assert scalars(tmp_path, "loss") == [(10, 2.0), (20, 1.5)] and scalars(tmp_path, "probe/score") == [(10, 0.5)]


def test_wandb_gets_everything_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple] = []
    monkeypatch.setitem(sys.modules, "wandb", fake(calls))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    with Trackers(tmp_path / "run7", CONFIG, ("wandb",)) as trackers:
        trackers.log(10, {"loss": 2.0})
    (init, _, settings), log, finish = calls
    assert init == "init" and settings["mode"] == "offline" and settings["name"] == "run7"
    assert settings["dir"] == str(tmp_path / "run7")
    assert settings["config"] == {"epochs": 2, "method.name": "sarl", "method.weights": [1, 2]}
    assert log == ("log", ({"loss": 2.0},), {"step": 10}) and finish[0] == "finish"


def test_mlflow_gets_everything_in_the_run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple] = []
    monkeypatch.setitem(sys.modules, "mlflow", fake(calls))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(KeyboardInterrupt), Trackers(tmp_path, CONFIG, ("mlflow",)) as trackers:
        trackers.log(10, {"gradient/global": 2})
        raise KeyboardInterrupt
    assert [name for name, _, _ in calls] == [
        "set_tracking_uri", "get_experiment_by_name", "set_experiment", "start_run", "log_params", "log_metrics",
        "end_run",
    ]  # fmt: skip
    assert calls[0][1] == (f"sqlite:///{tmp_path / 'mlflow.db'}",)
    assert calls[5][1:] == (({"gradient/global": 2.0},), {"step": 10})


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_missing_package_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=f"--trackers {name}: .* pip install {name}, or leave it out") as refused:
        require((name,))
    assert "\n" not in str(refused.value)

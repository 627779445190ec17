"""A killed run that is resumed is the run that was never stopped: bit for bit on the CPU, for every method."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_methods import small_flags
from state_comparison import assert_same
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_dataset import bar_image

from sarl_training import atomic_file, pretrain
from sarl_training.methods import METHODS
from sarl_training.networks import BEST_ENCODER_FILE, ENCODER_FILE, load_encoder
from sarl_training.pretraining import Pretraining
from sarl_training.run_folder import RunFolder
from sarl_training.run_log import RunLog

BATCH, STEPS_PER_EPOCH = 8, 2
UNLIKE = {"time", "images_per_second", "memory_peak_mb"}  # what two runs of the same may differ in
KILLS = 2  # one after the other, of one run


class Killed(BaseException):
    """Stands in for the signal: nothing in the program catches it."""


class Executioner:
    """Raises Killed at a moment: before or after a step, a logged line, or a file's taking its name."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.armed, self.moments, self.at = False, 0, -1
        patch.setattr(Pretraining, "take_step", self.watched(Pretraining.take_step))
        patch.setattr(RunLog, "log", self.watched(RunLog.log))
        patch.setattr(atomic_file.os, "replace", self.watched(os.replace))
        train = Pretraining.train

        def armed_train(loop: Pretraining) -> None:
            self.armed = True
            try:
                train(loop)
            finally:
                self.armed = False

        patch.setattr(Pretraining, "train", armed_train)

    def watched(self, function: Callable) -> Callable:
        def call(*args: object, **kwargs: object) -> object:
            self.moment()
            result = function(*args, **kwargs)
            self.moment()
            return result

        return call

    def moment(self) -> None:
        if self.armed:
            self.moments += 1
            if self.moments == self.at:
                raise Killed


class ChangeableProbe:
    """Gives the encoder a score that goes up and down, so that best and last differ."""

    def __init__(self, *_: object) -> None: ...

    def measure(self, encoder: torch.nn.Module) -> dict[str, float]:
        return {"probe/score": float(encoder.stem[0].weight.detach().double().sum() * 1e4 % 1)}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for index in range(BATCH * STEPS_PER_EPOCH + 3):
        Image.fromarray(bar_image(*rng.uniform((-1, -45), (1, 45)))).save(folder / f"{index:03d}.png")
    return folder


@pytest.fixture
def executioner(monkeypatch: pytest.MonkeyPatch) -> Executioner:
    """Also makes what is not tested here cheap: waiting for the disk, and the report."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    monkeypatch.setattr(pretrain, "_report", lambda folder: None)
    monkeypatch.setattr(pretrain, "OnlineProbe", ChangeableProbe)
    return Executioner(monkeypatch)


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    """A folder that goes with the test: checkpoints are large."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def words(method: str, images: Path, out: Path, epochs: int = 2) -> list[str]:
    common = f"--image-size 32 --batch-size {BATCH} --epochs {epochs} --log-every 3 --probe-every 1 --device cpu"
    return [method, "--data", str(images), "--out", str(out), *common.split(), *small_flags(method)]


def start(method: str, images: Path, out: Path) -> None:
    pretrain.run(pretrain.parse(words(method, images, out)))


def resume(method: str, out: Path) -> None:
    pretrain.run(pretrain.parse([method, "--out", str(out), "--resume"]))


def killed_at(executioner: Executioner, moment: int, run: Callable[[], None]) -> bool:
    """Run until so many moments have passed; whether it was not over by then."""
    executioner.moments, executioner.at = 0, moment
    try:
        run()
    except Killed:
        return True
    finally:
        executioner.at = -1
    return False


def scalars(out: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    return {
        tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"] if tag not in UNLIKE
    }


def story(out: Path) -> list[dict]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in UNLIKE} for line in lines]


def assert_same_runs(straight: Path, broken: Path) -> None:
    cpu = torch.device("cpu")
    assert_same(RunFolder(straight).load_checkpoint(cpu), RunFolder(broken).load_checkpoint(cpu))
    for file in (ENCODER_FILE, BEST_ENCODER_FILE):
        if file == BEST_ENCODER_FILE and not (straight / file).exists():
            assert not (broken / file).exists()
            continue
        (left, left_data), (right, right_data) = (load_encoder(run / file) for run in (straight, broken))
        assert_same(left.state_dict(), right.state_dict(), file)
        assert left_data["steps"] == right_data["steps"], file
    assert story(straight) == story(broken)
    assert scalars(straight) == scalars(broken)


def check_kills(method: str, images: Path, out: Path, executioner: Executioner, rounds: int) -> None:
    straight = out / "straight"
    start(method, images, straight)
    moments, rng = executioner.moments, np.random.default_rng(sorted(METHODS).index(method))
    assert moments > 20
    for number in range(rounds):
        broken = out / f"broken{number}"
        at = rng.integers(1, moments + 1, KILLS).tolist()
        assert killed_at(executioner, at[0], lambda: start(method, images, broken))  # noqa: B023 - called at once
        for moment in at[1:]:
            killed_at(executioner, moment, lambda: resume(method, broken))  # noqa: B023
        resume(method, broken)
        assert_same_runs(straight, broken)
        shutil.rmtree(broken)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_killed_twice_ends_as_if_never_stopped(
    method: str, images: Path, out: Path, executioner: Executioner
) -> None:
    check_kills(method, images, out, executioner, rounds=1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("method", METHODS)
def test_two_hundred_kills_change_nothing(method: str, images: Path, out: Path, executioner: Executioner) -> None:
    """20 of each of ten methods."""
    check_kills(method, images, out, executioner, rounds=10)


def check_signal(method: str, images: Path, out: Path, seconds: float) -> None:
    """kill -9 of the real command, so many seconds after its first line of metrics."""
    straight, broken, epochs = out / "straight", out / "broken", 4
    command = [sys.executable, "-m", "sarl_training", "pretrain", *words(method, images, broken, epochs)]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    try:
        while not (broken / "metrics.jsonl").exists() and process.poll() is None:
            time.sleep(0.02)
        time.sleep(seconds)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    resume(method, broken)
    pretrain.run(pretrain.parse(words(method, images, straight, epochs)))
    assert_same_runs(straight, broken)


def test_a_killed_process_is_resumed_exactly(images: Path, out: Path) -> None:
    check_signal("sarl", images, out, seconds=0.3)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "seconds"), [("swav", 0.0), ("densecl", 0.6), ("byol", 1.2), ("minc", 0.1)])
def test_killed_processes_are_resumed_exactly(method: str, seconds: float, images: Path, out: Path) -> None:
    check_signal(method, images, out, seconds)

"""The probe that runs during pretraining: against NumPy, on train and val only, and the run is none the wiser."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_dataset import bar_image, write_dataset
from torch import nn

from sarl_training import online_probe
from sarl_training.dataset import Dataset
from sarl_training.networks import Encoder, Features
from sarl_training.online_probe import OnlineProbe

CPU = torch.device("cpu")


class Pixels(nn.Module):
    """An encoder that says an 8×8 grid of mean colours: enough to know where the bar is."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x_BCHW: torch.Tensor) -> Features:
        assert not self.training
        self.calls += 1
        return Features(nn.functional.adaptive_avg_pool2d(x_BCHW, 8).flatten(1), {})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("probe") / "data", {"edge_pose": 200, "shape": 100, "force": 100})


def test_it_measures_val_as_numpy_does(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online_probe, "PROBED", ("edge_pose",))
    probe, encoder = OnlineProbe(Dataset.open(data), "vitactip", 32, CPU), Pixels().train()
    found = probe.measure(encoder)
    assert encoder.training, "the encoder's mode is given back"

    (fold,) = probe.folds
    x = (fold.images.astype(float).reshape(-1, 8, 4, 8, 4, 3).mean((2, 4)).transpose(0, 3, 1, 2) / 127.5 - 1).reshape(
        len(fold.images), -1
    )
    y, train = fold.labels_N.numpy(), fold.train
    fit, choose = np.arange(train)[np.arange(train) % 5 != 0], np.arange(0, train, 5)
    mean, std = x[fit].mean(0), x[fit].std(0)
    z = (x - mean) / np.sqrt(std**2 + 0.01 * (std**2).mean())
    centre, spread = y[fit].mean(0), y[fit].std(0)
    unit = np.linalg.eigvalsh(z[fit] @ z[fit].T)
    unit = unit[unit > 1e-10 * unit.max()].mean()
    answers = []
    for power in np.arange(-12, 7) / 2:
        weight = np.linalg.solve(
            z[fit].T @ z[fit] + unit * 10**power * np.eye(z.shape[1]), z[fit].T @ ((y[fit] - centre) / spread)
        )
        answers.append(z @ weight)
    best = min(answers, key=lambda a: ((a[choose] - (y[choose] - centre) / spread) ** 2).mean())
    error = np.abs(best[train:] * spread + centre - y[train:]).mean(0)
    assert [found[f"probe/edge_pose/{name}"] for name in ("x_mm", "z_mm", "theta_deg")] == pytest.approx(
        error, rel=1e-4
    )
    baseline = np.abs(y[:train].mean(0) - y[train:]).mean(0)
    assert found["probe/score"] == pytest.approx((1 - error / baseline).mean(), rel=1e-4)
    assert error[0] < 0.3 * baseline[0], "the place of the bar is in the pixels"


def test_shapes_are_told_apart_and_the_score_is_the_mean_of_the_tasks(data: Path) -> None:
    found = OnlineProbe(Dataset.open(data), "vitactip", 32, CPU).measure(Pixels())
    assert set(found) == {
        "probe/edge_pose/x_mm", "probe/edge_pose/z_mm", "probe/edge_pose/theta_deg", "probe/shape/top1", "probe/score",
    }  # fmt: skip
    assert found["probe/shape/top1"] == 1.0 and 0 < found["probe/score"] < 1


def test_no_test_image_is_opened(data: Path) -> None:
    dataset = Dataset.open(data)
    for task in online_probe.PROBED:
        for image in dataset.table(task, "vitactip").part("test").images:
            image.write_bytes(b"no picture")
    assert OnlineProbe(dataset, "vitactip", 24, CPU).measure(Pixels())


def test_a_run_is_as_without_the_probe(data: Path) -> None:
    torch.manual_seed(0)
    probe, encoder = OnlineProbe(Dataset.open(data), "vitactip", 32, CPU), Encoder().train()
    before, state = torch.random.get_rng_state(), {k: v.clone() for k, v in encoder.state_dict().items()}
    first, second = probe.measure(encoder), probe.measure(encoder)
    assert first == second and torch.equal(before, torch.random.get_rng_state()) and encoder.training
    assert all(torch.equal(value, state[name]) for name, value in encoder.state_dict().items())


def test_images_are_bounded_and_always_the_same(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online_probe, "TRAIN_IMAGES", 60)
    monkeypatch.setattr(online_probe, "VAL_IMAGES", 40)
    folds = [OnlineProbe(Dataset.open(data), "vitactip", 32, CPU).folds[0] for _ in range(2)]
    assert len(folds[0].images) == 50 and folds[0].train == 30
    assert np.array_equal(folds[0].images, folds[1].images)


def test_without_labels_it_is_off_and_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "flat").mkdir()
    Image.fromarray(bar_image(0, 0)).save(tmp_path / "flat" / "a.png")
    few = write_dataset(tmp_path / "few", {"edge_pose": 10})
    for folder, lack in ((tmp_path / "flat", "has no labels"), (few, "fewer than 20 train or val images")):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            probe = OnlineProbe(Dataset.open(folder), "vitactip", 32, CPU)
            assert probe.measure(Pixels()) == {} == probe.measure(Pixels())
        assert caplog.text.count("online probe: off") == 1 and lack in caplog.text

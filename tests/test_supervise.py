"""`sarl-train supervise` through the real command line: it learns, chooses on val, resumes exactly and says no."""

import json

import cv2
import numpy as np
import pytest
import torch
from tiny_dataset import write_dataset

from sarl_training import simulate, supervised_run, unit_offsets
from sarl_training.cli import main
from sarl_training.networks import load_encoder
from sarl_training.simulate import SimulateConfig
from sarl_training.supervised_run import SupervisedNetwork, SupervisedRun
from sarl_training.tasks import TASKS

WORDS = ["--image-size", "32", "--batch-size", "12", "--device", "cpu", "--precision", "float32"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("supervise") / "data", {"edge_pose": 60, "material": 45})


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished") / "out"
    assert main(["supervise", "--data", str(data), "--out", str(out), "--epochs", "8", *WORDS]) == 0
    return out


def test_it_learns_both_kinds_of_task(finished):
    record = json.loads((finished / "supervise.json").read_text())
    assert record["simulated"] is True and record["commit"] and record["config"]["seed"] == 0
    pose, material = record["tasks"]["edge_pose"], record["tasks"]["material"]
    assert set(pose["supervised"]["test"]) >= {"x_mm", "z_mm", "theta_deg", "mean"}
    assert pose["supervised"]["test"]["x_mm"] < 0.7 * pose["mean"]["test"]["x_mm"]
    assert material["supervised"]["test"]["top1"] > material["mean"]["test"]["top1"] + 0.2
    assert pose["count"] == {"train": 36, "val": 12, "test": 12}


def test_the_epoch_with_the_least_val_error_is_kept(finished):
    for task in ("edge_pose", "material"):
        lines = [json.loads(line) for line in (finished / task / "metrics.jsonl").read_text().splitlines()]
        errors = [line["val_error"] for line in lines]
        assert len(errors) == 8
        chosen = json.loads((finished / task / "result.json").read_text())["chosen"]
        assert chosen == {"epoch": int(np.argmin(errors)) + 1, "val_error": min(errors)}
        assert not (finished / task / "checkpoints").exists()
        assert cv2.imread(str(finished / task / "predictions.png")).std() > 10


def test_probe_reads_the_encoder(finished, data, tmp_path):
    encoder, metadata = load_encoder(finished / "edge_pose")
    assert not encoder.training
    assert (metadata["image_size"], metadata["method"]) == ("32", "supervised on edge_pose")
    words = ["probe", "--encoder", finished / "edge_pose", "--data", data, "--out", tmp_path, "--tasks", "material"]
    assert main([str(word) for word in words]) == 0


def test_a_resumed_run_is_the_same_run(data, tmp_path, monkeypatch, capsys):
    """Killed once in each task, one of them before its first checkpoint."""
    words = ["supervise", "--data", str(data), "--epochs", "2", *WORDS]
    assert main([*words, "--out", str(tmp_path / "whole")]) == 0
    epochs = []
    epoch = SupervisedRun._epoch

    def interrupted(self, log):
        epochs.append(1)
        if len(epochs) in (2, 4):
            raise KeyboardInterrupt
        return epoch(self, log)

    monkeypatch.setattr(supervised_run, "CHECKPOINT_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(SupervisedRun, "_epoch", interrupted)
        assert main([*words, "--out", str(tmp_path / "cut")]) == 1
        assert "--resume" in capsys.readouterr().err.splitlines()[-1]
        assert main(["supervise", "--out", str(tmp_path / "cut"), "--resume"]) == 1
    assert main(["supervise", "--out", str(tmp_path / "cut"), "--resume"]) == 0
    for task in ("edge_pose", "material"):
        whole, cut = (json.loads((tmp_path / out / task / "result.json").read_text()) for out in ("whole", "cut"))
        assert whole == cut
        weights = [load_encoder(tmp_path / out / task)[0].state_dict() for out in ("whole", "cut")]
        assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_targets_are_standardised_on_train():
    labels = torch.tensor([[1.0, 10.0, -5.0], [3.0, 30.0, 5.0]])
    network = SupervisedNetwork(TASKS["edge_pose"], labels, 0)
    assert network.mean_D.tolist() == [2, 20, 0]
    assert network.std_D.tolist() == [1, 10, 5]
    off = labels + torch.tensor([1.0, 10.0, 5.0])
    assert network.loss(off, labels).item() == pytest.approx(1)
    assert network.error(off, labels) == pytest.approx(1)
    constant = network.eval()(torch.zeros(1, 3, 32, 32))
    assert constant.shape == (1, 3) and constant.dtype == torch.float32


def test_fine_tuning_starts_from_the_encoder_and_trains_what_export_reads(finished, data, tmp_path):
    out, start = tmp_path / "out", finished / "material"
    words = ["supervise", "--data", str(data), "--out", str(out), "--encoder", str(start), "--readout", "spatial"]
    words += ["--tasks", "edge_pose", "--epochs", "12", "--batch-size", "12", "--device", "cpu"]
    assert main(words) == 0
    (old, _), (new, metadata) = load_encoder(start), load_encoder(out / "edge_pose")
    assert metadata["image_size"] == "32"  # the encoder's
    assert metadata["method"] == "supervised on material, fine-tuned on edge_pose"
    distance = {
        layer: max(
            float((was - now).detach().abs().max())
            for was, now in zip(getattr(old, layer).parameters(), getattr(new, layer).parameters(), strict=True)
        )
        for layer in ("stem", "layer1", "layer2", "layer3", "layer4")
    }
    assert distance.pop("layer4") == 0
    assert all(0 < moved < 0.1 for moved in distance.values()), distance
    scores = json.loads((out / "supervise.json").read_text())["tasks"]["edge_pose"]
    assert scores["supervised"]["test"]["x_mm"] < 0.7 * scores["mean"]["test"]["x_mm"]


def test_an_offset_of_a_unit_counts_less_than_as_much_scatter():
    unit_B = torch.tensor([7, 7, 3, 3])
    offset_BD = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]])
    scatter_BD = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
    huber = 1 - unit_offsets.HUBER / 2
    assert unit_offsets.loss(offset_BD, unit_B).item() == pytest.approx(huber)
    assert unit_offsets.loss(scatter_BD, unit_B).item() == pytest.approx((1 + unit_offsets.WITHIN_WEIGHT) * huber)


def test_the_unit_sampler_keeps_units_together_and_sees_every_contact():
    unit_N = np.repeat([4, 9, 2, 5], 6)[np.random.default_rng(0).permutation(24)]
    sampler = unit_offsets.UnitSampler(unit_N, 6, seed=1)
    assert sampler.steps_per_epoch == 4
    epochs = [[sampler.step(4 * epoch + step) for step in range(4)] for epoch in range(2)]
    for number, steps in enumerate(epochs):
        assert [epoch for epoch, _ in steps] == [number] * 4
        assert sorted(np.concatenate([parts[0] for _, parts in steps])) == list(range(24))
        assert all(len(set(unit_N[parts[0]])) == 1 for _, parts in steps)
    assert [list(unit_N[p[0]]) for _, p in epochs[0]] != [list(unit_N[p[0]]) for _, p in epochs[1]]
    again = unit_offsets.UnitSampler(unit_N, 6, seed=1)
    assert np.array_equal(again.step(5)[1][0], epochs[1][1][1][0])


def test_fine_tuning_on_many_units(tmp_path):
    units, out = tmp_path / "units", tmp_path / "out"
    config = SimulateConfig(units, "smoke", ("edge_pose",), image_size=64, units=10, device="cpu")
    simulate.run(config)
    words = ["supervise", "--data", str(units), "--out", str(out), "--unit-offsets", "--readout", "spatial"]
    assert main([*words, "--epochs", "2", *WORDS]) == 0
    assert json.loads((out / "supervise.json").read_text())["config"]["unit_offsets"] is True


def test_a_layer_on_the_maps_answers_the_mean_before_it_learned():
    labels = torch.tensor([[1.0, 10.0, -5.0], [3.0, 30.0, 5.0]])
    network = SupervisedNetwork(TASKS["edge_pose"], labels, 0, readout="spatial").eval()
    assert network(torch.randn(2, 3, 32, 32)).tolist() == [[2, 20, 0], [2, 20, 0]]


@pytest.mark.parametrize(
    ("words", "status", "named"),
    [
        (["--views.flip", "0.5"], 2, "labels of edge_pose would be wrong"),
        (["--views.crop-scale", "0.5", "1"], 2, "crop-scale (0.5, 1.0)"),
        (["--batch-size", "50"], 2, "more than the 36 train images of edge_pose"),
        (["--tasks", "smell"], 2, "smell"),
        (["--image-size", "7"], 2, "--image-size 7"),
        (["--epochs", "0"], 2, "--epochs 0"),
        (["--data", "nowhere"], 3, "nowhere"),
        (["--encoder", "nothing"], 3, "nothing"),
        (["--unit-offsets", "--tasks", "edge_pose"], 3, "no simulated units, at least 8"),
        (["--unit-offsets", "--tasks", "material"], 2, "material has classes"),
        (["--resume"], 2, "no run to resume"),
    ],
)
def test_bad_words_are_refused_in_one_line_and_nothing_is_written(data, tmp_path, capsys, words, status, named):
    out = tmp_path / "out"
    assert main(["supervise", "--data", str(data), "--out", str(out), *WORDS, *words]) == status
    message = capsys.readouterr().err.strip()
    assert named in message and "\n" not in message
    assert not out.exists()


def test_a_folder_in_use_and_a_changed_setting_are_refused(finished, data, capsys):
    words = ["supervise", "--data", str(data), "--out", str(finished), "--epochs", "8", *WORDS]
    assert main(words) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert main(["supervise", "--out", str(finished), "--resume", "--seed", "3"]) == 2
    assert "seed: 0 recorded, 3 asked for" in capsys.readouterr().err


def test_a_budget_of_labels_and_the_predictions_on_test(data, tmp_path):
    out = tmp_path / "out"
    words = ["supervise", "--data", str(data), "--out", str(out), "--epochs", "1", "--tasks", "edge_pose"]
    assert main([*words, "--labels", "20", *WORDS]) == 0
    record = json.loads((out / "supervise.json").read_text())["tasks"]["edge_pose"]
    assert record["count"] == {"train": 15, "val": 5, "test": 12}
    with np.load(out / "edge_pose" / "predictions.npz") as file:
        errors = np.abs(file["predicted"] - file["true"]).mean(0)
    assert errors[0] == pytest.approx(record["supervised"]["test"]["x_mm"], rel=1e-4)
    assert main([*words[:4], str(tmp_path / "other"), "--labels", "400", *WORDS]) == 2

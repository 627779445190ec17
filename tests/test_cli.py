"""The real command line, as a user types it, from simulate to export; then the robot's estimator on the file."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import robot_side  # noqa: F401  (makes sarl_perception importable)
from sarl_perception.estimator import TactileEstimator

from sarl_training import demo
from sarl_training.cli import VERBS, main
from sarl_training.dataset import Dataset, load_images
from sarl_training.errors import UsageError
from sarl_training.tasks import TASKS


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder with `data`, a pretrained `run`, its `probe` and `model.onnx`, all tiny."""
    root = tmp_path_factory.mktemp("cli")
    data, run, model = root / "data", root / "run", root / "model.onnx"
    commands = [
        [
            "simulate",
            "--out",
            data,
            "--suite",
            "smoke",
            "--tasks",
            "edge_pose",
            "contact",
            "material",
            "--image-size",
            64,
        ],
        ["pretrain", "sarl", "--data", data, "--out", run, "--image-size", 32, "--epochs", 1, "--batch-size", 16],
        ["probe", "--encoder", run, "--data", data, "--out", root / "probe", "--tasks", "edge_pose"],
        ["export", "--encoder", run, "--data", data, "--out", model],
    ]
    for words in commands:
        assert main([str(word) for word in words]) == 0, words
    return root


def test_probe_reports_every_axis_beside_random_init_and_mean(finished):
    record = json.loads((finished / "probe" / "probe.json").read_text())
    scores = record["tasks"]["edge_pose"]
    assert record["simulated"] is True and record["commit"] and record["seed"] == 0
    for model in ("encoder", "random_init", "mean"):
        assert {"x_mm", "z_mm", "theta_deg", "mean"} <= set(scores[model]["test"])
    assert list((finished / "probe").glob("*.png"))


def test_the_robot_reads_the_file_in_si_units(finished):
    estimator = TactileEstimator(finished / "model.onnx", sensor="vitactip")
    table = Dataset.open(finished / "data").table("edge_pose", "vitactip", TASKS["edge_pose"].columns)
    estimate = estimator.estimate(np.array(load_images(table.images[:1], 64)[0]))
    x_m, z_m, theta_rad = estimate["edge_pose"]
    assert abs(x_m) < 0.05 and abs(z_m) < 0.05 and abs(theta_rad) < 4
    covariance = estimate.covariance("edge_pose")
    assert np.allclose(covariance, covariance.T) and (np.linalg.eigvalsh(covariance) > 0).all()
    assert sum(estimate.classes("material_probabilities").values()) == pytest.approx(1, abs=1e-4)
    assert 0 <= estimate.contact_probability <= 1


def test_the_installed_command_lists_every_verb():
    result = subprocess.run(
        [sys.executable, "-m", "sarl_training", "--help"], capture_output=True, text=True, check=True
    )
    assert all(verb in result.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", ["simulate", "probe", "export", "demo"])
def test_help_names_the_flags(verb, capsys):
    assert main([verb, "--help"]) == 0
    assert "--out" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "status", "named"),
    [
        (["juggle"], 2, "juggle"),
        (["pretrain", "mae", "--data", "{root}/data", "--out", "{root}/x"], 2, "mae"),
        (["pretrain", "sarl", "--data", "{root}/nowhere", "--out", "{root}/x"], 3, "nowhere"),
        (["pretrain", "sarl", "--data", "{root}/data", "--out", "{root}/x", "--image-size", "7"], 2, "--image-size 7"),
        (["pretrain", "sarl", "--data", "{root}/data", "--out", "{root}/x", "--epoch", "2"], 2, "--epoch"),
        (
            ["probe", "--encoder", "{root}/run", "--data", "{root}/data", "--out", "{root}/x", "--tasks", "smell"],
            2,
            "smell",
        ),
        (["pretrain", "sarl", "--data", "{root}/data", "--out", "{root}/x", "--seed", "-1"], 2, "--seed -1"),
        (["simulate", "--out", "{root}/x", "--seed", str(2**31)], 2, "from 0 to 2147483647"),
        (["simulate", "--out", "{root}/x", "--seed", "1.5"], 2, "--seed: '1.5' is no whole number"),
        (["transfer", "--data", "{root}/data", "--out", "{root}/x", "--lr", "fast"], 2, "--lr: 'fast' is no number"),
        (["pretrain", "sarl", "--data", "{root}/data", "--out", "{root}/x", "--optim.lr", "nan"], 2, "--optim.lr nan"),
        (
            ["pretrain", "sarl", "--data", "{root}/data", "--out", "{root}/x", "--views.crop-scale", "inf", "1"],
            2,
            "--views",
        ),
        (["pretrain", "sarl", "--data", "{root}/model.onnx", "--out", "{root}/x"], 3, "a file, not a folder"),
        (["probe", "--encoder", "{root}/model.onnx", "--data", "{root}/data", "--out", "{root}/x"], 3, "exported from"),
        (["demo", "--out", "{root}/x", "--seed", "-1"], 2, "from 0 to 2147483647"),
        (["simulate", "--out", "{root}/x", "--suite", "tiny"], 2, "sarl-train: invalid choice 'tiny'"),
        (["simulate", "--out", "{root}/run/config.yaml/x", "--suite", "smoke"], 2, "config.yaml is a file"),
        (["pretrain", "sarl", "--data", "{root}/data", "--out", "{root}/data"], 2, "is in the folder of --data"),
        (["supervise", "--data", "{root}/data", "--out", "{root}/data"], 2, "is in the folder of --data"),
        (["pretrain", "sarl", "--data", "{root}/data", "--out", "{root}/model.onnx/x"], 2, "model.onnx is a file"),
        (
            ["export", "--encoder", "{root}/run", "--data", "{root}/data", "--out", "{root}/model.onnx/x.onnx"],
            2,
            "model.onnx is a file",
        ),
        (
            ["pretrain", "sarl", "--data", "{root}/data", "--out", "{root}/x", "--batch-size", "many"],
            2,
            "could be instantiated from ['many']; see sarl-train pretrain sarl --help",
        ),
        (["probe", "--encoder", "{root}/none", "--data", "{root}/data", "--out", "{root}/x"], 3, "none"),
        (["export", "--encoder", "{root}/run", "--data", "{root}/data", "--out", "{root}/x.pt"], 2, ".onnx"),
    ],
)
def test_bad_input_is_refused_in_one_line_and_writes_nothing(finished, capsys, words, status, named):
    before = sorted(finished.iterdir())
    assert main([word.format(root=finished) for word in words]) == status
    error = capsys.readouterr().err.strip().splitlines()
    assert named in error[-1] and error[-1].startswith("sarl-train: ")
    assert len([line for line in error if line.startswith("sarl-train:")]) == 1
    assert sorted(finished.iterdir()) == before


def test_demo_removes_nothing_that_no_demo_made(tmp_path):
    mine = tmp_path / "runs" / "data" / "mine.csv"
    mine.parent.mkdir(parents=True)
    mine.write_text("x")
    (tmp_path / "runs" / "summary.json").write_text("{}")
    with pytest.raises(UsageError, match="no demo made"):
        demo.clear(tmp_path / "runs")
    assert mine.exists()

    demo.clear(tmp_path / "demo")
    (tmp_path / "demo" / "data").mkdir()
    demo.clear(tmp_path / "demo")
    assert not (tmp_path / "demo" / "data").exists()


def test_an_empty_folder_is_refused(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    words = ["pretrain", "byol", "--data", str(tmp_path / "empty"), "--out", str(tmp_path / "run")]
    assert main(words) == 3
    assert "no images" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_gone_is_no_error_to_speak_of(unbuffered):
    """As in `sarl-train ... | head`."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "sarl_training", "--help"]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    result = subprocess.run(command, check=False, stdout=write, stderr=subprocess.PIPE, text=True, env=environment)
    os.close(write)
    assert (result.returncode, result.stderr) == (1, "")

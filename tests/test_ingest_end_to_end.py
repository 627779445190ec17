"""A task that nobody here thought of, from a foreign layout to the robot's estimator, by the real command line."""

import json

import foreign_layouts as layouts
import numpy as np
import pytest
import robot_side  # noqa: F401  (makes sarl_perception importable)
from sarl_perception.estimator import TactileEstimator

from sarl_training.cli import main
from sarl_training.dataset import Dataset, load_images


def sarl_train(*words: object) -> None:
    assert main([str(word) for word in words]) == 0, words


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder with `data` (named axes), `tools` (classes), a `run`, a probe of each and `data.onnx`."""
    root = tmp_path_factory.mktemp("free")
    layouts.bristol(root / "source")
    layouts.class_folders(root / "classes")
    words = ["--task", "lean", "--axes", "depth=pose_z:mm", "roll=pose_Rx:deg"]
    sarl_train("ingest", "bristol", root / "source", "--out", root / "data", *words)
    words = ["--task", "tool", "--sensor", "tactip"]
    sarl_train("ingest", "class_folders", root / "classes", "--out", root / "tools", *words)
    words = ["--image-size", 32, "--epochs", 1, "--batch-size", 16, "--sensor", "tactip"]
    sarl_train("pretrain", "byol", "--data", root / "data", "--out", root / "run", *words)
    words = ["--encoder", root / "run", "--sensor", "tactip"]
    for name in ("data", "tools"):
        sarl_train("probe", *words, "--data", root / name, "--out", root / f"probe_{name}")
    sarl_train("export", *words, "--data", root / "data", "--out", root / "data.onnx")
    return root


def test_the_probe_names_the_axes_in_their_units(finished):
    record = json.loads((finished / "probe_data" / "probe.json").read_text())
    assert record["simulated"] is False
    assert {"depth_mm", "roll_deg", "mean"} <= set(record["tasks"]["lean"]["encoder"]["test"])
    assert (finished / "probe_data" / "lean.png").exists()
    assert (
        "top1" in json.loads((finished / "probe_tools" / "probe.json").read_text())["tasks"]["tool"]["encoder"]["test"]
    )


def test_the_robot_reads_named_axes_in_si_units(finished):
    estimator = TactileEstimator(finished / "data.onnx", sensor="tactip")
    output = estimator.contract.outputs["lean"]
    assert (output.kind, output.axes, output.unit) == ("vector", ("depth", "roll"), ("m", "rad"))
    table = Dataset.open(finished / "data").table("lean", "tactip", ["depth_mm", "roll_deg"])
    estimate = estimator.estimate(np.array(load_images(table.images[:1], 32)[0]))
    assert estimate["lean"].shape == (2,) and np.all(np.abs(estimate["lean"]) < [0.02, 2.0])
    assert np.all(np.linalg.eigvalsh(estimate.covariance("lean")) > 0)
    card = (finished / "data.md").read_text()
    assert "| lean | depth |" in card and "| mm |" in card

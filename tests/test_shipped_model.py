"""The models in models/ do what their cards say: they load, fit the contract and read fresh simulated contacts."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import robot_side
import torch
from sarl_perception.estimator import TactileEstimator

from sarl_training.contract import METADATA_KEY, check_contract
from sarl_training.simulate import SimulateConfig, render_samples
from sarl_training.tasks import TASKS

MODELS = [robot_side.ROOT / "models" / name for name in ("vitactip_sim.onnx", "vitactip_sim.int8.onnx")]
FRESH = range(100_000, 100_024)  # far beyond any suite: contacts of the same unit that no split holds


@pytest.fixture(params=MODELS, ids=lambda path: path.stem)
def model(request: pytest.FixtureRequest) -> Path:
    return request.param


def estimates(model: Path, task: str) -> tuple[list, list[dict]]:
    config = SimulateConfig(out=Path("unused"))
    images, labels = render_samples(TASKS[task], FRESH, config, torch.device("cpu"))
    estimator = TactileEstimator(model, sensor="vitactip")
    return [estimator.estimate(image) for image in images["vitactip"]], labels


def test_it_is_small_and_fits_the_contract(model: Path) -> None:
    assert model.stat().st_size <= 25e6
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    check_contract(json.loads(session.get_modelmeta().custom_metadata_map[METADATA_KEY]))
    card = model.with_suffix(".md").read_text(encoding="utf-8")
    assert "simulated" in card and "Not good for" in card


def test_edge_poses_of_fresh_contacts_are_near_the_truth_in_si_units(model: Path) -> None:
    answers, labels = estimates(model, "edge_pose")
    truth_N3 = np.array([[row[column] for column in TASKS["edge_pose"].columns] for row in labels])
    pose_N3 = np.array([answer["edge_pose"] for answer in answers]) / TASKS["edge_pose"].si_scale
    error_3 = np.abs(pose_N3 - truth_N3).mean(0)
    assert (error_3 < [0.15, 0.08, 1.2]).all(), f"mean absolute error {error_3} (mm, mm, deg)"


def test_force_points_the_right_way(model: Path) -> None:
    answers, labels = estimates(model, "force")
    truth_N3 = np.array([[row[column] for column in TASKS["force"].columns] for row in labels])
    force_N3 = np.array([answer["force"] for answer in answers])
    assert np.corrcoef(force_N3[:, 2], truth_N3[:, 2])[0, 1] > 0.95
    assert (force_N3[:, 2] < 0.05).all(), "pressing gives Fz < 0"


def test_contact_is_told_from_hovering(model: Path) -> None:
    answers, labels = estimates(model, "contact")
    right = [
        (answer.contact_probability > 0.5) == bool(row["label"]) for answer, row in zip(answers, labels, strict=True)
    ]
    assert np.mean(right) > 0.8

"""`sarl-train simulate` as a user types it: a dataset that reads back, the same images again, and refusals in one
line.
"""

import json

import cv2
import numpy as np
import pytest
import torch

from sarl_training.cli import main
from sarl_training.contact_sheet import write_contact_sheet
from sarl_training.dataset import Dataset
from sarl_training.simulate import SimulateConfig, render_samples
from sarl_training.simulation.sensors import SENSORS
from sarl_training.task_tables import known_tasks
from sarl_training.tasks import TASKS, TRANSFER_SETS

CPU = torch.device("cpu")
SMALL = ["--suite", "smoke", "--tasks", "force", "contact", "--image-size", "64", "--device", "cpu"]


@pytest.fixture(scope="module")
def dataset_folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("simulate") / "data"
    assert main(["simulate", "--out", str(out), *SMALL, "--sensors", *SENSORS]) == 0
    return out


def test_every_sensor_sees_every_contact(dataset_folder):
    dataset = Dataset.open(dataset_folder)
    assert dataset.simulated and dataset.tasks() == ["contact", "force"]
    tables = [dataset.table("force", sensor, TASKS["force"].columns) for sensor in SENSORS]
    for table in tables:
        assert len(table) == 40
        assert list(table.latent_id) == list(tables[0].latent_id)
        assert np.array_equal(table.columns["fz_N"], tables[0].columns["fz_N"])
    assert (tables[0].columns["fz_N"] < 0).all()
    assert set(dataset.table("contact", "vitac").columns["label"]) == {0, 1}
    assert len(dataset.ssl_pool("vitactip")) == sum(
        np.isin(dataset.table(t, "vitactip").split, ["train", "val"]).sum() for t in dataset.tasks()
    )


def test_the_contact_sheet_is_a_picture_with_every_sensor(dataset_folder):
    sheet = cv2.imread(str(dataset_folder / "force" / "contact_sheet.png"))
    assert sheet.shape[1] == 8 * 168 and sheet.shape[0] > 3 * 3 * 168


def test_the_labels_on_a_contact_sheet_say_their_units_and_small_forces(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(cv2, "putText", lambda _strip, text, *_rest: written.append(text))
    force, image = TASKS["force"], {"vitactip": [np.zeros((64, 64, 3), np.uint8)]}
    write_contact_sheet(tmp_path / "a.png", force, image, [{"fx_N": 0.042, "fy_N": -0.001, "fz_N": -1.2}])
    write_contact_sheet(tmp_path / "b.png", TASKS["contact"], image, [{"label": 1}])
    assert written == [
        "force (simulated): vitactip; fx in N, fy in N, fz in N", "fx 0.04 fy 0.00 fz -1.20",
        "contact (simulated): vitactip", "contact",
    ]  # fmt: skip


def test_a_sample_does_not_depend_on_its_batch():
    config = SimulateConfig(out=None, suite="smoke", sensors=tuple(SENSORS), image_size=96)
    whole, labels = render_samples(TASKS["shape"], range(24), config, CPU)
    part, part_labels = render_samples(TASKS["shape"], range(9, 12), config, CPU)
    assert [row["label"] for row in part_labels] == [row["label"] for row in labels[9:12]]
    for sensor in SENSORS:
        assert np.array_equal(whole[sensor][9:12], part[sensor])


def test_another_seed_is_another_dataset():
    first, second = (
        render_samples(TASKS["force"], range(2), SimulateConfig(out=None, image_size=64, seed=seed), CPU)[0]["vitactip"]
        for seed in (0, 1)
    )
    assert np.abs(first.astype(int) - second).mean() > 1


def test_an_interrupted_dataset_is_finished_by_resume(tmp_path, monkeypatch, dataset_folder):
    out = tmp_path / "data"
    words = ["simulate", "--out", str(out), *SMALL, "--sensors", *SENSORS]

    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("sarl_training.simulate.write_contact_sheet", interrupt)
        patched.setattr("sarl_training.simulate.git_commit", lambda: "another commit")
        assert main(words) == 1
    (tmp_path / "data.partial/force/tactip/images/000007.jpg").write_bytes(b"as another commit rendered it")
    assert not out.exists() and (tmp_path / "data.partial").is_dir()
    assert main(words) == 2, "an unfinished dataset must not be overwritten silently"
    assert main([*words, "--resume"]) == 0
    for name in ("force/vitac/labels.csv", "force/tactip/images/000007.jpg"):
        assert (out / name).read_bytes() == (dataset_folder / name).read_bytes()
    assert json.loads((out / "dataset.json").read_text())["simulated"] is True


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--sensors", "digit"], "digit"),
        (["--suite", "transfer_smoke", "--tasks", "shape"], "shape"),
        (["--tasks", "juggling"], "juggling"),
        (["--image-size", "7"], "--image-size 7"),
        (["--suite", "huge"], "huge"),
        (["--units", "0"], "--units 0"),
        (["--seed", "many"], "many"),
    ],
)
def test_wrong_words_are_refused_in_one_line(tmp_path, capsys, words, named):
    assert main(["simulate", "--out", str(tmp_path / "data"), *words]) == 2
    error = capsys.readouterr().err.strip()
    assert "\n" not in error and named in error
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_never_overwritten(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    assert main(["simulate", "--out", str(tmp_path / "data"), *SMALL]) == 2
    assert "already exists" in capsys.readouterr().err


def test_a_transfer_suite_is_four_declared_sets_on_stand_in_sensors(tmp_path):
    out = tmp_path / "data"
    assert main(["simulate", "--out", str(out), "--suite", "transfer_smoke", "--image-size", "48"]) == 0
    dataset = Dataset.open(out)
    classes = {}
    for task in dataset.tasks():
        for sensor in dataset.sensors(task):
            table = dataset.table(task, sensor, ("label",))
            classes[sensor] = len(table.class_names)
            assert set(table.columns["label"]) == set(range(classes[sensor]))
            assert (table.split == "train").mean() == pytest.approx(0.6, abs=0.05)
            assert (table.split == "test").mean() == pytest.approx(0.2, abs=0.05)
    assert classes == {"magictac_t": 10, "magictac_d": 10, "gelsight": 9, "pnutac": 11}
    assert set(known_tasks(dataset)) > set(TRANSFER_SETS)

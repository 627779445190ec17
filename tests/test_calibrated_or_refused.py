"""What calibration refuses, leaves out and warns of, so that no model gets worse in silence."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_calibrate import files, other_unit, rewritten  # noqa: F401
from test_calibrate_units import units_file
from test_export import words
from tiny_dataset import write_dataset

from sarl_training.calibration import labelled
from sarl_training.calibration.coverage import check_inside, touching
from sarl_training.calibration.fit import KEEP, Calibrated, Contacts, Linear, keep_where_no_better
from sarl_training.calibration.model_file import ModelFile
from sarl_training.calibration.plausible import check_adapted, check_readable
from sarl_training.calibration.unlabelled import Adapted, AdaptedHead
from sarl_training.cli import main
from sarl_training.dataset import Dataset
from sarl_training.errors import DataRefused, ExitStatus, UsageError
from sarl_training.output_place import check_writable
from sarl_training.tasks import TASKS

EDGE = TASKS["edge_pose"]
KNOWN = {"x_mm": (-5.0, 5.0), "z_mm": (0.5, 3.5), "theta_deg": (-45.0, 45.0)}


def answers(scale: float = 1, move_mm: float = 0) -> AdaptedHead:
    """Answers to 40 frames all over the range, as shares of it, and with z moved."""
    rng = np.random.default_rng(0)
    value_ND = np.stack(
        [np.mean(ends) + scale * rng.uniform(-0.5, 0.5, 40) * np.ptp(ends) for ends in KNOWN.values()], 1
    )
    value_ND[:, 1] += move_mm
    return AdaptedHead(EDGE, value_ND, value_ND * EDGE.si_scale, np.zeros(3), (9, 9))


def test_answers_to_pictures_without_labels_stay_in_the_models_range(tmp_path: Path) -> None:
    check_adapted(tmp_path, answers(), KNOWN)
    check_adapted(tmp_path, answers(move_mm=9), {})
    with pytest.raises(
        DataRefused, match=r"z_mm would lie at .* mm, \d+% of them outside the model's 0.5 to 3.5 \(all"
    ):
        check_adapted(tmp_path, answers(move_mm=1.5), KNOWN)
    with pytest.raises(DataRefused, match=r"x_mm would lie at .* [34]\d% of the model's -5 to 5 \(at least 40% is"):
        check_adapted(tmp_path, answers(scale=0.4), KNOWN)


def test_pictures_further_off_than_simulated_units_are_refused(tmp_path: Path) -> None:
    check_readable(tmp_path, Adapted({}, [], np.linspace(0.5, 3.6, 41)))
    with pytest.raises(
        DataRefused, match=r"half of the 41 pictures are at 3\.4 times the model's unfamiliar threshold"
    ):
        check_readable(tmp_path, Adapted({}, [], np.linspace(2.0, 4.8, 41)))


def test_pictures_of_something_else_do_not_adapt_a_model(
    files: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    units_file(files / "tiny.onnx", tmp_path / "of.units.npz")
    pictures, rng = tmp_path / "noise", np.random.default_rng(0)
    pictures.mkdir()
    for index in range(30):
        cv2.imwrite(str(pictures / f"{index}.png"), rng.integers(0, 256, (40, 40, 3), np.uint8))
    given = [str(files / "tiny.onnx"), str(pictures), "--units", str(tmp_path / "of.units.npz")]
    assert main(["calibrate", *given, "--out", str(tmp_path / "out.onnx")]) == ExitStatus.REFUSED
    assert "times the model's unfamiliar threshold" in capsys.readouterr().err.strip().splitlines()[-1]
    assert not list(tmp_path.glob("out*"))

    units_file(files / "tiny.onnx", tmp_path / "far.units.npz", move=1e-3)
    images = other_unit(tmp_path / "unit") / "edge_pose" / "vitactip" / "images"
    given = [str(files / "tiny.onnx"), str(images), "--units", str(tmp_path / "far.units.npz")]
    assert main(["calibrate", *given, "--out", str(tmp_path / "out.onnx")]) == ExitStatus.REFUSED
    assert "answers for z_mm would lie at" in capsys.readouterr().err.strip().splitlines()[-1]
    assert not list(tmp_path.glob("out*"))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder here in which not even root makes files")
def test_a_place_where_no_file_can_be_made_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="/proc"):
        check_writable(Path("/proc/x"))
    check_writable(tmp_path / "later" / "deep")
    assert not list(tmp_path.iterdir())


def test_labels_outside_the_models_range_are_counted(files: Path, tmp_path: Path) -> None:  # noqa: F811
    columns = {"x_mm": np.array([-5.9, 0, 5]), "z_mm": np.array([0.3, 4.5, 6]), "theta_deg": np.zeros(3)}
    [said] = check_inside(tmp_path, EDGE, columns, KNOWN)
    assert "2 of 3 contacts have z_mm at 4.5 to 6 mm, outside the model's 0.5 to 3.5" in said
    assert not check_inside(tmp_path, EDGE, columns, {})
    data, out = other_unit(tmp_path / "unit", move=(1.4, 0, 0)), tmp_path / "new.onnx"
    assert main(["calibrate", str(files / "tiny.onnx"), str(data), "--out", str(out)]) == ExitStatus.DONE
    assert re.search(
        r"of 40 contacts have x_mm at [34]\.\d+ to 4\.\d+ mm, outside the", out.with_suffix(".md").read_text()
    )


def test_frames_between_touches_are_left_out_and_named(
    files: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, heads = str(files / "tiny.onnx"), []
    for name, count in (("plain", 30), ("hovering", 40)):
        data = other_unit(tmp_path / name, 40)
        table = Dataset.open(data).table("edge_pose", "vitactip", EDGE.columns)
        depths = [str(value) for value in table.columns["z_mm"][:30]]
        rewritten(data, "z_mm", [*depths, *["-4.0"] * 10])
        if name == "plain":
            labels = data / "edge_pose" / "vitactip" / "labels.csv"
            labels.write_text("".join(labels.read_text().splitlines(keepends=True)[: count + 1]))
        out = tmp_path / f"{name}.onnx"
        assert main(["calibrate", model, str(data), "--out", str(out)]) == ExitStatus.DONE
        assert "| edge_pose | 30 |" in capsys.readouterr().out
        heads.append(ModelFile(out).head("edge_pose"))
    said = "10 of 40 contacts have z_mm -4 to -4, a contact is above 0: they are left out"
    assert said in out.with_suffix(".md").read_text()
    assert np.array_equal(heads[0].weight_FD, heads[1].weight_FD)
    task, rows = EDGE, Dataset.open(data).table("edge_pose", "vitactip", EDGE.columns)
    with pytest.raises(DataRefused, match=r"10 of 10 contacts have z_mm -4 to -4, .* check the object's pose"):
        touching(task, rows.rows(np.arange(30, 40)))


def test_an_axis_that_got_no_better_keeps_the_old_head() -> None:
    label_ND = np.random.default_rng(0).normal(size=(20, 3))
    old_ND, held_out_ND = label_ND + np.array([0.2, 0.1, 0.1]), label_ND + np.array([0.1, 0.2, 0.1])
    contacts = Contacts(np.zeros((20, 4)), old_ND[None], label_ND, np.arange(20).astype(str))
    found = Calibrated(np.ones((4, 3)), np.ones(3), held_out_ND, np.zeros(20), np.array([5, 6, 7]))
    kept = keep_where_no_better(found, contacts, (np.zeros((4, 3)), np.zeros(3)))
    assert kept.chosen_D.tolist() == [5, KEEP, KEEP] and kept.bias_D.tolist() == [1, 0, 0]
    assert kept.weight_FD.tolist() == [[1, 0, 0]] * 4
    assert np.array_equal(kept.held_out_ND, np.stack([held_out_ND[:, 0], old_ND[:, 1], old_ND[:, 2]], 1))


def test_a_worse_fit_does_not_reach_the_file(
    files: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = labelled.calibrate

    def worse(contacts: Contacts, starts: Sequence[Linear]) -> Calibrated:
        found = real(contacts, starts)
        return replace(found, held_out_ND=contacts.label_ND + 1, bias_D=found.bias_D + 1)

    monkeypatch.setattr(labelled, "calibrate", worse)
    data, out = other_unit(tmp_path / "unit", move=(0, 0, 0)), tmp_path / "new.onnx"
    assert main(["calibrate", str(files / "tiny.onnx"), str(data), "--out", str(out)]) == ExitStatus.DONE
    old, new = (ModelFile(path).head("edge_pose") for path in (files / "tiny.onnx", out))
    assert np.array_equal(old.weight_FD, new.weight_FD) and np.array_equal(old.bias_D, new.bias_D)
    assert "no better than before on contacts left out: x, z, theta; the old head" in out.with_suffix(".md").read_text()


def test_axes_in_another_order_are_not_taken_for_the_models(
    files: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Their units are the same, so only the names tell them apart."""

    def shear(name: str, columns: list[str]) -> Path:
        data = write_dataset(tmp_path / name, {"edge_pose": 40}, info={"tasks": {"shear": {
            "kind": "regression", "columns": columns}}})  # fmt: skip
        (data / "edge_pose").rename(data / "shear")
        file = data / "shear" / "vitactip" / "labels.csv"
        file.write_text(file.read_text().replace("x_mm", "sx_mm").replace("z_mm", "sy_mm"))
        return data

    model = tmp_path / "tiny.onnx"
    data = shear("one", ["sx_mm", "sy_mm"])
    assert main(words(tmp_path, encoder=files / "encoder.safetensors", data=data, tasks="shear")) == ExitStatus.DONE
    given = ["calibrate", str(model), str(shear("two", ["sy_mm", "sx_mm"])), "--out", str(tmp_path / "new.onnx")]
    assert main(given) == ExitStatus.REFUSED
    said = capsys.readouterr().err
    assert "has the labels sy_mm, sx_mm, the model's shear answers sx in m, sy in m; give the same axes" in said

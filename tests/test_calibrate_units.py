"""Many units: heads learned across them hold on units left out, travel in a file, and adapt a model without labels."""

import re
from pathlib import Path

import numpy as np
import pytest
import robot_side
from test_calibrate import files, linear, other_unit, unit  # noqa: F401 - `files` is a fixture
from tiny_dataset import write_dataset

from sarl_training import simulate
from sarl_training.calibration import many_units, uncertainty
from sarl_training.calibration.fit import Contacts, calibrate
from sarl_training.calibration.many_units import UnitHead
from sarl_training.calibration.model_file import ModelFile
from sarl_training.cli import main
from sarl_training.dataset import Dataset
from sarl_training.errors import DataRefused, ExitStatus
from sarl_training.simulate import SimulateConfig
from sarl_training.simulated_units import units_of
from sarl_training.tasks import TASKS

EDGE = TASKS["edge_pose"]


def family(units: int = 24, contacts: int = 20, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features that hold the label, the unit's own offset and noise; labels; units."""
    rng = np.random.default_rng(seed)
    unit_N = np.repeat(np.arange(units), contacts)
    label_ND = rng.normal(size=(len(unit_N), 3)) * (1e-3, 1e-3, 0.4)
    mixing_DF = np.random.default_rng(9).normal(size=(3, 60)) / [[1e-3], [1e-3], [0.4]]
    offsets_UF = rng.normal(size=(units, 60)) * 2
    return label_ND @ mixing_DF + offsets_UF[unit_N] + 0.1 * rng.normal(size=(len(unit_N), 60)) + 5, label_ND, unit_N


def test_a_head_over_units_says_honestly_how_it_does_on_another() -> None:
    head = many_units.learn(*family())
    assert head.size.tolist() == [480, 24]
    z_NF, label_ND, unit_N = family(units=12, contacts=100, seed=1)
    errors = []
    for one in range(12):
        weight_FD, bias_D = head.aligned(z_NF[unit_N == one])
        errors.append(z_NF[unit_N == one] @ weight_FD + bias_D - label_ND[unit_N == one])
    error_ND = np.concatenate(errors)
    assert np.abs(error_ND).mean(0) == pytest.approx(head.error_D, rel=0.5)
    apart_ND = np.concatenate([error - error.mean(0) for error in errors])
    assert np.all(np.abs(apart_ND).mean(0) < 0.3 * np.abs(error_ND).mean(0)), "all but the unit's offset is seen"
    assert np.all(np.sqrt(np.diag(head.spread_DD)) < 0.1 * label_ND.std(0))


def test_few_contacts_suffice_where_units_are_known() -> None:
    head, plain = unit(40)
    other = (head.weight_FD + 0.5, np.zeros(3))
    known_ND = plain.z_NF @ other[0]
    label_ND = known_ND + np.array([1, -2, 0.5])
    contacts = Contacts(plain.z_NF, np.stack([plain.start_SND[0], known_ND]), label_ND, plain.group_N)
    found = calibrate(contacts, [*linear(head), other])
    assert found.held_out_ND == pytest.approx(label_ND, abs=1e-6)
    assert plain.z_NF @ found.weight_FD + found.bias_D == pytest.approx(label_ND, abs=1e-6)


def test_ten_errors_make_an_honest_ellipsoid() -> None:
    rng, inside = np.random.default_rng(0), []
    for _ in range(300):
        error_ND = rng.multivariate_normal(np.zeros(3), np.diag([4.0, 1, 0.1]), 30)
        shape_DD = uncertainty.covariance(error_ND[:10], np.ones(10), np.ones(3))
        inside.append((error_ND[10:] * np.linalg.solve(shape_DD, error_ND[10:].T).T).sum(1) < 6.251)
    assert 0.88 < np.mean(inside) < 0.95


def test_units_are_those_that_were_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    real = simulate.draw_unit
    monkeypatch.setattr(simulate, "draw_unit", lambda seed, index: drawn.append(index) or real(seed, index))
    config = SimulateConfig(tmp_path / "units", "smoke", ("edge_pose",), image_size=32, units=9, seed=4, device="cpu")
    simulate.run(config)
    dataset = Dataset.open(config.out)
    table = dataset.table("edge_pose", "vitactip", EDGE.columns)
    found = units_of(dataset, EDGE, table)
    assert len(set(found)) == 9 and sorted(found) == sorted(drawn)
    with pytest.raises(DataRefused, match="at least 8 are needed to learn"):
        units_of(Dataset.open(write_dataset(tmp_path / "one", {"edge_pose": 9})), EDGE, table)


def units_file(model: Path, out: Path, move: float = 1e-5) -> UnitHead:
    """As if learned: the model's own head, its offset moved."""
    opened = ModelFile(model)
    head = opened.head("edge_pose")
    facts = {"error_D": np.full(3, 1e-3), "covariance_DD": np.eye(3) * 1e-6, "spread_DD": np.eye(3) * 1e-6}
    known = UnitHead(head.weight_FD, head.weight_FD, head.bias_D + move, **facts, size=np.array([60, 9]))
    out.write_bytes(many_units.to_bytes({"edge_pose": known}, opened.trunk_sha256()))
    return known


def test_frames_without_labels_adapt_a_model(
    files: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, out = files / "tiny.onnx", tmp_path / "new.onnx"
    images = other_unit(tmp_path / "unit") / "edge_pose" / "vitactip" / "images"
    (images / "torn.png").write_bytes(b"\x89PNG")
    given = ["calibrate", str(model), str(images), "--out", str(out)]
    assert main(given) == ExitStatus.REFUSED
    assert "frames without labels need the file tiny.units.npz" in capsys.readouterr().err
    assert not out.exists()

    known = units_file(model, tmp_path / "of.units.npz")
    assert main([*given, "--units", str(tmp_path / "of.units.npz")]) == ExitStatus.DONE
    said = capsys.readouterr().out
    assert "| edge_pose | x |" in said and re.search(r"not taken +1 .* torn.png", said)
    new, old = ModelFile(out), ModelFile(model)
    assert new.contract["provenance"]["method"].endswith("adapted without labels")
    assert new.contract["outputs"][0]["validation_error"] == known.error_D.tolist()
    assert new.head("edge_pose").bias_D == pytest.approx(old.head("edge_pose").bias_D + 1e-5, abs=1e-7)
    assert "nothing here was measured on this unit" in out.with_suffix(".md").read_text()
    assert out.with_suffix(".edge_pose.png").stat().st_size > 5000
    assert new.trunk_sha256() == old.trunk_sha256()


def test_files_of_units_that_do_not_fit_are_refused(
    files: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, data = files / "tiny.onnx", other_unit(tmp_path / "unit")
    torn, foreign = tmp_path / "torn.units.npz", tmp_path / "foreign.units.npz"
    torn.write_bytes(b"PK\x03\x04 no")
    foreign.write_bytes(many_units.to_bytes({}, "0" * 64))
    few = tmp_path / "few"
    few.mkdir()
    for image in sorted((data / "edge_pose" / "vitactip" / "images").iterdir())[:9]:
        (few / image.name).write_bytes(image.read_bytes())
    for source, units, said in (
        (data, torn, "cannot be read"),
        (data, foreign, "belongs to another model"),
        (few, torn, "9 frames without labels: at least 30"),
    ):
        given = ["calibrate", str(model), str(source), "--units", str(units), "--out", str(tmp_path / "out.onnx")]
        units.exists() and source is few and units_file(model, units)
        assert main(given) == ExitStatus.REFUSED
        assert said in capsys.readouterr().err.strip().splitlines()[-1]
        assert not list(tmp_path.glob("out*"))


def test_the_shipped_models_units_are_its_own() -> None:
    model = robot_side.ROOT / "models" / "vitactip_sim.onnx"
    heads = many_units.load(model.with_suffix(many_units.SUFFIX), ModelFile(model).trunk_sha256())
    assert heads["edge_pose"].size.tolist() == [10000, 256]


def test_learning_from_data_of_one_unit_is_refused(
    files: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = ["calibrate", str(files / "tiny.onnx"), str(other_unit(tmp_path / "unit"))]
    assert main([*given, "--out", str(tmp_path / "x.units.npz")]) == ExitStatus.REFUSED
    assert "at least 8 are needed to learn how units differ" in capsys.readouterr().err
    assert not (tmp_path / "x.units.npz").exists()

"""Calibration: closed form against NumPy, known offsets found, held groups unseen, refusals, the CLI."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from test_export import words
from test_probe import METADATA
from tiny_dataset import write_dataset

from sarl_training.calibration import fit as fitting
from sarl_training.calibration import uncertainty
from sarl_training.calibration.coverage import card_ranges, check_ranges, check_spread
from sarl_training.calibration.fit import PENALTIES, Contacts, calibrate, folds
from sarl_training.calibration.model_file import Head, ModelFile
from sarl_training.cli import main
from sarl_training.dataset import Dataset, load_images
from sarl_training.errors import DataRefused, ExitStatus
from sarl_training.networks import Encoder, save_encoder
from sarl_training.onnx_file import OnnxModel
from sarl_training.tasks import TASKS

EDGE = TASKS["edge_pose"]


def unit(count: int, features: int = 60, seed: int = 0) -> tuple[Head, Contacts]:
    """An old head, and contacts of a unit on which it is right."""
    rng = np.random.default_rng(seed)
    weight_FD = np.random.default_rng(7).normal(size=(features, 3))
    head = Head(np.full(features, 2.0), np.full(features, 0.5), weight_FD, np.array([1.0, 2.0, 3.0]), np.eye(3))
    z_NF = head.standardise(rng.normal(size=(count, features)) * 3 + 2)
    truth_ND = z_NF @ head.weight_FD + head.bias_D
    return head, Contacts(z_NF, truth_ND[None], truth_ND.copy(), np.arange(count).astype(str))


def linear(*heads: Head) -> list[fitting.Linear]:
    return [(head.weight_FD, head.bias_D) for head in heads]


def test_the_correction_is_ridge_regression_centred_on_the_old_weights() -> None:
    head, contacts = unit(30)
    rng = np.random.default_rng(1)
    label_ND = contacts.label_ND + rng.normal(size=(30, 3)) + 5
    contacts = Contacts(contacts.z_NF, contacts.start_SND, label_ND, contacts.group_N)
    gram_NN = contacts.z_NF @ contacts.z_NF.T
    for which in (3, 9):
        chosen_D = np.full(3, 1 + which)
        weight_FD, bias_D = fitting._head(contacts, linear(head), gram_NN, chosen_D)
        z, residual = contacts.z_NF - contacts.z_NF.mean(0), label_ND - contacts.start_SND[0]
        penalty = PENALTIES[which] * np.linalg.eigvalsh(z @ z.T).clip(0).mean()
        expected = np.linalg.solve(z.T @ z + penalty * np.eye(60), z.T @ (residual - residual.mean(0)))
        assert np.allclose(weight_FD - head.weight_FD, expected, atol=1e-8)
        everything = np.arange(30)
        predicted = fitting._predict(contacts, gram_NN, everything, everything)[1 + which]
        assert np.allclose(contacts.z_NF @ weight_FD + bias_D, predicted, atol=1e-8)


def test_known_gains_offsets_and_couplings_are_found() -> None:
    head, contacts = unit(60)
    mixing_DD, offset_D = np.array([[1.3, 0.2, 0], [-0.2, 0.8, 0], [0, 0, 1.1]]), np.array([0.7, -2.0, 0.1])
    label_ND = contacts.start_SND[0] @ mixing_DD + offset_D
    contacts = Contacts(contacts.z_NF, contacts.start_SND, label_ND, contacts.group_N)
    assert fitting.gains(contacts.start_SND[0], label_ND) == pytest.approx(mixing_DD, abs=0.03)
    found = calibrate(contacts, linear(head))
    error_D = np.abs(found.held_out_ND - label_ND).mean(0)
    assert np.all(error_D < 0.05 * np.abs(contacts.start_SND[0] - label_ND).mean(0))
    assert contacts.z_NF @ found.weight_FD + found.bias_D == pytest.approx(label_ND, abs=0.1 * label_ND.std())


def test_a_head_that_is_right_is_kept() -> None:
    head, contacts = unit(20)
    found = calibrate(contacts, linear(head))
    assert np.array_equal(found.weight_FD, head.weight_FD)
    assert np.array_equal(found.held_out_ND, contacts.label_ND)


@pytest.mark.parametrize("groups", [5, 9, 24])
def test_what_is_said_of_a_fold_does_not_depend_on_its_labels(groups: int) -> None:
    head, contacts = unit(24)
    group_N = np.array([f"g{i % groups}" for i in range(24)])
    label_ND = contacts.label_ND + np.random.default_rng(3).normal(size=(24, 3))
    plain = calibrate(Contacts(contacts.z_NF, contacts.start_SND, label_ND, group_N), linear(head))
    assert all(len(set(plain.fold_N[group_N == group])) == 1 for group in set(group_N))
    for fold in set(plain.fold_N):
        held_N = plain.fold_N == fold
        spoilt_ND = np.where(held_N[:, None], 1e3 * label_ND[::-1], label_ND)
        spoilt = calibrate(Contacts(contacts.z_NF, contacts.start_SND, spoilt_ND, group_N), linear(head))
        assert np.array_equal(spoilt.held_out_ND[held_N], plain.held_out_ND[held_N])


def test_folds_are_whole_groups_and_each_group_one_when_few() -> None:
    group_N = np.repeat(["a", "b", "c", "d", "e", "f"], 3)
    assert len(set(folds(group_N))) == 6
    assert len(set(folds(np.arange(40).astype(str)))) == fitting.MOST_FOLDS


def test_covariances_of_contacts_left_out_are_honest() -> None:
    rng = np.random.default_rng(0)
    true_DD = np.array([[2.0, 0.6, 0], [0.6, 1.0, 0], [0, 0, 0.1]])
    error_ND = rng.multivariate_normal(np.zeros(3), true_DD, 2000)
    inflation_N = rng.uniform(1, 3, 2000)
    error_ND *= np.sqrt(inflation_N)[:, None]
    assert uncertainty.covariance(error_ND, inflation_N, np.ones(3)) == pytest.approx(true_DD, rel=0.1, abs=0.05)
    perfect_DD = uncertainty.covariance(np.zeros((10, 3)), np.ones(10), np.ones(3))
    assert np.linalg.eigvalsh(perfect_DD).min() > 0


def test_the_new_units_frames_are_familiar() -> None:
    rng = np.random.default_rng(0)
    whitening_CC, threshold = rng.normal(size=(6, 6)), 1.4
    own_NC = rng.normal(size=(300, 6)) * 2 + 9
    mean_C, new_CC = uncertainty.recentred(own_NC, whitening_CC, threshold)
    unfamiliar_N = np.sqrt(np.square((rng.normal(size=(3000, 6)) * 2 + 9 - mean_C) @ new_CC).mean(1))
    assert 0.002 < (unfamiliar_N > threshold).mean() < 0.03


def test_ranges_are_read_from_the_card_and_too_little_names_axis_and_remedy(tmp_path: Path) -> None:
    (tmp_path / "m.md").write_text(
        "- edge_pose: 9 train contacts; x_mm -5 to 5; z_mm 1e-05 to 3.5; theta_deg -45 to 44.9\n"
    )
    known = card_ranges(tmp_path / "m.onnx", EDGE)
    assert known == {"x_mm": (-5, 5), "z_mm": (1e-5, 3.5), "theta_deg": (-45, 44.9)}
    assert not check_ranges(tmp_path, EDGE, known, known)
    some = check_ranges(tmp_path, EDGE, {**known, "x_mm": (-5, 2)}, known)
    assert (
        len(some) == 1 and "x_mm covers -5 to 2 mm, 70% of the model's -5 to 5; record contacts at 2 to 5 mm" in some[0]
    )
    with pytest.raises(
        DataRefused, match=r"theta_deg covers -10 to 10 deg, 22% .* record contacts at -45 to -10 deg and"
    ):
        check_ranges(tmp_path, EDGE, {**known, "theta_deg": (-10, 10)}, known)
    assert card_ranges(tmp_path / "other.onnx", EDGE) == {}
    with pytest.raises(DataRefused, match="z_mm is 2 mm in every contact"):
        check_ranges(tmp_path, EDGE, {**known, "z_mm": (2, 2)}, {})


def test_gaps_and_axes_that_move_together_are_named(tmp_path: Path) -> None:
    known = {"x_mm": (-5.0, 5.0), "z_mm": (0.0, 4.0), "theta_deg": (-45.0, 45.0)}
    rng = np.random.default_rng(0)
    columns = {name: rng.uniform(*ends, 50) for name, ends in known.items()}
    assert not check_spread(tmp_path, EDGE, columns, known)
    ends = {**columns, "x_mm": np.r_[-4.9, np.linspace(1, 4.9, 49)]}
    [gap] = check_spread(tmp_path, EDGE, ends, known)
    assert "no contact has x_mm between -4.9 and 1 mm, 59% of the range; record some there" in gap
    line = {**columns, "theta_deg": -9 * columns["x_mm"]}
    [together] = check_spread(tmp_path, EDGE, line, known)
    assert "x_mm and theta_deg move together (correlation -1.00)" in together
    assert not check_spread(tmp_path, EDGE, {**columns, "z_mm": np.full(50, 2.0)}, {})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model exported from an untrained encoder, and data of another unit: the axes of its labels moved."""
    folder = tmp_path_factory.mktemp("calibrate")
    write_dataset(folder / "data", {"edge_pose": 60, "material": 45})
    torch.manual_seed(0)
    save_encoder(Encoder(), folder / "encoder.safetensors", METADATA)
    given = words(folder, encoder=folder / "encoder.safetensors", tasks="edge_pose")
    assert main(given) == ExitStatus.DONE
    return folder


def other_unit(folder: Path, count: int = 40, move: Sequence[float] = (0.5, 0.2, 4)) -> Path:
    """The tiny data set with labels moved."""
    out = write_dataset(folder, {"edge_pose": count})
    file = out / "edge_pose" / "vitactip" / "labels.csv"
    header, *rows = file.read_text().splitlines()
    first = header.split(",").index("x_mm")
    moved = []
    for row in rows:
        cells = row.split(",")
        for axis, by in enumerate(move):
            cells[first + axis] = str(float(cells[first + axis]) + by)
        moved.append(",".join(cells))
    file.write_text("\n".join([header, *moved]) + "\n")
    return out


def test_from_words_to_a_calibrated_file(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = files / "tiny.onnx"
    before = model.read_bytes()
    data, out = other_unit(tmp_path / "unit"), tmp_path / "new.onnx"
    assert main(["calibrate", str(model), str(data), "--out", str(out)]) == ExitStatus.DONE
    assert model.read_bytes() == before
    printed = capsys.readouterr().out
    assert "| edge_pose | x |" in printed and "inside the 90 % ellipsoid" in printed
    assert out.with_suffix(".md").exists() and out.with_suffix(".edge_pose.png").exists()

    new, old = ModelFile(out), ModelFile(model)
    assert new.contract["provenance"]["method"].endswith(", calibrated")
    assert new.contract["provenance"]["data_sha256"] == Dataset.open(data).data_hash()
    table = Dataset.open(data).table("edge_pose", "vitactip", EDGE.columns)
    images, label_ND = load_images(table.images, 32), table.targets(EDGE.columns) * EDGE.si_scale
    was, now = OnnxModel(before)(images), OnnxModel(out.read_bytes())(images)
    assert np.all(np.abs(now["edge_pose"] - label_ND).mean(0) < np.abs(was["edge_pose"] - label_ND).mean(0))
    head, seen = new.head("edge_pose"), old.read(images, "edge_pose", "phi")
    expected = head.standardise(seen["phi"].astype(np.float64)) @ head.weight_FD + head.bias_D
    assert np.all(np.abs(now["edge_pose"] - expected) < 1e-4 * np.ptp(label_ND, axis=0))
    assert list(was) == list(now)
    assert np.array_equal(was["saliency"], now["saliency"])
    assert (now["unfamiliarity"] > new.contract["unfamiliar_threshold"]).mean() <= 0.05
    again = tmp_path / "again.onnx"
    assert main(["calibrate", str(out), str(data), "--out", str(again)]) == ExitStatus.DONE
    assert "no better than before on contacts left out: x, z, theta" in again.with_suffix(".md").read_text()


def test_refusals_are_one_line_and_write_nothing(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = files / "tiny.onnx"
    data = other_unit(tmp_path / "unit")
    quantised = onnx.load(model)
    quantised.graph.node.append(onnx.helper.make_node("QuantizeLinear", ["image", "image"], ["q"], "q"))
    onnx.save(quantised, tmp_path / "int8.onnx")
    half = onnx.load(model)
    half.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float16), "half"))
    onnx.save(half, tmp_path / "fp16.onnx")
    bare = onnx.load(model)
    bare.ClearField("metadata_props")
    onnx.save(bare, tmp_path / "bare.onnx")
    (tmp_path / "noise.onnx").write_bytes(b"not a model")
    write_dataset(tmp_path / "other", {"edge_pose": 20}, sensors=("tactip",))
    write_dataset(tmp_path / "few", {"edge_pose": 4})
    out = str(tmp_path / "out.onnx")
    for given, status, said in (
        ([model, data, "--out", model], ExitStatus.USAGE, "is the model itself"),
        ([model, data, "--out", tmp_path / "out.pt"], ExitStatus.USAGE, "must end in .onnx"),
        ([model, data, "--out", tmp_path / "noise.onnx" / "out.onnx"], ExitStatus.USAGE, "is a file, not a folder"),
        ([tmp_path / "int8.onnx", data, "--out", out], ExitStatus.REFUSED, "encoder is INT8, float32 is needed"),
        ([tmp_path / "fp16.onnx", data, "--out", out], ExitStatus.REFUSED, "encoder is FP16, float32 is needed"),
        ([tmp_path / "bare.onnx", data, "--out", out], ExitStatus.REFUSED, "holds no sarl_contract"),
        ([tmp_path / "noise.onnx", data, "--out", out], ExitStatus.REFUSED, "cannot be read as an ONNX file"),
        ([tmp_path / "none.onnx", data, "--out", out], ExitStatus.REFUSED, "cannot be read as an ONNX file"),
        ([model, tmp_path / "other", "--out", out], ExitStatus.REFUSED, "it has edge_pose/tactip"),
        ([model, data / "edge_pose" / "vitactip" / "images", "--out", out], ExitStatus.REFUSED, "without labels"),
        ([model, other_unit(tmp_path / "far", move=(50, 0, 0)), "--out", out], ExitStatus.REFUSED, "x_mm covers"),
    ):
        assert main(["calibrate", *map(str, given)]) == status, said
        lines = capsys.readouterr().err.strip().splitlines()
        assert said in lines[-1], lines
        assert not list(tmp_path.glob("out*"))
    with pytest.raises(DataRefused, match="4 groups of contacts, at least 5"):
        head, contacts = unit(4)
        calibrate(contacts, linear(head))


def rewritten(data: Path, column: str, cells: Sequence[str]) -> Path:
    """The dataset with other cells in one column of its edge poses."""
    file = data / "edge_pose" / "vitactip" / "labels.csv"
    header, *rows = (row.split(",") for row in file.read_text().splitlines())
    for row, cell in zip(rows, cells, strict=True):
        row[header.index(column)] = cell
    file.write_text("\n".join(map(",".join, [header, *rows])) + "\n")
    return data


def test_pictures_that_are_not_those_of_the_labels(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = str(files / "tiny.onnx"), tmp_path / "new.onnx"
    still = rewritten(other_unit(tmp_path / "still", 12), "image", ["images/000000.jpg"] * 12)
    assert main(["calibrate", model, str(still), "--out", str(out)]) == ExitStatus.REFUSED
    assert "11 of 12 pictures are copies of another one" in capsys.readouterr().err
    assert not out.exists()
    order = np.random.default_rng(1).permutation(30)
    mixed = rewritten(other_unit(tmp_path / "mixed", 30), "image", [f"images/{index:06d}.jpg" for index in order])
    assert main(["calibrate", model, str(mixed), "--out", str(out)]) == ExitStatus.REFUSED
    assert "below 0.5 of the mean label's: are these labels of other pictures?" in capsys.readouterr().err
    assert not list(tmp_path.glob("new*"))
    angles = [str(5.0 * (index * 7 % 19) - 45) for index in range(30)]
    turned = rewritten(other_unit(tmp_path / "turned", 30), "theta_deg", angles)
    assert main(["calibrate", model, str(turned), "--out", str(out)]) == ExitStatus.DONE
    page = out.with_suffix(".md").read_text()
    assert re.search(r"theta of contacts left out .* labels and pictures may not belong together \(stamps", page)
    assert "x of contacts left out" not in page


def test_the_file_runs_on_the_robot_side(files: Path, tmp_path: Path) -> None:
    model, out = files / "tiny.onnx", tmp_path / "new.onnx"
    assert main(["calibrate", str(model), str(other_unit(tmp_path / "unit", 12)), "--out", str(out)]) == ExitStatus.DONE
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    for batch in (1, 8):
        found = session.run(["edge_pose_covariance"], {"image": np.zeros((batch, 32, 32, 3), np.uint8)})[0]
        assert np.linalg.eigvalsh(found).min() > 0

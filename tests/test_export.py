"""Closed-form heads agree with NumPy, their uncertainty is honest, and the ONNX file says what PyTorch says."""

import copy
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import robot_side  # noqa: F401 - makes sarl_perception importable
import torch
from sarl_perception.contract import METADATA_KEY, parse_contract
from test_probe import METADATA
from tiny_dataset import write_dataset

from sarl_training import contract, head_fitting, onnx_file
from sarl_training.cli import main
from sarl_training.dataset import Dataset, load_images
from sarl_training.deployed_model import READOUT, DeployedModel, Heads, Trunk
from sarl_training.deployment_heads import RegressionHead, fit_classification, fit_contact, fit_regression
from sarl_training.errors import DataRefused, ExitStatus, RunFailed
from sarl_training.familiarity import fit_familiarity
from sarl_training.features import extract, extract_trunk
from sarl_training.networks import Encoder, load_encoder, save_encoder
from sarl_training.onnx_file import OnnxModel
from sarl_training.readouts import READOUTS
from sarl_training.ridge import decompose, fit_ridge, low_rank_leverage, ridge_path

TASKS = {"edge_pose": 60, "force": 40, "material": 45, "contact": 30}


def linear_data(count: int, features: int, noise: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    x_NF = torch.randn(count, features, generator=random) * torch.linspace(0.5, 3, features) + 2
    weight_FD = torch.randn(features, 3, generator=torch.Generator().manual_seed(99)) * torch.tensor([1e-3, 2e-3, 0.2])
    y_ND = x_NF @ weight_FD
    return x_NF, y_ND + noise * y_ND.std(0) * torch.randn(count, 3, generator=random)


@pytest.mark.parametrize("features", [7, 80], ids=["primal", "dual"])
def test_ridge_is_the_closed_form(features: int) -> None:
    x_NF, y_ND = linear_data(50, features, 0.3, 0)
    spectrum = decompose(x_NF)
    lambdas = torch.tensor([0.01, 3.0, 500.0], dtype=torch.float64)
    found = spectrum.directions_FK @ ridge_path(spectrum, x_NF, y_ND, lambdas)
    z = (x_NF.double().numpy() - x_NF.double().numpy().mean(0)) / spectrum.scale_F.numpy()
    y = y_ND.double().numpy() - y_ND.double().numpy().mean(0)
    for penalty, weight_FD in zip(lambdas.tolist(), found.numpy(), strict=True):
        expected = np.linalg.solve(z.T @ z + penalty * np.eye(features), z.T @ y)
        assert np.allclose(weight_FD, expected, rtol=1e-6, atol=1e-9)


def test_lambda_is_the_best_on_val() -> None:
    train, val = linear_data(40, 60, 1.0, 0), linear_data(200, 60, 1.0, 1)
    spectrum = decompose(train[0])
    chosen = fit_ridge(spectrum, train, val)

    def val_error(penalty: float) -> float:
        std_D = train[1].double().std(0, correction=0)
        path = ridge_path(spectrum, train[0], train[1] / std_D, torch.tensor([penalty], dtype=torch.float64))[0]
        residual = spectrum.coordinates(val[0]) @ path - (val[1] - train[1].mean(0)) / std_D
        return float(residual.square().mean())

    assert val_error(chosen.penalty) <= min(val_error(chosen.penalty * 4), val_error(chosen.penalty / 4))


def test_leverage_at_full_rank_is_the_ridge_leverage_and_low_rank_keeps_its_mean() -> None:
    train, val = linear_data(60, 10, 0.3, 0), linear_data(60, 10, 0.3, 1)
    ridge = fit_ridge(decompose(train[0]), train, val)
    z = ((train[0].double() - ridge.spectrum.mean_F) / ridge.spectrum.scale_F).numpy()
    exact = np.einsum("nf,fg,ng->n", z, np.linalg.inv(z.T @ z + ridge.penalty * np.eye(10)), z)
    for rank in (10, 4):
        head = RegressionHead(ridge, low_rank_leverage(ridge, rank), torch.eye(3))
        found = head(train[0])[1][:, 0, 0].numpy() - 1
        assert found.mean() == pytest.approx(exact.mean(), rel=1e-4)
        assert np.allclose(found, exact, atol=1e-5) == (rank == 10)


def test_covariances_are_calibrated_and_grow_far_from_the_data() -> None:
    train, val, test = linear_data(300, 40, 0.2, 0), linear_data(300, 40, 0.2, 1), linear_data(2000, 40, 0.2, 2)
    head = fit_regression(train, val)
    for (x_NF, y_ND), tolerance in ((val, 0.01), (test, 0.4)):
        value_ND, covariance_NDD = head(x_NF)
        error = (y_ND - value_ND).double()[..., None]
        nees = (error * torch.linalg.solve(covariance_NDD.double(), error)).sum((1, 2))
        assert float(nees.mean()) == pytest.approx(3, abs=tolerance)
    assert (torch.linalg.eigvalsh(covariance_NDD.double()) > 0).all()
    assert torch.equal(covariance_NDD, covariance_NDD.mT)
    far = head(train[0][:1] + 100)[1]
    assert float(far[0, 0, 0]) > 20 * float(covariance_NDD[:, 0, 0].mean())


def test_a_perfect_fit_keeps_a_usable_covariance() -> None:
    head = fit_regression(linear_data(300, 10, 0.0, 0), linear_data(100, 10, 0.0, 1))
    deviation_D = torch.linalg.cholesky(head.covariance_DD.double()).diagonal()
    assert ((deviation_D > 1e-4 * linear_data(300, 10, 0.0, 0)[1].std(0)) & deviation_D.isfinite()).all()


def test_class_heads_are_right_and_calibrated() -> None:
    (x_NF, y_ND), (x_val, y_val) = linear_data(400, 20, 0.5, 0), linear_data(400, 20, 0.5, 1)
    threshold = y_ND[:, 0].median()
    contact = fit_contact((x_NF, (y_ND[:, 0] > threshold).long()), (x_val, (y_val[:, 0] > threshold).long()))
    probability_N = contact(x_val)[:, 0]
    touching_N = y_val[:, 0] > threshold
    assert ((probability_N > 0.5) == touching_N).float().mean() > 0.8
    for low, high in ((0.0, 0.3), (0.3, 0.7), (0.7, 1.0)):
        inside = (probability_N >= low) & (probability_N <= high)
        assert float(touching_N[inside].float().mean()) == pytest.approx(float(probability_N[inside].mean()), abs=0.12)
    classes = fit_classification((x_NF, y_ND.argmax(1)), (x_val, y_val.argmax(1)), 4)(x_val)
    assert classes.shape == (400, 4) and torch.allclose(classes.sum(1), torch.ones(400)) and classes[:, 3].max() < 0.5
    assert float(classes.max(1).values.mean()) == pytest.approx(
        float((classes.argmax(1) == y_val.argmax(1)).float().mean()), abs=0.1
    )


# ---------------------------------------------------------------------------------------------------- the file


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder, a dataset, and the model exported from them."""
    folder = tmp_path_factory.mktemp("export")
    torch.manual_seed(0)
    save_encoder(Encoder(), folder / "run" / "encoder.safetensors", METADATA)
    write_dataset(folder / "data", TASKS)
    assert main(words(folder)) == ExitStatus.DONE
    return folder


def words(folder: Path, **changes: object) -> list[str]:
    named = {
        "encoder": folder / "run",
        "data": folder / "data",
        "out": folder / "tiny.onnx",
        "device": "cpu",
        **changes,
    }
    return ["export", *(str(word) for name, value in named.items() for word in (f"--{name.replace('_', '-')}", value))]


def session(files: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(files / "tiny.onnx", providers=["CPUExecutionProvider"])


def test_the_contract_in_the_file_is_valid_for_both_sides(files: Path) -> None:
    text = session(files).get_modelmeta().custom_metadata_map[METADATA_KEY]
    assert METADATA_KEY == contract.METADATA_KEY
    promise = json.loads(text)
    contract.check_contract(promise)
    parsed = parse_contract(text)
    assert set(parsed.outputs) == {"edge_pose", "force", "material_probabilities", "contact_probability"}
    assert promise["image"] == {"height": 32, "width": 32, "encoding": "rgb8"} and promise["frame"] == "vitactip_tip"
    assert (
        promise["provenance"]["simulated"]
        and promise["provenance"]["data_sha256"] == Dataset.open(files / "data").data_hash()
    )
    by_name = {output["name"]: output for output in promise["outputs"]}
    assert by_name["edge_pose"]["unit"] == ["m", "m", "rad"] and by_name["force"]["axes"] == ["fx", "fy", "fz"]
    assert by_name["contact_probability"]["class_names"] == ["contact"]
    assert by_name["material_probabilities"]["class_names"] == ["rubber", "wood", "steel"]
    assert 0 < by_name["edge_pose"]["validation_error"][0] < 3e-3, "metres"


def test_a_broken_contract_is_refused_by_field(files: Path) -> None:
    promise = json.loads(session(files).get_modelmeta().custom_metadata_map[METADATA_KEY])
    for change, said in [({"sensor": "Digit!"}, "sensor"), ({"outputs": []}, "outputs"), ({"version": 2}, "version"),
                         ({"outputs": promise["outputs"][:1] * 2}, "must differ")]:  # fmt: skip
        with pytest.raises(DataRefused, match=said):
            contract.check_contract({**promise, **change})


@pytest.mark.parametrize("batch_size", [1, 8])
def test_the_file_answers_in_si_units_for_any_batch(files: Path, batch_size: int) -> None:
    table = Dataset.open(files / "data").table("edge_pose", "vitactip")
    images = np.array(load_images(table.images, 32)[:batch_size])
    outputs = session(files).run(None, {"image": images})
    names = [output.name for output in session(files).get_outputs()]
    found = dict(zip(names, outputs, strict=True))
    assert found["edge_pose"].shape == (batch_size, 3) and found["edge_pose_covariance"].shape == (batch_size, 3, 3)
    assert found["contact_probability"].shape == (batch_size, 1)
    true_si = table.targets(("x_mm", "z_mm", "theta_deg"))[:batch_size] * [1e-3, 1e-3, np.pi / 180]
    assert (np.abs(found["edge_pose"] - true_si) < [6e-3, 4e-3, 1.6]).all()
    assert (np.linalg.eigvalsh(found["force_covariance"].astype(np.float64)) > 0).all()
    assert found["material_probabilities"].sum(1) == pytest.approx(1, abs=1e-5)


@pytest.fixture(scope="module")
def module_and_file(files: Path) -> tuple[DeployedModel, onnxruntime.InferenceSession, np.ndarray]:
    """A model put together here, its file, and the images its head was fitted on."""
    encoder, _ = load_encoder(files / "run")
    table = Dataset.open(files / "data").table("edge_pose", "vitactip")
    images = np.array(load_images(table.images, 32))
    phi_NF, y_ND = extract(encoder, READOUTS[READOUT], images), table.targets(("x_mm", "z_mm", "theta_deg"))
    train, val = ((phi_NF[rows], torch.from_numpy(y_ND[rows])) for rows in (slice(20, None), slice(20)))
    channels_NC = extract_trunk(Trunk(encoder), images, "channels").channels_BC
    familiarity = fit_familiarity(channels_NC[20:], channels_NC[:20]).with_growth({"edge_pose": 2.0})
    model = DeployedModel(Trunk(encoder), Heads({"edge_pose": fit_regression(train, val)}, familiarity))
    content = onnx_file.to_onnx(model, model.output_names, 32, {"any": "text"})
    return model, onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]), images


@pytest.mark.parametrize("batch_size", [1, 8])
def test_file_and_module_agree_on_dataset_images(module_and_file: tuple, batch_size: int) -> None:
    model, opened, images = module_and_file
    with torch.inference_mode():
        expected = [output.numpy() for output in model(torch.from_numpy(images))]
    for start in range(0, 24, batch_size):
        found = opened.run(None, {"image": images[start : start + batch_size]})
        for values, reference in zip(found, expected, strict=True):
            largest = 1e-4 * np.ptp(reference, axis=0)
            assert (np.abs(values - reference[start : start + batch_size]) <= largest).all()


def test_the_file_is_small_and_names_no_machine(files: Path) -> None:
    content = (files / "tiny.onnx").read_bytes()
    assert len(content) < 20e6, "layer 4 (33 MB) is not read by any head and must not be in the file"
    for word in (b".py", str(files).encode(), str(Path.home()).encode() + b"/"):
        assert word not in content


def test_the_card_states_what_was_measured(files: Path) -> None:
    text = (files / "tiny.md").read_text()
    for said in ("(simulated)", "theta", "NEES", "## Not good for", "edge_pose: 36 train, 12 val, 12 test", "`sarl`"):
        assert said in text, said
    for task in TASKS:
        assert (files / f"tiny.{task}.png").stat().st_size > 5000


def test_answers_that_are_no_numbers_are_no_agreement(module_and_file: tuple) -> None:
    model, _, images = module_and_file
    file = OnnxModel(onnx_file.to_onnx(model, model.output_names, 32, {"any": "text"}))
    assert max(onnx_file.compare(model, file, images[:3], {}).values()) <= onnx_file.PARITY
    spoilt = copy.deepcopy(model)
    with torch.no_grad():
        spoilt.heads.heads["edge_pose"].bias_D.fill_(torch.nan)
    with pytest.raises(RunFailed, match="differ by nan"):
        onnx_file.compare(spoilt, file, images[:3], {})


def test_a_file_with_fewer_tasks_keeps_no_picture_of_the_others(files: Path, tmp_path: Path) -> None:
    for tasks in (TASKS, ["contact"]):
        assert main([*words(files, out=tmp_path / "x.onnx"), "--tasks", *tasks]) == ExitStatus.DONE
        assert {path.suffixes[0][1:] for path in tmp_path.glob("x.*.png")} == set(tasks)


def test_a_class_head_that_found_nothing_to_say_does_not_stop_the_export(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nearly_constant(*folds: object) -> torch.nn.Module:
        head = fit_classification(*folds)
        head.weight_FD.mul_(1e-5 / head.sharpness)
        return head

    monkeypatch.setattr(head_fitting, "fit_classification", nearly_constant)
    assert main(words(files, out=tmp_path / "x.onnx", tasks="material")) == ExitStatus.DONE


def test_a_file_that_differs_is_not_written(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(onnx_file, "PARITY", -1.0)
    assert main(words(files, out=tmp_path / "m" / "x.onnx", tasks="contact")) == ExitStatus.FAILED
    assert "contact_probability: ONNX and PyTorch differ" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_bad_words_and_data_are_one_line(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one_kind = write_dataset(tmp_path / "one_kind", {"contact": 5})
    inverted = write_dataset(tmp_path / "inverted", {"contact": 40})
    (inverted / "contact" / "vitactip" / "classes.json").write_text('["contact", "no_contact"]')
    for change, status, said in [
        ({"out": tmp_path / "x.pt"}, ExitStatus.USAGE, "must end in .onnx"),
        ({"tasks": "smell"}, ExitStatus.USAGE, "unknown task"),
        ({"encoder": tmp_path}, ExitStatus.REFUSED, "no such file"),
        ({"data": one_kind}, ExitStatus.REFUSED, "every train sample is no_contact"),
        ({"data": inverted}, ExitStatus.REFUSED, "has contact, no_contact; allowed is no_contact, contact, in this"),
    ]:
        assert main(words(files, **{"out": tmp_path / "x.onnx", **change})) == status
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("sarl-train:")]
        assert len(lines) == 1 and said in lines[0]
        assert not [*tmp_path.glob("x.*")]

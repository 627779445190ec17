"""The linear probe finds what is linear, scores it right, and `sarl-train probe` reports it beside its baselines."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from tiny_dataset import write_dataset

from sarl_training.cli import main
from sarl_training.errors import ExitStatus
from sarl_training.features import extract, random_encoder
from sarl_training.linear_probe import fit_classification_probe, fit_regression_probe
from sarl_training.networks import Encoder, save_encoder
from sarl_training.probe_metrics import classification_scores, prior, regression_scores, table_lines
from sarl_training.readouts import READOUTS

METADATA = {
    "image_size": 32, "method": "sarl", "run": "tiny", "commit": "unknown", "config_sha256": "0" * 64,
    "data_sha256": "0" * 64, "sensor": "vitactip", "simulated": True,
}  # fmt: skip


def blobs(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(count, 8, generator=random), torch.randn(8, 3, generator=torch.Generator().manual_seed(7))


def test_a_linear_relation_is_found_in_label_units() -> None:
    folds = []
    for count, seed in ((600, 0), (100, 1), (100, 2)):
        x_NF, weight_FD = blobs(count, seed)
        folds.append((x_NF, x_NF @ weight_FD * torch.tensor([1.0, 0.1, 30.0]) + torch.tensor([5.0, 0.0, -100.0])))
    probe = fit_regression_probe(folds[0], folds[1], seeds=range(3))
    scores = regression_scores(probe.predict(folds[2][0]), folds[2][1], ("a_mm", "b_mm", "c_deg"))
    spread = folds[2][1].std(0)
    assert all(scores[name] < 0.02 * spread[d] for d, name in enumerate(("a_mm", "b_mm", "c_deg")))
    assert scores["mean"] == pytest.approx(np.mean([scores["a_mm"], scores["b_mm"], scores["c_deg"]]))


def test_dimensions_of_unlike_scale_and_dead_ones_are_read_as_well() -> None:
    scale_F = torch.tensor([1.0, 0.5, 0.2, 0.1, 1.0, 3.0, 0.1, 0.0])
    folds = []
    for count, seed in ((600, 0), (100, 1), (100, 2)):
        z_NF, weight_FD = blobs(count, seed)
        folds.append((z_NF * scale_F + 3.0, z_NF[:, :7] @ weight_FD[:7]))
    probe = fit_regression_probe(folds[0], folds[1], seeds=(0,))
    error_D = (probe.predict(folds[2][0])[0] - folds[2][1]).abs().mean(0)
    assert (error_D < 0.03 * folds[2][1].std(0)).all()


def test_a_dimension_that_hardly_moved_in_training_does_not_shout_later() -> None:
    folds = []
    for count, seed in ((600, 0), (100, 1), (100, 2)):
        x_NF, weight_FD = blobs(count, seed)
        x_NF[:, 7] = 0.0
        noise_ND = 0.3 * torch.randn(count, 3, generator=torch.Generator().manual_seed(seed + 9))
        folds.append((x_NF, x_NF @ weight_FD + noise_ND))
    folds[0][0][:3, 7] = torch.tensor([1e-4, 2e-4, 3e-4])  # on three images only, as of a unit behind a ReLU
    folds[2][0][:, 7] = 1e-2
    probe = fit_regression_probe(folds[0], folds[1], seeds=(0,))
    error_D = (probe.predict(folds[2][0])[0] - folds[2][1]).abs().mean(0)
    assert (error_D < folds[2][1].std(0)).all()  # 5 to 8 times that when each dimension is scaled by its own spread


def test_linearly_separable_classes_are_separated() -> None:
    (x_NF, weight_FK), (x_val, _) = blobs(500, 0), blobs(200, 1)
    probe = fit_classification_probe(
        (x_NF, (x_NF @ weight_FK).argmax(1)), (x_val, (x_val @ weight_FK).argmax(1)), 3, (0, 1)
    )
    assert classification_scores(probe.predict(x_val), (x_val @ weight_FK).argmax(1))["top1"] > 0.9


def test_seeds_trained_together_equal_seeds_trained_alone() -> None:
    x_NF, weight_FD = blobs(300, 0)
    fold = x_NF, (x_NF @ weight_FD).sin()
    together = fit_regression_probe(fold, fold, seeds=(3, 4), epochs=3)
    alone = fit_regression_probe(fold, fold, seeds=(4,), epochs=3)
    assert torch.allclose(together.weight_SFD[1], alone.weight_SFD[0], atol=1e-5)
    assert not torch.allclose(together.weight_SFD[0], together.weight_SFD[1], atol=1e-3)


def test_scores_of_known_answers() -> None:
    true = torch.tensor([[1.0, -1.0], [3.0, 1.0]])
    scores = regression_scores(torch.stack([true + 1, true - torch.tensor([3.0, 0.0])]), true, ("x_mm", "z_mm"))
    assert (scores["x_mm"], scores["x_mm_std"], scores["z_mm"]) == pytest.approx((2.0, 1.0, 0.5))
    labels = torch.tensor([0, 1, 6, 6])
    ranks = classification_scores(prior(torch.tensor([6, 6, 5, 4, 3, 2, 0]), 7, 4), labels)
    assert ranks["top1"] == 0.5 and ranks["top5"] >= 0.5 and ranks["top1_std"] == 0
    assert set(classification_scores(torch.zeros(1, 4, 3), labels.clamp(max=2))) == {"top1", "top1_std"}


def test_a_random_encoder_is_repeatable_and_normalised() -> None:
    images = np.random.default_rng(0).integers(0, 255, (48, 32, 32, 3), dtype=np.uint8)
    first, again = (random_encoder(images, 3, torch.device("cpu")) for _ in range(2))
    phi_NF = extract(first, READOUTS["gap"], images)
    assert phi_NF.shape == (48, 512) and torch.equal(phi_NF, extract(again, READOUTS["gap"], images))
    assert first.layer3[0].bn1.momentum == Encoder().layer3[0].bn1.momentum, "fine-tuned as any other encoder"
    assert not first.training and 0.1 < float(first.layer3[0].bn1.running_var.median()) < 10


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("probe")
    torch.manual_seed(0)
    save_encoder(Encoder(), folder / "run" / "encoder.safetensors", METADATA)
    write_dataset(folder / "data", {"edge_pose": 40, "material": 45})
    return folder


def test_probe_reports_every_task_beside_its_baselines(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = files / "out"
    words = [
        "probe",
        "--encoder",
        str(files / "run"),
        "--data",
        str(files / "data"),
        "--out",
        str(out),
        "--device",
        "cpu",
    ]
    assert main(words) == ExitStatus.DONE
    record = json.loads((out / "probe.json").read_text())
    for model in ("encoder", "random_init", "mean"):
        edge, material = (record["tasks"][task][model]["test"] for task in ("edge_pose", "material"))
        assert set(edge) == {f"{name}{end}" for name in ("x_mm", "z_mm", "theta_deg", "mean") for end in ("", "_std")}
        assert set(material) == {"top1", "top1_std"}
    assert record["tasks"]["edge_pose"]["count"] == {"train": 24, "val": 8, "test": 8}
    assert record["simulated"] and record["encoder"]["method"] == "sarl" and len(record["data"]["sha256"]) == 64
    assert {"command", "seed", "commit", "image_size"} <= set(record)
    assert (out / "edge_pose.png").stat().st_size > 5000 and (out / "material.png").stat().st_size > 5000
    printed = capsys.readouterr().out
    assert "(simulated)" in printed and "mean predictor" in printed and "theta_deg" in printed


def test_the_table_shows_mean_and_spread() -> None:
    scores = {"test": {"top1": 0.5, "top1_std": 0.01}}
    lines = table_lines("shape", {"encoder": scores, "random_init": scores, "mean": scores})
    assert len(lines) == 4 and "50.000 ± 1.000" in lines[1]


def labels_all_the_same(data: Path, out: Path) -> Path:
    shutil.copytree(data, out)
    for task, column, value in (("edge_pose", "x_mm", "0.5"), ("material", "label", "1")):
        file = out / task / "vitactip" / "labels.csv"
        with file.open(newline="") as text:
            rows = list(csv.DictReader(text))
        with file.open("w", newline="") as text:
            writer = csv.DictWriter(text, rows[0])
            writer.writeheader()
            writer.writerows({**row, column: value} for row in rows)
    return out


def test_bad_words_and_files_are_one_line(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(2)}, other, metadata={"architecture": "vit"})
    (tmp_path / "cut.safetensors").write_bytes((files / "run" / "encoder.safetensors").read_bytes()[:5000])
    flat = tmp_path / "flat"
    flat.mkdir()
    (flat / "a.jpg").write_bytes(next((files / "data").rglob("*.jpg")).read_bytes())
    same = labels_all_the_same(files / "data", tmp_path / "same")
    cases = [
        ({"--encoder": other}, ExitStatus.REFUSED, "architecture"),
        ({"--encoder": tmp_path / "cut.safetensors"}, ExitStatus.REFUSED, "cut.safetensors"),
        ({"--encoder": tmp_path / "none"}, ExitStatus.REFUSED, "no such file"),
        ({"--data": tmp_path / "none"}, ExitStatus.REFUSED, "no such folder"),
        ({"--data": flat}, ExitStatus.REFUSED, "without labels"),
        ({"--tasks": "smell"}, ExitStatus.USAGE, "unknown task"),
        ({"--tasks": "force"}, ExitStatus.USAGE, "no task 'force'"),
        ({"--sensor": "nose"}, ExitStatus.USAGE, "nose"),
        ({"--image-size": "7"}, ExitStatus.USAGE, "7"),
        ({"--out": files / "data" / "edge_pose"}, ExitStatus.USAGE, "is in the folder of --data"),
        ({"--data": same, "--tasks": "material"}, ExitStatus.REFUSED, "every train sample is wood"),
        ({"--data": same, "--tasks": "edge_pose"}, ExitStatus.REFUSED, "x_mm is 0.5 in every train sample"),
    ]
    for change, status, said in cases:
        words = {"--encoder": files / "run", "--data": files / "data", "--out": tmp_path / "out", **change}
        assert main(["probe", *(str(word) for pair in words.items() for word in pair)]) == status, change
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("sarl-train:")]
        assert len(lines) == 1 and said in lines[0], change
        assert not (tmp_path / "out").exists()

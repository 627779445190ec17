"""Transfer: the paper's protocol on any classification set, beside random weights and training from scratch."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tiny_dataset import bar_image

from sarl_training.cli import main
from sarl_training.dataset import DatasetWriter
from sarl_training.errors import ExitStatus
from sarl_training.features import random_encoder
from sarl_training.fine_tuning import FineTuning, _Tail, fine_tune
from sarl_training.networks import Encoder, normalise, save_encoder

METADATA = {"image_size": 32, "method": "sarl", "sensor": "vitactip", "simulated": True}
COLOURS = {"red": (250, 40, 40), "green": (40, 250, 40), "blue": (40, 40, 250)}
SPLITS = ("train", "train", "train", "val", "test")


def images_and_labels(count: int) -> tuple[np.ndarray, list[int]]:
    rng = np.random.default_rng(0)
    labels = [index // len(SPLITS) % len(COLOURS) for index in range(count)]
    names = list(COLOURS)
    drawn = [bar_image(rng.uniform(-1, 1), rng.uniform(-45, 45), 32, COLOURS[names[label]]) for label in labels]
    return np.clip(np.stack(drawn) + rng.normal(0, 4, (count, 32, 32, 3)), 0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("transfer")
    torch.manual_seed(0)
    save_encoder(Encoder(), folder / "run" / "encoder.safetensors", METADATA)
    tasks = {"tools": {"kind": "classification", "columns": ["label"]}}
    with DatasetWriter(folder / "data", {"name": "tiny", "simulated": False, "seed": 0, "tasks": tasks}) as writer:
        images, labels = images_and_labels(30)
        for sensor in ("gelsight", "pnutac"):
            rows = []
            for index, (image, label) in enumerate(zip(images, labels, strict=True)):
                name = f"{sensor}-{index:06d}"
                image_name = writer.add_image("tools", sensor, index, image)
                rows.append(dict(sample_id=name, image=image_name, latent_id=name, group_id=name,
                                 split=SPLITS[index % len(SPLITS)], label=label))  # fmt: skip
            writer.write_labels("tools", sensor, rows, list(COLOURS))
    return folder


def test_the_head_sees_both_pooled_layers_and_only_layer_4_and_the_head_learn() -> None:
    encoder = Encoder().eval()
    tail = _Tail(encoder, 3, whole=False).eval()
    trained = {name.partition(".")[0] for name, _ in tail.named_parameters()}
    assert trained == {"layer4", "head"}
    images, _ = images_and_labels(4)
    features = encoder(normalise(torch.from_numpy(images)))
    pooled = torch.cat([features.maps["layer3"].mean((2, 3)), features.maps["layer4"].mean((2, 3))], 1)
    expected = pooled @ tail.head.weight.T + tail.head.bias
    assert torch.allclose(tail(features.maps["layer3"]), expected, atol=1e-5)
    assert torch.allclose(_Tail(encoder, 3, whole=True).eval().trunk(normalise(torch.from_numpy(images))),
                          features.maps["layer3"])  # fmt: skip


@pytest.mark.parametrize("trained", ["layer4", "all"])
def test_colours_are_learned_the_same_again_and_the_encoder_stays(trained: str) -> None:
    images, labels = images_and_labels(60)
    rows = {split: torch.tensor([i for i in range(60) if SPLITS[i % 5] == split]) for split in ("train", "val", "test")}
    encoder = random_encoder(images, 1, torch.device("cpu"))
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    settings = FineTuning(trained, epochs=12, batch_size=12, lr=1e-3)
    first, again = (fine_tune(encoder, images, torch.tensor(labels), rows, 3, settings, seed=5) for _ in range(2))
    assert (first["test"].argmax(1) == torch.tensor(labels)[rows["test"]]).float().mean() > 0.8
    assert torch.equal(first["test"], again["test"])
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_transfer_reports_every_set_beside_its_bounds(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["transfer", "--encoder", files / "run", "--data", files / "data", "--out", files / "out"]
    words += ["--epochs", 1, "--batch-size", 9, "--seeds", 2, "--device", "cpu"]
    assert main([str(word) for word in words]) == ExitStatus.DONE
    record = json.loads((files / "out" / "transfer.json").read_text())
    assert set(record["sets"]) == {"tools/gelsight", "tools/pnutac"}
    for scores in record["sets"].values():
        assert set(scores) == {"encoder", "random_init", "supervised"}
        for model in scores.values():
            assert set(model["test"]) == {"top1", "top1_std"} and 0 <= model["test"]["top1"] <= 1
    assert cv2.imread(str(files / "out" / "transfer.png")).std() > 20
    assert record["simulated"] is False and record["seeds"] == 2 and len(record["data"]["sha256"]) == 64
    printed = capsys.readouterr().out
    assert "(simulated)" not in printed and "random-init" in printed and "±" in printed


def test_the_sensor_of_the_encoder_is_said_to_be_no_transfer(
    files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for sensor in ("gelsight", "vitac"):
        caplog.clear()
        save_encoder(Encoder(), tmp_path / "run" / "encoder.safetensors", {**METADATA, "sensor": sensor})
        words = ["transfer", "--encoder", tmp_path / "run", "--data", files / "data", "--out", tmp_path / "out"]
        words += ["--models", "encoder", "--epochs", 1, "--batch-size", 9, "--seeds", 1, "--device", "cpu"]
        assert main([str(word) for word in words]) == ExitStatus.DONE
        assert ("tools/gelsight is no transfer" in caplog.text) == (sensor == "gelsight")


def test_bad_words_and_files_are_one_line(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    (flat / "a.jpg").write_bytes(next((files / "data").rglob("*.jpg")).read_bytes())
    cases = [
        ({"--encoder": tmp_path / "none"}, ExitStatus.REFUSED, "no such file"),
        ({"--encoder": None}, ExitStatus.USAGE, "--encoder"),
        ({"--data": flat}, ExitStatus.REFUSED, "without labels"),
        ({"--tasks": "shape"}, ExitStatus.USAGE, "shape"),
        ({"--sensors": "nose"}, ExitStatus.USAGE, "nose"),
        ({"--epochs": 0}, ExitStatus.USAGE, "epochs 0"),
        ({"--seeds": 0}, ExitStatus.USAGE, "--seeds 0"),
    ]
    for change, status, said in cases:
        words = {"--encoder": files / "run", "--data": files / "data", "--out": tmp_path / "out", **change}
        given = [str(word) for pair in words.items() if pair[1] is not None for word in pair]
        assert main(["transfer", *given]) == status, change
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("sarl-train:")]
        assert len(lines) == 1 and said in lines[0], (change, lines)
        assert not (tmp_path / "out").exists()

"""The encoder, its file, the target network, the optimiser."""

import copy

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from sarl_training.errors import DataRefused, RunFailed, UsageError
from sarl_training.networks import MAP_CHANNELS, Encoder, load_encoder, normalise, predictor, projector, save_encoder
from sarl_training.optim import OptimConfig, build_optimiser, learning_rate
from sarl_training.target_network import TargetNetwork

METADATA = {"image_size": 64, "method": "sarl", "simulated": True}


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder().eval()


def test_features_have_the_shapes_promised(encoder):
    features = encoder(torch.randn(2, 3, 64, 64))
    assert features.embedding_BD.shape == (2, 512)
    assert {name: tuple(m.shape[1:]) for name, m in features.maps.items()} == {
        "layer2": (128, 8, 8),
        "layer3": (256, 4, 4),
        "layer4": (512, 2, 2),
    }
    assert {name: m.shape[1] for name, m in features.maps.items()} == MAP_CHANNELS
    torch.testing.assert_close(features.embedding_BD, features.maps["layer4"].mean(dim=(2, 3)))


def test_heads_and_normalisation():
    projection = projector()(torch.randn(4, 512))
    assert predictor()(projection).shape == (4, 256)
    torch.testing.assert_close(projection.mean(dim=0), torch.zeros(256), atol=1e-5, rtol=0)  # BN without scale or shift
    images = torch.tensor([0, 255, 51], dtype=torch.uint8).expand(1, 2, 2, 3)
    assert normalise(images)[0, :, 0, 0].tolist() == pytest.approx([-1, 1, -0.6], abs=1e-6)


def test_an_encoder_survives_its_file(encoder, tmp_path):
    save_encoder(encoder, tmp_path / "encoder.safetensors", METADATA)
    x = torch.randn(1, 3, 32, 32)
    for path in (tmp_path, tmp_path / "encoder.safetensors"):
        loaded, metadata = load_encoder(path)
        assert not loaded.training
        assert torch.equal(loaded(x).embedding_BD, encoder(x).embedding_BD)
        assert metadata == {"architecture": "resnet18", "image_size": "64", "method": "sarl", "simulated": "true"}
    assert [p.name for p in tmp_path.iterdir()] == ["encoder.safetensors"]


def test_other_files_are_refused(encoder, tmp_path):
    with pytest.raises(DataRefused, match="no such file"):
        load_encoder(tmp_path)
    path = tmp_path / "encoder.safetensors"
    save_encoder(encoder, path, METADATA)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DataRefused, match="not a whole safetensors file"):
        load_encoder(path)
    path.write_bytes(b"not weights at all")
    with pytest.raises(DataRefused, match="not a whole safetensors file"):
        load_encoder(path)
    safetensors.torch.save_file({"weight": torch.zeros(3)}, path, metadata={"architecture": "resnet50"})
    with pytest.raises(DataRefused, match="architecture 'resnet50'"):
        load_encoder(path)
    safetensors.torch.save_file({"weight": torch.zeros(3)}, path, metadata={"architecture": "resnet18"})
    with pytest.raises(DataRefused, match="do not fit"):
        load_encoder(path)
    with torch.no_grad():
        spoilt = copy.deepcopy(encoder)
        spoilt.layer2[0].conv1.weight[0, 0, 0, 0] = torch.nan
    save_encoder(spoilt, path, METADATA)
    with pytest.raises(DataRefused, match=r"layer2\.0\.conv1\.weight holds numbers that are not finite"):
        load_encoder(path)


def test_a_folder_of_several_encoders_names_them(encoder, tmp_path):
    for task in ("edge_pose", "force"):
        save_encoder(encoder, tmp_path / task / "encoder.safetensors", METADATA)
    with pytest.raises(DataRefused, match=r"one of them: .*/edge_pose, .*/force"):
        load_encoder(tmp_path)


def test_a_full_disk_leaves_the_old_encoder(encoder, tmp_path, monkeypatch):
    path = tmp_path / "encoder.safetensors"
    path.write_bytes(b"the old one")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunFailed, match="No space left on device"):
        save_encoder(encoder, path, METADATA)
    assert path.read_bytes() == b"the old one"
    assert len(list(tmp_path.iterdir())) == 1


def test_target_follows_parameters_and_keeps_its_own_batch_norm():
    torch.manual_seed(0)
    online = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    target = TargetNetwork(online)
    before = target.network[0].weight.clone()
    online(torch.randn(8, 3) + 5)
    with torch.no_grad():
        online[0].weight += 1
    target.update(online, 0.9)
    torch.testing.assert_close(target.network[0].weight, 0.9 * before + 0.1 * online[0].weight)
    assert target.network[1].running_mean.abs().sum() == 0
    output = target(torch.randn(8, 3, requires_grad=True))
    assert not output.requires_grad
    assert target.network[1].running_mean.abs().sum() > 0
    assert not any(p.requires_grad for p in target.parameters())


def test_weight_decay_spares_vectors_and_named_parameters():
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2, bias=False))
    spared = build_optimiser(module, OptimConfig(weight_decay=0.1), ["2.weight"])
    assert [(group["weight_decay"], len(group["params"])) for group in spared.param_groups] == [(0.1, 1), (0.0, 4)]
    everything = build_optimiser(module, OptimConfig(weight_decay=0.1, decay_all=True), ["2.weight"])
    assert [(group["weight_decay"], len(group["params"])) for group in everything.param_groups] == [(0.1, 5)]
    assert everything.defaults["betas"] == (0.9, 0.999)


def test_learning_rate_warms_up_and_falls():
    config = OptimConfig(lr=1.0, warmup=0.1)
    rates = np.array([learning_rate(step, 100, config) for step in range(100)])
    assert rates[:10] == pytest.approx(np.arange(1, 11) / 10)
    assert (np.diff(rates[10:]) < 0).all()
    assert rates[55] == pytest.approx(0.5)
    assert 0 < rates[99] < 1e-3
    constant = OptimConfig(lr=2.0, warmup=0.0, schedule="constant")
    assert {learning_rate(step, 100, constant) for step in range(100)} == {2.0}
    with pytest.raises(UsageError, match="lr must be above 0"):
        OptimConfig(lr=0.0)

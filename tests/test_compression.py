"""A compressed file: what is quantised, that heads stay as they were fitted, and that a loss is refused."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from test_export import TASKS, words
from test_probe import METADATA
from tiny_dataset import write_dataset

from sarl_training import compression, quantisation
from sarl_training.cli import main
from sarl_training.deployed_model import DeployedModel, Heads, Trunk
from sarl_training.deployment_heads import fit_regression
from sarl_training.errors import ExitStatus
from sarl_training.familiarity import fit_familiarity
from sarl_training.features import extract_trunk
from sarl_training.int8_convolution import with_integer_products
from sarl_training.networks import Encoder, save_encoder
from sarl_training.onnx_file import INPUT, OnnxModel, finish, trace
from sarl_training.quantisation import in_layers, input_peaks

SIZE = 32


class Parts(NamedTuple):
    """A trunk, heads fitted on it, the graph of each (tracing takes seconds), and images."""

    trunk: Trunk
    heads: Heads
    graph: bytes
    heads_graph: bytes
    images: np.ndarray

    def joined(self, trunk_graph: bytes) -> OnnxModel:
        outputs = [*self.heads.output_names, "saliency"]
        graph = quantisation.join(trunk_graph, self.heads_graph, compression.LINKS, outputs)
        return OnnxModel(finish(graph, {"any": "text"}))


@pytest.fixture(scope="module")
def parts() -> Parts:
    torch.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (48, SIZE, SIZE, 3), np.uint8)
    trunk = Trunk(Encoder())
    features = extract_trunk(trunk, images, "features")
    fold = features.phi_BF, torch.randn(48, 3) * 1e-3
    heads = Heads({"force": fit_regression(fold, fold)}, fit_familiarity(features.channels_BC, features.channels_BC))
    names = [*compression.LINKS, "saliency"]
    graph = trace(trunk, {INPUT: torch.zeros(2, SIZE, SIZE, 3, dtype=torch.uint8)}, names)
    examples = {"phi": features.phi_BF[:2], "channels": features.channels_BC[:2]}
    heads_graph = trace(heads, examples, heads.output_names)
    return Parts(trunk, heads, graph.SerializeToString(), heads_graph.SerializeToString(), images)


def test_joined_graphs_answer_like_the_module(parts: Parts) -> None:
    trunk, heads, graph, _, images = parts
    found = parts.joined(graph)(images)
    model = DeployedModel(trunk, heads)
    with torch.inference_mode():
        expected = dict(zip(model.output_names, model(torch.from_numpy(images)), strict=True))
    assert list(found) == model.output_names
    for name, values in expected.items():
        assert found[name] == pytest.approx(values.numpy(), rel=1e-3, abs=1e-5 * float(values.abs().max())), name


def test_joined_int8_graph_is_near_float(parts: Parts) -> None:
    trunk, _, graph, _, images = parts
    file = with_integer_products(graph, in_layers(input_peaks(trunk, images), ("layer1", "layer3")))
    plain, found = OnnxModel(graph)(images), OnnxModel(file)(images)
    error = np.abs(found["phi"] - plain["phi"]).mean() / plain["phi"].std()
    assert 0 < error < 0.05
    assert set(parts.joined(file)(images)) == {"force", "force_covariance", "unfamiliarity", "saliency"}


def test_fp16_keeps_inputs_and_outputs_float(parts: Parts) -> None:
    graph, images = parts.graph, parts.images
    file = quantisation.to_fp16(graph)
    assert len(file) < 0.6 * len(graph)
    plain, found = OnnxModel(graph)(images), OnnxModel(file)(images)
    assert found["phi"].dtype == np.float32
    assert np.abs(found["phi"] - plain["phi"]).max() < 0.02 * plain["phi"].std()
    assert np.isfinite(parts.joined(file)(images)["force_covariance"]).all()


@pytest.mark.parametrize("kind", ["int8", pytest.param("fp16", marks=pytest.mark.slow)])
def test_export_compresses(
    kind: str, tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path)
    monkeypatch.setattr(compression, "MOST_LOSS", 10.0)
    assert main(words(tmp_path, quantize=kind, out=tmp_path / "small.onnx")) == ExitStatus.DONE
    assert kind.upper() in capsys.readouterr().out
    assert "## Against float32" in (tmp_path / "small.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["int8", "fp16"])
def test_export_refuses_a_loss(
    kind: str, tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path)
    monkeypatch.setattr(compression, "MOST_LOSS", -1.0)
    monkeypatch.setattr(compression, "INT8_LADDER", compression.INT8_LADDER[-2:])
    assert main(words(tmp_path, quantize=kind, out=tmp_path / "none.onnx")) == ExitStatus.FAILED
    assert "against float32, allowed" in capsys.readouterr().err
    assert not [*tmp_path.glob("none*")]


def write_run(folder: Path) -> None:
    """An encoder that was never trained, and data."""
    torch.manual_seed(0)
    save_encoder(Encoder(), folder / "run" / "encoder.safetensors", METADATA)
    write_dataset(folder / "data", TASKS)

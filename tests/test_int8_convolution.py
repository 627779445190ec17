"""INT8 convolutions: onnxruntime's result is the fake-quantised one of PyTorch, through the integer kernel."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn import functional

from sarl_training.deployed_model import Trunk
from sarl_training.int8_convolution import (
    LARGEST_WEIGHT,
    convolutions,
    round_weight,
    step_sizes,
    with_integer_products,
    with_rounded_weights,
)
from sarl_training.networks import Encoder
from sarl_training.onnx_file import OnnxModel, trace
from sarl_training.quantisation import in_layers, input_peaks
from sarl_training.ridge import NOISE_WEIGHT, decompose, fit_ridge

INPUT = "image"


class Convolution(nn.Module):
    """One 3×3 convolution of a non-negative image, as layers 1 to 3 have it."""

    def __init__(self, channels: int, size: int, stride: int) -> None:
        super().__init__()
        torch.manual_seed(channels + stride)
        self.part = nn.Conv2d(channels, 8, 3, stride, 1)
        self.image_BCHW = torch.rand(2, channels, size, size) * torch.linspace(0.01, 3, channels)[:, None, None]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.part(image)

    def file(self) -> bytes:
        return trace(self, {INPUT: self.image_BCHW}, ["y"]).SerializeToString()


def run(file: bytes, image: torch.Tensor, optimised: Path | None = None) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if optimised is not None:
        options.optimized_model_filepath = str(optimised)
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return session.run(None, {INPUT: image.numpy()})[0]


@pytest.mark.parametrize(("channels", "size", "stride"), [(3, 9, 1), (16, 12, 2), (4, 7, 2)])
def test_onnxruntime_computes_the_fake_quantised_convolution(
    channels: int, size: int, stride: int, tmp_path: Path
) -> None:
    module = Convolution(channels, size, stride)
    peak_I = module.image_BCHW.amax((0, 2, 3)).numpy()
    file = with_integer_products(module.file(), {"part": peak_I})
    found = run(file, module.image_BCHW, tmp_path / "optimised.onnx")

    step_I = torch.from_numpy(step_sizes(peak_I)).double()[:, None, None]
    seen = torch.clamp(torch.round(module.image_BCHW.double() / step_I), 0, 255) * step_I
    levels, scale = round_weight(module.part.weight.detach().numpy(), step_sizes(peak_I))
    weight = torch.from_numpy(levels * scale[:, None, None, None].astype(np.float64)) / step_I
    expected = functional.conv2d(seen, weight, module.part.bias.detach().double(), stride, 1).numpy()
    assert found.shape == expected.shape
    # one activation on a rounding tie may fall on the other side: one level times one weight
    assert np.quantile(np.abs(found - expected), 0.99) < 1e-5 * np.abs(expected).max()
    assert np.abs(found - expected).max() < float((step_I * weight.abs()).max()) * 1.01
    kinds = {node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node}
    assert "MatMulIntegerToFloat" in kinds and "MatMul" not in kinds, "the fast kernel"

    exact = run(with_rounded_weights(module.file(), {"part": peak_I}), module.image_BCHW)
    reference = functional.conv2d(module.image_BCHW.double(), weight, module.part.bias.detach().double(), stride, 1)
    assert exact == pytest.approx(reference.numpy(), abs=1e-5 * float(reference.abs().max()))


def test_weights_are_at_most_half_a_step_off_and_cannot_saturate() -> None:
    rng = np.random.default_rng(0)
    weight, step = rng.normal(size=(5, 4, 3, 3)).astype(np.float32), np.array([0.1, 1e-3, 2, 0.5], np.float32)
    levels, scale = round_weight(weight, step)
    scaled = weight * step[:, None, None]
    assert (np.abs(levels).max((1, 2, 3)) == LARGEST_WEIGHT).all()
    assert 2 * 255 * LARGEST_WEIGHT < 2**15
    assert (np.abs(levels * scale[:, None, None, None] - scaled) <= 0.501 * scale[:, None, None, None]).all()
    assert np.isfinite(round_weight(np.zeros_like(weight), step)[1]).all()
    assert (step_sizes(np.array([0, 255.0])) == np.array([1e-3, 1], np.float32)).all()


def test_layers_asked_for_and_no_other_are_integer() -> None:
    torch.manual_seed(0)
    trunk, size = Trunk(Encoder()), 32
    images = np.random.default_rng(0).integers(0, 256, (5, size, size, 3), np.uint8)
    graph = trace(trunk, {INPUT: torch.from_numpy(images[:2])}, ["phi", "channels", "saliency"]).SerializeToString()
    known = convolutions(onnx.load_from_string(graph).graph)
    assert len(known) == 12 and not any("downsample" in name or "stem" in name for name in known)
    peaks = {name: peak for name, peak in input_peaks(trunk, images).items() if name in known}
    assert set(peaks) == set(known)
    chosen = in_layers(peaks, ("layer1", "layer2.0.conv1"))
    assert len(chosen) == 5
    with torch.inference_mode():
        seen = trunk.encoder.stem[:3](torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1)
        pooled = trunk.encoder.stem[3](seen).amax((0, 2, 3)).numpy()
    assert peaks["encoder.layer1.0.conv1"] == pytest.approx(pooled, rel=1e-5)
    file = with_integer_products(graph, chosen)
    onnx.checker.check_model(onnx.load_from_string(file))
    left = convolutions(onnx.load_from_string(file).graph)
    assert set(left) == set(known) - set(chosen)
    assert OnnxModel(file)(images)["phi"].shape == (5, 12288)


def test_features_that_will_be_noisy_are_trusted_less() -> None:
    """With a noise variance, ridge is the one that penalises weight w_F by its share of noise (closed form)."""
    random = torch.Generator().manual_seed(0)
    x, y = torch.randn(40, 6, generator=random).double(), torch.randn(40, 2, generator=random).double()
    noise = torch.tensor([0, 0, 0, 0.1, 1, 10]).double()
    ridge = fit_ridge(decompose(x, noise), (x, y), (x, y))
    scale = (x.var(0, correction=0) * 1 + 0.01 * x.var(0, correction=0).mean() + NOISE_WEIGHT * noise).sqrt()
    centred = x - x.mean(0)
    penalty = ridge.penalty * torch.diag(scale.square())
    expected = torch.linalg.solve(centred.T @ centred + penalty, centred.T @ (y - y.mean(0)))
    assert torch.allclose(ridge.weight_FD / scale[:, None], expected, rtol=1e-6, atol=1e-9)

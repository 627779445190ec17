"""Providers: the order of preference, what is skipped, and what each is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from sarl_perception.contract import ModelRefused
from sarl_perception.estimator import TactileEstimator
from sarl_perception.execution import PREFERENCE, choose_providers, engine_cache, provider_options
from tiny_model import SIZE, write_model

TENSORRT, CUDA, OPENVINO, CPU = PREFERENCE


@pytest.mark.parametrize(
    ("wanted", "available", "chosen"),
    [
        (["auto"], [TENSORRT, CUDA, CPU], [TENSORRT, CUDA, CPU]),
        (["auto"], ["AzureExecutionProvider", CPU], [CPU]),
        (["auto"], [OPENVINO, CPU], [OPENVINO, CPU]),
        ([CUDA], [TENSORRT, CUDA, CPU], [CUDA, CPU]),
        ([CPU], [TENSORRT, CUDA, CPU], [CPU]),
        ([CPU, OPENVINO], [OPENVINO, CPU], [CPU, OPENVINO]),
        (["RknpuExecutionProvider", "auto"], [OPENVINO, CPU], [OPENVINO, CPU]),
        ([TENSORRT, CPU], [CPU], [CPU]),
    ],
)
def test_the_first_wanted_that_is_installed_comes_first(wanted: list, available: list, chosen: list) -> None:
    assert choose_providers(wanted, available) == chosen


def test_nothing_usable_is_refused_with_what_there_is() -> None:
    with pytest.raises(ModelRefused, match=f"none is installed; available: {CPU}; or write auto"):
        choose_providers([CUDA], [CPU])


def test_options_cap_threads_and_keep_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert provider_options(OPENVINO, 3, tmp_path)["num_of_threads"] == "3"
    assert provider_options(TENSORRT, 1, tmp_path)["trt_engine_cache_path"] == str(tmp_path)
    assert provider_options(CPU, 1, tmp_path) == {}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert engine_cache() == tmp_path / "sarl_perception"


def test_without_a_place_for_engines_none_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert engine_cache() is None
    assert provider_options(TENSORRT, 1, engine_cache()) == {}


@pytest.mark.parametrize("provider", PREFERENCE)
def test_installed_providers_agree_with_the_cpu(provider: str, tmp_path: Path) -> None:
    if provider not in onnxruntime.get_available_providers():
        pytest.skip(f"{provider} is not installed here")
    path = write_model(tmp_path / "m.onnx")
    image = np.full((SIZE, SIZE, 3), 100, np.uint8)
    estimator = TactileEstimator(path, providers=[provider])
    assert estimator.provider == provider == estimator.wanted_provider
    expected = TactileEstimator(path, providers=[CPU]).estimate(image)
    for name, value in estimator.estimate(image).items():
        assert value == pytest.approx(expected[name], rel=1e-3)


def test_what_was_wanted_and_what_is_used(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx")
    assert TactileEstimator(path, providers=["auto"]).wanted_provider == TactileEstimator(path).provider
    fallen_back = TactileEstimator(path, providers=["NoSuchExecutionProvider", CPU])
    assert (fallen_back.wanted_provider, fallen_back.provider) == ("NoSuchExecutionProvider", CPU)

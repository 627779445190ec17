"""The estimator on tiny models: values, regions, and every broken model refused in one line."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from sarl_perception.contract import ModelRefused
from sarl_perception.estimator import InferenceFailed, RegionRefused, TactileEstimator, crop, resize
from tiny_model import DELETE, SIZE, changed, write_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


def test_estimate_names_values_covariances_and_classes(model: Path) -> None:
    estimator = TactileEstimator(model, sensor="vitactip")
    estimator.warm_up()
    estimate = estimator.estimate(np.full((48, 64, 3), 255, np.uint8))
    assert set(estimate) == {
        "edge_pose",
        "edge_pose_covariance",
        "contact_point",
        "contact_point_covariance",
        "force",
        "force_covariance",
        "material_probabilities",
        "contact_probability",
    }
    assert estimate["edge_pose"] == pytest.approx([0.002, 0.002, 0.5])
    assert estimate.covariance("edge_pose") == pytest.approx(np.diag([1e-8, 4e-8, 1e-4]), rel=1e-5)
    assert estimate.contact_probability == pytest.approx(0.9)
    assert estimate.classes("material_probabilities") == pytest.approx({"felt": 0.2, "glass": 0.7, "wood": 0.1})
    assert estimator.contract.provenance["simulated"] is True
    assert estimator.provider == "CPUExecutionProvider"


def test_a_model_with_fewer_heads(tmp_path: Path) -> None:
    estimate = TactileEstimator(write_model(tmp_path / "m.onnx", outputs=["force"])).estimate(
        np.zeros((SIZE, SIZE, 3), np.uint8)
    )
    assert set(estimate) == {"force", "force_covariance"}
    assert estimate.contact_probability is None


def test_an_image_unlike_the_training_images_is_called_so(tmp_path: Path, model: Path) -> None:
    estimator = TactileEstimator(write_model(tmp_path / "m.onnx", unfamiliar_threshold=5.0))
    dark, bright = (estimator.estimate(np.full((SIZE, SIZE, 3), level, np.uint8)) for level in (0, 255))
    assert (dark.unfamiliarity, dark.is_unfamiliar) == (0.0, False)
    assert (bright.unfamiliarity, bright.is_unfamiliar) == (pytest.approx(10.0), True)
    assert estimator.contract.unfamiliar_threshold == 5.0
    assert "unfamiliarity" not in bright, "not a contact quantity"
    silent = TactileEstimator(model).estimate(np.zeros((SIZE, SIZE, 3), np.uint8))
    assert silent.unfamiliarity is None and not silent.is_unfamiliar


def test_saliency_comes_when_asked_for(tmp_path: Path, model: Path) -> None:
    image = np.full((SIZE, SIZE, 3), 255, np.uint8)
    estimator = TactileEstimator(write_model(tmp_path / "m.onnx", saliency=(3, 5)))
    assert estimator.estimate(image).saliency is None
    assert estimator.estimate(image, saliency=True).saliency == pytest.approx(np.ones((3, 5)))
    assert TactileEstimator(model).estimate(image, saliency=True).saliency is None


def test_region_of_interest_is_what_the_model_sees(model: Path) -> None:
    image = np.zeros((40, 100, 3), np.uint8)
    image[10:20, 70:90] = 255
    estimator = TactileEstimator(model)
    whole = estimator.estimate(image)["edge_pose"][0]
    patch = estimator.estimate(image, region=(70, 10, 20, 10))["edge_pose"][0]
    assert whole == pytest.approx(0.001), "the patch lies outside the largest centred square"
    assert patch == pytest.approx(0.002)


def test_centred_square_and_views() -> None:
    image = np.arange(4 * 9 * 3, dtype=np.uint8).reshape(4, 9, 3)
    square = crop(image, None)
    assert np.array_equal(square, image[:, 2:6])
    assert np.shares_memory(square, image)


def test_resize_shrinks_by_area_and_grows_bilinearly() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    halves = image.reshape(4, 2, 4, 2, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(resize(image, 4, 4) - halves).max() <= 0.5
    assert np.array_equal(resize(image, 16, 16), cv2.resize(image, (16, 16), interpolation=cv2.INTER_LINEAR))
    assert np.array_equal(resize(image, 8, 8), image)


def test_a_bgr_view_gives_the_same_as_its_copy() -> None:
    view = np.random.default_rng(0).integers(0, 256, (30, 30, 3), np.uint8)[..., ::-1]
    assert np.array_equal(resize(view, 11, 11), resize(view.copy(), 11, 11))


@pytest.mark.parametrize("region", [(90, 0, 20, 20), (0, 30, 5, 20), (-1, 0, 5, 5), (0, 0, 5, 0)])
def test_a_region_outside_the_image_is_refused(model: Path, region: tuple[int, int, int, int]) -> None:
    with pytest.raises(RegionRefused, match="not inside the 100x40 image"):
        TactileEstimator(model).estimate(np.zeros((40, 100, 3), np.uint8), region=region)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_other_arrays_are_refused(model: Path, image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        TactileEstimator(model).estimate(image)


def refusal(path: Path, **options: Any) -> str:
    """The one line with which a model is refused."""
    with pytest.raises(ModelRefused) as refused:
        TactileEstimator(path, **options)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_missing_empty_truncated_and_foreign_files(model: Path, tmp_path: Path) -> None:
    assert "no such model file" in refusal(tmp_path / "none.onnx")
    assert "no such model file" in refusal(tmp_path)
    whole = model.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 40):
        broken = tmp_path / "broken.onnx"
        broken.write_bytes(whole[:size])
        assert "not a readable ONNX model" in refusal(broken)
    foreign = tmp_path / "foreign.onnx"
    foreign.write_text("version https://git-lfs.github.com/spec/v1\n")
    assert "not a readable ONNX model" in refusal(foreign)


def test_without_contract_or_with_another_sensor(model: Path, tmp_path: Path) -> None:
    assert "sarl-train export" in refusal(write_model(tmp_path / "m.onnx", with_metadata=False))
    assert "not JSON" in refusal(write_model(tmp_path / "m.onnx", metadata="{"))
    assert "'vitactip', this is 'digit'" in refusal(model, sensor="digit")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "contract.version: 2; allowed: 1"),
        ({"image.height": 48}, "'image' is tensor(uint8)"),
        ({"image.encoding": "bgr8"}, "contract.image.encoding"),
        ({"outputs.0.name": "pose", "outputs.0.covariance": "pose_covariance"}, "no output 'pose'"),
        ({"outputs.0.unit": ["mm", "mm", "deg"]}, "contract.outputs[0].unit"),
        ({"outputs.3.class_names": ["a", "b"]}, "'material_probabilities' is tensor(float)"),
        ({"provenance.commit": DELETE}, "contract.provenance.commit: missing"),
        ({"unfamiliar_threshold": 2.0}, "no output 'unfamiliarity'"),
        ({"saliency": {"height": 2, "width": 2}}, "no output 'saliency'"),
    ],
)
def test_a_contract_that_does_not_hold(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    assert words in refusal(write_model(tmp_path / "m.onnx", metadata=changed(change)))


def test_a_graph_with_another_input(model: Path, tmp_path: Path) -> None:
    proto = onnx.load(str(model))
    proto.graph.input.append(helper.make_tensor_value_info("extra", TensorProto.FLOAT, [1]))
    onnx.save(proto, str(tmp_path / "m.onnx"))
    assert "expected only 'image'" in refusal(tmp_path / "m.onnx")


def test_a_fixed_batch_is_refused(tmp_path: Path) -> None:
    proto = onnx.load(str(write_model(tmp_path / "m.onnx", outputs=["force"])))
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(proto, str(tmp_path / "m.onnx"))
    assert "'image' is" in refusal(tmp_path / "m.onnx")


def test_providers_are_a_preference_list(model: Path) -> None:
    preferred = TactileEstimator(model, providers=["NoSuchExecutionProvider", "CPUExecutionProvider"])
    assert preferred.provider == "CPUExecutionProvider"
    assert "available: " in refusal(model, providers=["NoSuchExecutionProvider"])


def test_an_answer_that_is_not_finite_is_no_answer(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx", values={"force": [0.0, math.nan, 0.0]})
    with pytest.raises(InferenceFailed, match="'force' is not finite"):
        TactileEstimator(path).estimate(np.zeros((SIZE, SIZE, 3), np.uint8))

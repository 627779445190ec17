"""The tactile model without ROS: RGB image in, named estimates in SI units out.

    estimate = TactileEstimator("models/vitactip_sim.onnx").estimate(rgb)
    x_m, z_m, theta_rad = estimate["edge_pose"]

A model is refused unless its file, contract and tensors agree.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from sarl_perception.contract import METADATA_KEY, Contract, ModelRefused, parse_contract
from sarl_perception.error_text import one_line
from sarl_perception.execution import AUTO, choose_providers, open_session

INPUT = "image"
UNFAMILIARITY = "unfamiliarity"
SALIENCY = "saliency"
WARM_UP_RUNS = 3

Region = tuple[int, int, int, int]


class InferenceFailed(RuntimeError):
    """The model could not answer this image; one line that says why."""


class RegionRefused(ValueError):
    """The region of interest is not inside the image; one line with both."""


class Estimate(Mapping[str, np.ndarray]):
    """What the model says about one image: output name -> float64 values in SI units.

    Keys are the outputs of the contract (`edge_pose` [3], `material_probabilities` [K], ...) and their covariances
    (`edge_pose_covariance` [3, 3]). `unfamiliarity` says how unlike the training images this one is (above
    `contract.unfamiliar_threshold`: do not trust it), `saliency` [h, w] where the encoder responds; None when the model
    has no such output, or when saliency was not asked for. `inference_s` is how long the model itself took.
    """

    def __init__(self, contract: Contract, values: dict[str, np.ndarray], inference_s: float = 0.0) -> None:
        self.contract = contract
        self.inference_s = inference_s
        unfamiliarity = values.pop(UNFAMILIARITY, None)
        self.unfamiliarity: float | None = None if unfamiliarity is None else float(unfamiliarity[0])
        self.saliency: np.ndarray | None = values.pop(SALIENCY, None)
        self._values = values

    def __getitem__(self, name: str) -> np.ndarray:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def is_unfamiliar(self) -> bool:
        """Whether the image is unlike what the model was trained on; False when the model cannot say."""
        threshold = self.contract.unfamiliar_threshold
        return threshold is not None and self.unfamiliarity is not None and self.unfamiliarity > threshold

    @property
    def contact_probability(self) -> float | None:
        """Probability that the sensor touches something; None when the model has no contact head."""
        contact = self.contract.of_kind("contact")
        return float(self[contact[0].name][0]) if contact else None

    def covariance(self, name: str) -> np.ndarray:
        """Covariance [D, D] of a geometric output of D axes, in the products of their units."""
        return self[self.contract.outputs[name].covariance]

    def classes(self, name: str) -> dict[str, float]:
        """Class name -> probability of a classification output, in the model's order."""
        return dict(zip(self.contract.outputs[name].class_names, self[name].tolist(), strict=True))


class TactileEstimator:
    """A model file, checked against its contract and ready to run.

    `providers` is a preference list of onnxruntime execution providers (`auto`: the best installed), `sensor` the only
    sensor accepted (default: any), `threads` the cap on CPU threads. Raises `ModelRefused`.
    """

    def __init__(
        self,
        model_path: str | Path,
        *,
        providers: Sequence[str] = ("CPUExecutionProvider",),
        sensor: str | None = None,
        threads: int = 2,
    ) -> None:
        self.model_path = Path(model_path)
        self._session = open_session(self.model_path, providers, threads)
        is_auto = providers[0] == AUTO  # then the best that is installed, and no more, is wanted
        installed = choose_providers(providers, onnxruntime.get_available_providers())
        self.wanted_provider = installed[0] if is_auto else providers[0]
        self.contract = _read_contract(self.model_path, self._session)
        if sensor is not None and sensor != self.contract.sensor:
            raise ModelRefused(
                f"{self.model_path}: made for sensor {self.contract.sensor!r}, this is {sensor!r}: choose another"
                " model, or set sensor to the one in use"
            )
        _check_tensors(self.model_path, self._session, self.contract)
        self._names = [name for name, _ in _expected_outputs(self.contract) if name != SALIENCY]

    @property
    def provider(self) -> str:
        """The execution provider in use: the first preference that onnxruntime could start."""
        return self._session.get_providers()[0]

    def warm_up(self) -> None:
        """Run a few blank images: the first run of a session is many times slower than the rest."""
        blank = np.zeros((self.contract.height, self.contract.width, 3), np.uint8)
        for _ in range(WARM_UP_RUNS):
            self.estimate(blank, region=(0, 0, self.contract.width, self.contract.height))

    def estimate(self, rgb: np.ndarray, *, region: Region | None = None, saliency: bool = False) -> Estimate:
        """Estimate from a uint8 [H, W, 3] RGB image of any size; with the saliency map if asked for and there is one.

        `region` is where the sensor lies in the image: (x, y, width, height) in pixels, by default the largest centred
        square. Raises `RegionRefused`, `ValueError` for another array, `InferenceFailed` when the model fails.
        """
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
            raise ValueError(f"image is {rgb.dtype} {rgb.shape}; expected uint8 (height, width, 3)")
        image = resize(crop(rgb, region), self.contract.width, self.contract.height)
        names = [*self._names, SALIENCY] if saliency and self.contract.saliency else self._names
        start_s = time.perf_counter()
        try:
            arrays = self._session.run(names, {INPUT: image[None]})
        except Exception as error:  # onnxruntime's errors share no base class
            raise InferenceFailed(f"{self.model_path}: {one_line(error)}") from error
        inference_s = time.perf_counter() - start_s
        values = {name: array[0].astype(np.float64) for name, array in zip(names, arrays, strict=True)}
        for name, value in values.items():
            if not np.isfinite(value).all():
                raise InferenceFailed(f"{self.model_path}: output {name!r} is not finite")
        return Estimate(self.contract, values, inference_s)


def centred_square(height: int, width: int) -> Region:
    """Largest centred square (x, y, width, height) of an image."""
    side = min(height, width)
    return (width - side) // 2, (height - side) // 2, side, side


def crop(rgb: np.ndarray, region: Region | None) -> np.ndarray:
    """View of the region of interest; the largest centred square when None. Raises `RegionRefused`."""
    x, y, width, height = region or centred_square(*rgb.shape[:2])
    if min(x, y) < 0 or min(width, height) < 1 or x + width > rgb.shape[1] or y + height > rgb.shape[0]:
        raise RegionRefused(
            f"region x={x} y={y} width={width} height={height} is not inside the {rgb.shape[1]}x{rgb.shape[0]} image:"
            " give one that is, or none for the largest centred square"
        )
    return rgb[y : y + height, x : x + width]


def resize(rgb: np.ndarray, width: int, height: int) -> np.ndarray:
    """Contiguous [height, width, 3] image: area average when shrinking, bilinear when growing, as in training."""
    if rgb.shape[:2] == (height, width):
        return np.ascontiguousarray(rgb)
    shrinking = rgb.shape[0] * rgb.shape[1] > width * height
    interpolation = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    # OpenCV would copy all of an image seen backwards (BGR, mirrored): turn the small result instead.
    turned = tuple(slice(None, None, -1 if stride < 0 else 1) for stride in rgb.strides)
    small = cv2.resize(rgb[turned], (width, height), interpolation=interpolation)
    return np.ascontiguousarray(small[turned])


def _read_contract(path: Path, session: onnxruntime.InferenceSession) -> Contract:
    metadata = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in metadata:
        raise ModelRefused(f"{path}: no {METADATA_KEY!r} in its metadata; use a model written by sarl-train export")
    try:
        return parse_contract(metadata[METADATA_KEY])
    except ModelRefused as error:
        raise ModelRefused(f"{path}: {error}") from error


def _check_tensors(path: Path, session: onnxruntime.InferenceSession, contract: Contract) -> None:
    """Refuse a graph whose input or outputs are not what its contract says."""
    inputs = {node.name: node for node in session.get_inputs()}
    if set(inputs) != {INPUT}:
        raise ModelRefused(f"{path}: inputs {sorted(inputs)}; expected only {INPUT!r}")
    _check_tensor(path, inputs[INPUT], "tensor(uint8)", (contract.height, contract.width, 3))
    outputs = {node.name: node for node in session.get_outputs()}
    for name, shape in _expected_outputs(contract):
        if name not in outputs:
            raise ModelRefused(f"{path}: no output {name!r}, which its contract names; it has {sorted(outputs)}")
        _check_tensor(path, outputs[name], "tensor(float)", shape)


def _expected_outputs(contract: Contract) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape, without N, of every tensor that the contract promises."""
    for output in contract.outputs.values():
        yield output.name, output.shape
        if output.covariance:
            yield output.covariance, output.shape * 2
    if contract.unfamiliar_threshold is not None:
        yield UNFAMILIARITY, (1,)
    if contract.saliency is not None:
        yield SALIENCY, contract.saliency


def _check_tensor(path: Path, node: onnxruntime.NodeArg, kind: str, shape: tuple[int, ...]) -> None:
    batch, *rest = node.shape if node.shape else [None]
    if node.type != kind or isinstance(batch, int) or rest != list(shape):
        raise ModelRefused(
            f"{path}: {node.name!r} is {node.type} {node.shape}; expected {kind} {['N', *shape]}: export it again"
        )

"""A deployed ONNX file opened for calibration: its heads' numbers, its readout, and the same file with other numbers.

Shapes: N images, F readout features, C channel statistics, D axes.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from sarl_training.calibration.uncertainty import recentred
from sarl_training.contract import METADATA_KEY, check_contract
from sarl_training.errors import DataRefused
from sarl_training.onnx_file import OnnxModel, finish

QUANTISED = {"QuantizeLinear", "DequantizeLinear"}


@dataclass(frozen=True)
class Head:
    """A geometric head: `value = ((phi - mean) inverse_scale) weight + bias`; float64."""

    mean_F: np.ndarray
    inverse_scale_F: np.ndarray
    weight_FD: np.ndarray
    bias_D: np.ndarray
    covariance_DD: np.ndarray

    def standardise(self, phi_NF: np.ndarray) -> np.ndarray:
        return (phi_NF - self.mean_F) * self.inverse_scale_F


class ModelFile:
    """Raises DataRefused for what is no exported model, or one whose numbers are not float32."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._proto = onnx.load(path)
        except (OSError, DecodeError) as error:
            raise DataRefused(
                f"{path}: cannot be read as an ONNX file ({error}); give one of sarl-train export"
            ) from error
        self.contract = self._read_contract()
        graph = self._proto.graph
        half = any(value.data_type == onnx.TensorProto.FLOAT16 for value in graph.initializer)
        if half or any(node.op_type in QUANTISED for node in graph.node):
            raise DataRefused(
                f"{path}: its encoder is {'FP16' if half else 'INT8'}, float32 is needed; calibrate the file that "
                "export writes without --quantize"
            )

    @property
    def image_size(self) -> int:
        return int(self.contract["image"]["height"])

    def trunk_sha256(self) -> str:
        """Hash of what makes the standardised readout: the encoder's numbers, and each head's mean and scale."""
        found = hashlib.sha256()
        for value in sorted(self._proto.graph.initializer, key=lambda value: value.name):
            if ".encoder." in value.name or value.name.endswith((".mean_F", ".inverse_scale_F")):
                found.update(value.name.encode() + numpy_helper.to_array(value).tobytes())
        return found.hexdigest()

    def head(self, name: str) -> Head:
        """The head of a geometric output."""
        fields = ("mean_F", "inverse_scale_F", "weight_FD", "bias_D", "covariance_DD")
        return Head(*(self._values(f"heads.{name}.{field}").astype(np.float64) for field in fields))

    def recentred(self, channels_NC: np.ndarray) -> dict[str, np.ndarray]:
        """Numbers of the sense for unfamiliar frames by which these frames of the new unit are what is familiar."""
        old_CC = self._values("familiarity.whitening_CC")
        mean_C, whitening_CC = recentred(channels_NC, old_CC, float(self.contract["unfamiliar_threshold"]))
        return {"familiarity.mean_C": mean_C, "familiarity.whitening_CC": whitening_CC}

    def read(self, images_NHWC: np.ndarray, name: str, label: str) -> dict[str, np.ndarray]:
        """All outputs, and `phi` [N, F] (what head `name` sees) and `channels` [N, C] from inside the graph."""
        inner = {"phi": self._minuend(f"heads.{name}.mean_F"), "channels": self._minuend("familiarity.mean_C")}
        proto = onnx.ModelProto()
        proto.CopyFrom(self._proto)
        for tensor in inner.values():
            proto.graph.output.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None))
        found = OnnxModel(proto.SerializeToString())(images_NHWC, label=label)
        return {**found, **{key: found[tensor] for key, tensor in inner.items()}}

    def written(self, numbers: Mapping[str, np.ndarray], contract: Mapping[str, object]) -> bytes:
        """The file with these initialisers replaced (`heads.<name>.bias_D`, ...) and another contract."""
        proto = onnx.ModelProto()
        proto.CopyFrom(self._proto)
        for name, value in numbers.items():
            old = _initialiser(proto, name, self.path)
            old.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), old.name))
        return finish(proto, contract)

    def _values(self, name: str) -> np.ndarray:
        return numpy_helper.to_array(_initialiser(self._proto, name, self.path))

    def _minuend(self, mean: str) -> str:
        """The tensor that a mean is taken from: heads and familiarity begin with `x - mean`."""
        name = _initialiser(self._proto, mean, self.path).name
        return next(node.input[0] for node in self._proto.graph.node if node.op_type == "Sub" and node.input[1] == name)

    def _read_contract(self) -> dict:
        text = {entry.key: entry.value for entry in self._proto.metadata_props}.get(METADATA_KEY)
        if text is None:
            raise DataRefused(f"{self.path}: holds no {METADATA_KEY}; give a file that sarl-train export wrote")
        try:
            contract = json.loads(text)
        except ValueError as error:
            raise DataRefused(f"{self.path}: {METADATA_KEY} is no JSON ({error}); export the model again") from error
        check_contract(contract)
        return contract


def _initialiser(proto: onnx.ModelProto, name: str, path: Path) -> onnx.TensorProto:
    """By the end of its name: what stands before depends on how the exporter wrapped the heads."""
    for value in proto.graph.initializer:
        if value.name == name or value.name.endswith(f".{name}"):
            return value
    raise DataRefused(f"{path}: has no {name}; export the model again with this version, then calibrate it")

"""Smaller numbers inside a trunk's ONNX graph: INT8 for CPUs, FP16 for GPUs. The heads are joined to it in float32."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnx import compose

from sarl_training.onnx_file import INPUT

INT8_LADDER = (("layer1", "layer2", "layer3"), ("layer1",), ("layer1.0.conv1", "layer1.1.conv1"))
"""Convolutions in INT8, tried in this order until no axis loses more than `MOST_LOSS`; the others stay float32."""
MOST_LOSS = 0.05
CALIBRATION_BATCH = 8


def quantise_int8(trunk: bytes, layers: Sequence[str], images_NHWC: np.ndarray) -> bytes:
    """Static QDQ quantisation of these encoder layers, weights per channel, ranges from the images [N, H, W, 3]."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, _quiet():
        plain, prepared, quantised = (Path(folder) / name for name in ("plain.onnx", "prepared.onnx", "int8.onnx"))
        plain.write_bytes(trunk)
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            quantised,
            _Calibration(images_NHWC),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=_nodes_of(onnx.load(prepared), layers),
        )
        return quantised.read_bytes()


def to_fp16(trunk: bytes) -> bytes:
    """Weights and activations in half precision, input and outputs as they were."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return convert_float_to_float16(onnx.load_from_string(trunk), keep_io_types=True).SerializeToString()


def join(trunk: bytes, heads: bytes, links: Sequence[str], output_names: Sequence[str]) -> onnx.ModelProto:
    """One graph: the trunk's outputs `links` become the heads' inputs of the same names."""
    first = onnx.load_from_string(trunk)
    second = compose.add_prefix(
        onnx.load_from_string(heads), "heads.", rename_inputs=True, rename_outputs=False, rename_edges=True
    )
    second.ir_version = first.ir_version
    both = compose.merge_models(
        first, second, io_map=[(name, f"heads.{name}") for name in links], outputs=list(output_names)
    )
    outputs = {value.name: value for value in both.graph.output}
    del both.graph.output[:]
    both.graph.output.extend(outputs[name] for name in output_names)
    both.producer_name = "sarl-train"
    return both


def _nodes_of(model: onnx.ModelProto, layers: Sequence[str]) -> list[str]:
    """Convolutions of these encoder layers, by the names of their weights, and the additions and ReLUs that follow."""
    prefixes = tuple(f"encoder.{layer}." for layer in layers)
    made_by_conv, made_by_any, names = set(), set(), []
    for node in model.graph.node:
        is_conv = node.op_type == "Conv" and node.input[1].removeprefix("trunk.").startswith(prefixes)
        is_sum = node.op_type == "Add" and not made_by_conv.isdisjoint(node.input)
        if is_conv or is_sum or (node.op_type == "Relu" and node.input[0] in made_by_any):
            names.append(node.name)
            made_by_any.update(node.output)
            made_by_conv.update(node.output if is_conv else ())
    return names


class _Calibration:
    """Feeds images to onnxruntime's calibrator (its `CalibrationDataReader` is this one method)."""

    def __init__(self, images_NHWC: np.ndarray) -> None:
        starts = range(0, len(images_NHWC) - CALIBRATION_BATCH + 1, CALIBRATION_BATCH)
        self._batches: Iterator[np.ndarray] = (np.array(images_NHWC[i : i + CALIBRATION_BATCH]) for i in starts)

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser's advice says nothing to a user."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)

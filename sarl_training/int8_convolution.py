"""3×3 convolutions of an ONNX graph as integer matrix products: uint8 activations, int8 weights, float32 results.

Results stay float32 because rounding them, too, would drown what the heads read (models/LOG.md). onnxruntime fuses
dequantise, dequantise, multiply into one integer product. Shapes: O, I channels out and in, K = 9 I.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

LEVELS = 255
LARGEST_WEIGHT = 63  # 2 x 255 x 63 fits int16: x86 CPUs without VNNI add pairs of products in 16 bits and saturate
LEAST_PEAK = 1e-3  # of the layer's largest: a channel that calibration never saw alive must not get a scale of 0
ZERO, ONE = "int8.zero", "int8.one"


def convolutions(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    """3×3 convolutions with padding 1 by the names of their modules."""
    found = {}
    for node in graph.node:
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        if node.op_type == "Conv" and attributes["kernel_shape"] == [3, 3] and attributes["pads"] == [1, 1, 1, 1]:
            found[node.input[1].removesuffix(".weight")] = node
    return found


def step_sizes(peak_I: np.ndarray) -> np.ndarray:
    """What one level of uint8 is worth in each channel, of channels that reach these peaks."""
    return (np.maximum(peak_I, LEAST_PEAK * peak_I.max()) / LEVELS).astype(np.float32)


def round_weight(weight_OIHW: np.ndarray, step_I: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8 weights for inputs in levels, and the scale of each output channel [O]."""
    scaled_OIHW = weight_OIHW * step_I[:, None, None]
    scale_O = np.maximum(np.abs(scaled_OIHW).max((1, 2, 3)) / LARGEST_WEIGHT, np.finfo(np.float32).tiny)
    return np.rint(scaled_OIHW / scale_O[:, None, None, None]).astype(np.int8), scale_O.astype(np.float32)


def with_rounded_weights(file: bytes, peaks: Mapping[str, np.ndarray]) -> bytes:
    """The float32 graph that computes what `with_integer_products` does, but for the rounding of activations."""
    model = onnx.load_from_string(file)
    initializers = {each.name: each for each in model.graph.initializer}
    for name, node in convolutions(model.graph).items():
        if name in peaks:
            step_I, weight = step_sizes(peaks[name]), initializers[node.input[1]]
            levels_OIHW, scale_O = round_weight(numpy_helper.to_array(weight), step_I)
            rounded_OIHW = levels_OIHW * scale_O[:, None, None, None] / step_I[:, None, None]
            weight.CopyFrom(numpy_helper.from_array(rounded_OIHW.astype(np.float32), weight.name))
    return model.SerializeToString()


def with_integer_products(file: bytes, peaks: Mapping[str, np.ndarray]) -> bytes:
    """The graph with each convolution named in `peaks` (largest input per channel [I]; inputs >= 0) in INT8."""
    model = onnx.load_from_string(file)
    graph, known = model.graph, convolutions(model.graph)
    by_node = {node.output[0]: name for name, node in known.items() if name in peaks}
    weights = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    rewritten = _Rewritten()
    rewritten.constant(ZERO, np.uint8(0))
    rewritten.constant(ONE, np.float32(1))
    for node in graph.node:
        name = by_node.get(node.output[0])
        if name is None:
            rewritten.nodes.append(node)
        else:
            _as_product(rewritten, name, node, weights[node.input[1]], step_sizes(peaks[name]))
    used = {name for node in rewritten.nodes for name in node.input}
    kept = [each for each in graph.initializer if each.name in used]
    _replace(graph.node, rewritten.nodes)
    _replace(graph.initializer, [*kept, *rewritten.constants])
    del graph.value_info[:]
    return model.SerializeToString()


class _Rewritten:
    """Nodes and constants of the new graph; each name once."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._names: set[str] = set()

    def constant(self, name: str, value: np.ndarray) -> str:
        if name not in self._names:
            self._names.add(name)
            self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, kind: str, inputs: Iterable[str], output: str, **attributes: object) -> str:
        if output not in self._names:
            self._names.add(output)
            self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output


def _as_product(to: _Rewritten, name: str, node: onnx.NodeProto, weight_OIHW: np.ndarray, step_I: np.ndarray) -> None:
    """Quantise, gather the 3×3 neighbourhoods channels last, multiply, add the bias if there is one."""
    stride = next(helper.get_attribute_value(each) for each in node.attribute if each.name == "strides")[0]
    last = to.node("Transpose", [node.input[0]], f"{name}.last", perm=[0, 2, 3, 1])
    levels = to.node("Mul", [last, to.constant(f"{name}.per_step", 1 / step_I)], f"{name}.levels")
    rounded = to.node("QuantizeLinear", [levels, ONE, ZERO], f"{name}.uint8")
    columns = to.node("DequantizeLinear", [_columns(to, name, rounded, stride), ONE, ZERO], f"{name}.columns")
    levels_OIHW, scale_O = round_weight(weight_OIHW, step_I)
    matrix_KO = np.ascontiguousarray(levels_OIHW.transpose(2, 3, 1, 0).reshape(-1, len(levels_OIHW)))
    stored = to.constant(f"{name}.int8", matrix_KO), to.constant(f"{name}.scale", scale_O)
    weights = to.node("DequantizeLinear", stored, f"{name}.weights", axis=1)
    result = to.node("MatMul", [columns, weights], f"{name}.product")
    for bias in node.input[2:]:  # torch.onnx leaves a bias of zeros out
        result = to.node("Add", [result, bias], f"{name}.result")
    to.node("Transpose", [result], node.output[0], perm=[0, 3, 1, 2])


def _columns(to: _Rewritten, name: str, rounded: str, stride: int) -> str:
    """[N, H, W, K]: nine shifted copies of the padded map, side by side."""
    around = to.constant("int8.around", np.array([0, 1, 1, 0, 0, 1, 1, 0], np.int64))
    padded = to.node("Pad", [rounded, around, ZERO], f"{name}.padded")
    axes = to.constant("int8.axes", np.array([1, 2], np.int64))
    steps = to.constant(f"int8.stride{stride}", np.full(2, stride, np.int64))
    ends = -2, -1, np.iinfo(np.int64).max
    shifted = []
    for y in range(3):
        for x in range(3):
            start = to.constant(f"int8.start{y}{x}", np.array([y, x], np.int64))
            end = to.constant(f"int8.end{y}{x}", np.array([ends[y], ends[x]], np.int64))
            shifted.append(to.node("Slice", [padded, start, end, axes, steps], f"{name}.shifted{y}{x}"))
    return to.node("Concat", shifted, f"{name}.neighbours", axis=3)


def _replace(repeated: object, values: Iterable[object]) -> None:
    copied = list(values)
    del repeated[:]
    repeated.extend(copied)

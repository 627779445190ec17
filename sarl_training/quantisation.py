"""Smaller numbers inside a trunk's ONNX graph: INT8 for CPUs, FP16 for GPUs. The heads are joined to it in float32."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import torch
from onnx import compose
from torch import nn

from sarl_training.deployed_model import Trunk

INT8_LADDER = (
    ("layer1", "layer2", "layer3"),
    ("layer1", "layer2.0.conv1", "layer2.1.conv1", "layer3"),
    ("layer1", "layer3"),
    ("layer3",),
)
"""Where 3×3 convolutions are in INT8, tried in this order until no axis loses more than `MOST_LOSS`; the rest stays
float32: the stem, and the 1×1 convolutions between layers, whose rounding nothing averages."""
MOST_LOSS = 0.05
CALIBRATION_BATCH = 32


def input_peaks(trunk: Trunk, images_NHWC: np.ndarray) -> dict[str, np.ndarray]:
    """The largest input of every convolution per channel, over the images, by module name."""
    peaks: dict[str, np.ndarray] = {}

    def watch(name: str, convolution: nn.Conv2d) -> torch.utils.hooks.RemovableHandle:
        def see(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            found_C = inputs[0].amax((0, 2, 3)).numpy()
            peaks[name] = np.maximum(peaks.get(name, found_C), found_C)

        return convolution.register_forward_pre_hook(see)

    handles = [watch(name, part) for name, part in trunk.named_modules() if isinstance(part, nn.Conv2d)]
    with torch.inference_mode():
        for start in range(0, len(images_NHWC), CALIBRATION_BATCH):
            trunk(torch.from_numpy(np.array(images_NHWC[start : start + CALIBRATION_BATCH])))
    for handle in handles:
        handle.remove()
    return peaks


def in_layers(peaks: Mapping[str, np.ndarray], layers: Sequence[str]) -> dict[str, np.ndarray]:
    """Of these encoder layers only."""
    prefixes = tuple(f"encoder.{layer}." for layer in layers)
    return {name: peak_C for name, peak_C in peaks.items() if f"{name}.".startswith(prefixes)}


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

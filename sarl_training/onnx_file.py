"""A torch module as one ONNX file: written as bytes, run with onnxruntime, compared with the module it came from."""

import json
import logging
import time
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from tqdm import tqdm

from sarl_training.contract import METADATA_KEY
from sarl_training.deployed_model import SALIENCY
from sarl_training.errors import RunFailed

OPSET = 20
INPUT = "image"
PARITY = 1e-4  # largest difference to PyTorch, as a share of an output's range
PARITY_BATCHES = (1, 8)


def to_onnx(model: nn.Module, output_names: Sequence[str], size: int, contract: Mapping[str, object]) -> bytes:
    """File of a module that takes uint8 [N, size, size, 3]."""
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    return finish(trace(model, {INPUT: example}, output_names), contract)


def trace(model: nn.Module, examples: Mapping[str, Tensor], output_names: Sequence[str]) -> onnx.ModelProto:
    """Graph of a module for inputs like the named examples, their first dimension free; unused layers go."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)  # the exporter's own progress and deprecations say nothing to a user
    batch = torch.export.Dim("N")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model, tuple(examples.values()), dynamo=True, verbose=False, opset_version=OPSET,
                input_names=list(examples), output_names=list(output_names),
                dynamic_shapes=tuple({0: batch} for _ in examples),
            )  # fmt: skip
    finally:
        logging.disable(disabled)
    return program.model_proto


def finish(proto: onnx.ModelProto, contract: Mapping[str, object]) -> bytes:
    """The file: without source paths and stack traces that the exporter records, with the contract."""
    for node in proto.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in [*proto.graph.value_info, *proto.graph.input, *proto.graph.output, *proto.graph.initializer]:
        value.ClearField("metadata_props")
    proto.graph.ClearField("metadata_props")
    proto.ClearField("metadata_props")
    onnx.helper.set_model_props(proto, {METADATA_KEY: json.dumps(contract, sort_keys=True)})
    onnx.checker.check_model(proto)
    return proto.SerializeToString()


class OnnxModel:
    """An ONNX file opened with onnxruntime on the CPU."""

    def __init__(self, file: bytes) -> None:
        self._session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        self.output_names = [output.name for output in self._session.get_outputs()]

    def __call__(
        self, images_NHWC: np.ndarray, batch_size: int = 8, label: str = "onnxruntime"
    ) -> dict[str, np.ndarray]:
        """All outputs for uint8 images [N, H, W, 3]."""
        starts = tqdm(range(0, len(images_NHWC), batch_size), label, unit="batch", delay=1, leave=False)
        batches = [self._session.run(None, {INPUT: np.array(images_NHWC[i : i + batch_size])}) for i in starts]
        return {
            name: np.concatenate(parts)
            for name, parts in zip(self.output_names, zip(*batches, strict=True), strict=True)
        }

    def latency_ms(self, image_HWC: np.ndarray, runs: int = 50) -> float:
        """Median time of one image, after a warm-up."""
        times = []
        for _ in range(runs + 5):
            start = time.perf_counter()
            self._session.run(None, {INPUT: image_HWC[None]})
            times.append(time.perf_counter() - start)
        return 1000 * float(np.median(times[5:]))


def compare(
    model: nn.Module, onnx_model: OnnxModel, images_NHWC: np.ndarray, label_ranges: Mapping[str, np.ndarray | int]
) -> dict[str, float]:
    """Largest difference between file and module per output, as a share of each element's range.

    The range is that over the images (of the saliency map, over its cells too) or, where `label_ranges` knows a larger
    one, that of the labels: a head that found nothing to say is near constant. Raises RunFailed when one is above
    PARITY, in batches of 1 or of 8.
    """
    images_NHWC = np.array(images_NHWC)
    with torch.inference_mode():
        expected = [output.double().numpy() for output in model.cpu()(torch.from_numpy(images_NHWC))]
    worst = dict.fromkeys(onnx_model.output_names, 0.0)
    for batch_size in PARITY_BATCHES:
        found = onnx_model(images_NHWC, batch_size)
        for (name, values), reference in zip(found.items(), expected, strict=True):
            least = label_ranges.get(name, 1e-3 * np.abs(reference).max(axis=0))
            span = np.ptp(reference, axis=None if name == SALIENCY else 0)
            share = np.abs(values - reference) / np.maximum(span, least)
            worst[name] = float(np.maximum(worst[name], share.max()))
    for name, share in worst.items():
        if not share <= PARITY:
            raise RunFailed(
                f"{name}: ONNX and PyTorch differ by {share:.1e} of its range, allowed {PARITY:.0e}; nothing written; "
                "leave its task out with --tasks, or give it an encoder trained for longer and more contacts"
            )
    return worst

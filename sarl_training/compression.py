"""A deployed model with a quantised trunk: heads fitted again on what that trunk says, and held against float32."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import torch

from sarl_training.dataset import Table, load_images
from sarl_training.deployed_model import SALIENCY, Trunk, TrunkFeatures
from sarl_training.errors import RunFailed
from sarl_training.head_fitting import Fitted, Reader, Rounding, fit
from sarl_training.int8_convolution import convolutions, with_integer_products, with_rounded_weights
from sarl_training.model_card import Loss, TaskFacts
from sarl_training.model_measurement import Outputs, task_facts
from sarl_training.onnx_file import INPUT, OnnxModel, finish, trace
from sarl_training.quantisation import INT8_LADDER, MOST_LOSS, in_layers, input_peaks, join, to_fp16
from sarl_training.tasks import Task

CALIBRATION_IMAGES = 64  # of train, per task: ranges and noise of the activations
LINKS = ("phi", "channels")


@dataclass(frozen=True)
class Measured:
    """A file on the test split."""

    facts: list[TaskFacts]
    outputs: dict[Task, Outputs]


@dataclass(frozen=True)
class Compressed:
    """A file, its contract, and what it does."""

    precision: str
    file: bytes
    contract: dict[str, object]
    measured: Measured
    losses: list[Loss]


def measure(file: bytes, tables: Mapping[Task, Table], fitted: Fitted, size: int) -> Measured:
    """Run the file on the test split of every task."""
    model, facts, outputs = OnnxModel(file), [], {}
    for task, table in tables.items():
        outputs[task] = model(load_images(table.part("test").images, size), label=f"{task.name} test")
        facts.append(task_facts(task, table, fitted.validation[task], outputs[task]))
    return Measured(facts, outputs)


def compress(
    kind: str,
    trunk: Trunk,
    plain: Sequence[TaskFacts],
    tables: Mapping[Task, Table],
    familiar: Mapping[str, Table],
    size: int,
    write_contract: Callable[[Fitted], dict[str, object]],
) -> Compressed:
    """The smallest candidate that loses at most `MOST_LOSS` against `plain`; raises RunFailed when none does."""
    for precision, compressed_trunk, rounding in _candidates(kind, trunk, tables, size):
        fitted = fit(_reader(compressed_trunk), tables, familiar, size, rounding)
        contract = write_contract(fitted)
        file = _with_heads(compressed_trunk, fitted, contract)
        measured = measure(file, tables, fitted, size)
        losses = [loss for before, after in zip(plain, measured.facts, strict=True) for loss in _losses(before, after)]
        worst = max(losses, key=lambda loss: loss.share)
        print(f"{precision}: at most {worst.share:.1%} lost against float32 ({worst.name})")
        if worst.share <= MOST_LOSS:
            return Compressed(precision, file, contract, measured, losses)
    raise RunFailed(
        f"--quantize {kind}: {worst.name} loses {worst.share:.1%} against float32, allowed {MOST_LOSS:.0%}; nothing "
        "written: export without --quantize"
    )


def _candidates(
    kind: str, trunk: Trunk, tables: Mapping[Task, Table], size: int
) -> Iterator[tuple[str, bytes, Rounding | None]]:
    """What it is, the trunk's graph, and how its activations are rounded."""
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    plain = trace(trunk, {INPUT: example}, [*LINKS, SALIENCY]).SerializeToString()
    if kind == "fp16":
        yield "FP16 encoder, float32 heads", to_fp16(plain), None
        return
    images = _calibration_images(tables, size)
    known = convolutions(onnx.load_from_string(plain).graph)
    peaks = {name: peak_C for name, peak_C in input_peaks(trunk, images).items() if name in known}
    for layers in INT8_LADDER:
        chosen = in_layers(peaks, layers)
        graph = with_integer_products(plain, chosen)
        exact = _reader(with_rounded_weights(plain, chosen))
        noise_NF = _reader(graph)(images, "rounding").phi_BF - exact(images, "no rounding").phi_BF
        rounding = Rounding(exact, noise_NF.double().square().mean(0))
        yield f"INT8 in {', '.join(layers)}, float32 elsewhere", graph, rounding


def _calibration_images(tables: Mapping[Task, Table], size: int) -> np.ndarray:
    """uint8 [N, size, size, 3], evenly over each task's train split."""
    paths = []
    for table in tables.values():
        train = table.part("train")
        rows = np.linspace(0, len(train) - 1, min(CALIBRATION_IMAGES, len(train))).astype(int)
        paths += [train.images[row] for row in rows]
    return load_images(paths, size)


def _reader(trunk: bytes) -> Reader:
    model = OnnxModel(trunk)

    def read(images_NHWC: np.ndarray, label: str) -> TrunkFeatures:
        found = model(images_NHWC, label=label)
        return TrunkFeatures(*(torch.from_numpy(found[name]) for name in (*LINKS, SALIENCY)))

    return read


def _with_heads(trunk: bytes, fitted: Fitted, contract: Mapping[str, object]) -> bytes:
    heads = fitted.heads
    features, statistics = next(iter(heads.heads.values())).mean_F, heads.familiarity.mean_C
    examples = {name: torch.zeros(2, len(x)) for name, x in zip(LINKS, (features, statistics), strict=True)}
    graph = trace(heads, examples, heads.output_names)
    return finish(join(trunk, graph.SerializeToString(), LINKS, [*heads.output_names, SALIENCY]), contract)


def _losses(before: TaskFacts, after: TaskFacts) -> Iterator[Loss]:
    task = before.task
    if task.kind == "classification":
        plain, found = before.test[0], after.test[0]
        yield Loss(f"{task.output} 1 - Top-1", plain, found, (found - plain) / max(1 - plain, 1e-9))
        return
    for axis, unit, si, plain, found in zip(task.axes, task.units, task.si_scale, before.test, after.test, strict=True):
        yield Loss(f"{task.output} {axis} {unit}", plain / si, found / si, found / plain - 1)

"""How long the rest will take: from finished runs of the same kind and preset on the same device, else calibrated."""

import statistics
import time
from collections.abc import Iterable, Mapping

import torch

from sarl_training.benchmarking.plan import BUDGET_TASKS, TRANSFER_SENSORS, Run
from sarl_training.benchmarking.presets import PRESETS, Preset
from sarl_training.benchmarking.records import Record, scope_of
from sarl_training.device import device_name, has_bfloat16
from sarl_training.networks import Encoder, normalise
from sarl_training.readouts import READOUTS
from sarl_training.simulate import SUITES

# Passes (forward and backward over one image at the preset's size) that an image costs in a step: two views, a third
# of a pass for each through a target network, SwAV's six small views.
_PASSES = {"swav": 3.1, "sarl": 2.7, "byol": 2.7, "minc": 2.7, "densecl": 2.7}
_FORWARD, _LAYER4 = 1 / 3, 0.3  # shares of a pass
_FITTING = 5.0  # seconds for the linear probes of one encoder, whatever the image size: guessed until one was measured
_CALIBRATION = 64, 3  # most images a step, steps


def passes(run: Run, labelled: Mapping[str, int]) -> float:
    """Work of a run in passes."""
    preset = PRESETS[run.preset]
    pool = sum(labelled.values())
    if run.kind == "pretrain":
        return pool * preset.epochs * _PASSES.get(run.subject.partition("_")[0], 2.0)
    if run.kind == "supervise":
        task, _, budget = run.detail.partition("@")
        return (int(budget) if budget else labelled[task]) * preset.supervised_epochs
    if run.kind == "transfer":
        images = SUITES[preset.transfer_suite][TRANSFER_SENSORS[run.sensor]]
        share = 1.0 if run.subject == "supervised" else _LAYER4
        return images * (_FORWARD + preset.transfer_epochs * share)
    if run.kind == "labels":
        return 2 * _FORWARD * sum(labelled.get(task, 0) for task in BUDGET_TASKS)
    return _FORWARD * pool * (len(READOUTS) if run.kind == "readouts" else 1)


def expected_seconds(
    runs: Iterable[Run], records: Iterable[Record], labelled: Mapping[str, int], preset: Preset, device: torch.device
) -> tuple[float, str]:
    """Seconds for these runs one after another, and how that was found."""
    runs, name = list(runs), device_name(device)
    scopes = {run.scope for run in runs}  # `labelled` counts the samples of this dataset only
    rates, measured = {}, {run.kind: 0 for run in runs}
    for kind in measured:
        done = [
            r for r in records
            if (r["kind"], r["device"]) == (kind, name) and scope_of(r["key"]) in scopes and not r["continued"]
        ]  # fmt: skip
        work = sum(passes(_run_of(r), labelled) for r in done)
        if work:
            rates[kind], measured[kind] = sum(r["wall_s"] for r in done) / work, len(done)
    if all(measured.values()):
        return sum(rates[run.kind] * passes(run, labelled) for run in runs), (
            f"from {sum(measured.values())} finished runs on this device"
        )
    rate = calibrate(preset, device)
    total = sum(
        rates[run.kind] * passes(run, labelled)
        if run.kind in rates
        else rate * passes(run, labelled) + (0 if run.kind in ("pretrain", "supervise", "transfer") else _FITTING)
        for run in runs
    )
    missing = ", ".join(kind for kind, count in measured.items() if not count)
    return total, f"rough: {missing} guessed from {_CALIBRATION[1]} steps of a ResNet-18, {rate * 1e3:.1f} ms an image"


def calibrate(preset: Preset, device: torch.device) -> float:
    """Seconds for one pass of one image in the precision of training, the median of steps after a warm-up."""
    batch = min(preset.batch_size, _CALIBRATION[0])
    encoder = Encoder().to(device)
    images = torch.randint(0, 255, (batch, preset.image_size, preset.image_size, 3), dtype=torch.uint8, device=device)
    times = []
    for _ in range(_CALIBRATION[1] + 1):
        start = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device.type)):
            embedding_BD = encoder(normalise(images)).embedding_BD
        embedding_BD.sum().backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:]) / batch


def _run_of(record: Record) -> Run:
    return Run(
        record["preset"], record["kind"], record["key"].split("/")[2], record["seed"], record["sensor"],
        record["detail"],
    )  # fmt: skip


def spelled(seconds: float) -> str:
    """`45 s`, `12 min` or `6 h 10 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"

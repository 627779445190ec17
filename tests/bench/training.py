"""Speed and memory of pretraining beside its own ceiling and beside lightly, all in one run.

    python tests/bench/training.py --out runs/bench [--device auto] [--image-size 96] [--batch-size 64]

Writes training.json and training.png (make bench runs it). Turns are taken in alternation; a rate is the median over
turns, in images per second, each image giving two views. `step` is a whole training step, its input included: reading,
views, forward, backward, optimiser, target network. `ceiling` is the same step on views that lie ready on the device.
`input` is reading and views alone. Memory, and growth with batch, image size and number of images, are measured in a
process of their own each. Images are drawn: 224 px JPEG files for lightly, decoded rows for us, which is what either
reads in every epoch but the first.
"""

import argparse
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from parts.training_picture import GROWTH, SUBJECTS, draw, ratios, show
from torch.utils.flop_counter import FlopCounterMode

from sarl_training.device import memory_peak_mb, resolve_device
from sarl_training.fabric import launch
from sarl_training.image_feed import open_feed
from sarl_training.methods import METHODS
from sarl_training.optim import build_optimiser
from sarl_training.pretrain_config import PretrainConfig
from sarl_training.pretraining import Pretraining
from sarl_training.run_folder import RunFolder, provenance
from sarl_training.sampler import Sampler

SEED = 0
TURNS = 7
FILES, FILE_PX = 512, 224
POINT_STEPS = 4  # the first warms up
# Dense bfloat16, from the data sheets; the first part that is in the GPU's name counts.
PEAK_FLOPS = {
    "H100 PCIe": 756e12, "H100 NVL": 835e12, "H100": 989e12, "H200": 989e12, "A100": 312e12,
    "L40S": 362e12, "L40": 181e12, "L4": 121e12, "4090": 165e12,
}  # fmt: skip


class Bench:
    """Training as `sarl-train pretrain` sets it up, on a pool of random images, without a run folder."""

    def __init__(self, method: str, folder: Path, device: str, size: int, batch: int, images: int) -> None:
        self.fabric = launch(device, "auto")
        settings = {"image_size": size, "batch_size": batch, "seed": SEED, "epochs": 1000}
        self.config = PretrainConfig(method, METHODS[method].Config(), data=folder, out=folder, **settings)
        torch.manual_seed(SEED)
        network = self.fabric.to_device(METHODS[method](self.config.method))
        optimiser = build_optimiser(network, self.config.optim, network.spared(), network.steady())
        feed = open_feed(_pool(folder, images, size), self.fabric.device)
        sampler = Sampler(images, batch, SEED, 1)
        self.loop = Pretraining(self.config, RunFolder(folder), self.fabric, feed, sampler, network, optimiser, {})

    def step(self) -> None:
        """A whole step of training."""
        terms, _ = self.loop.take_step(False)
        self.loop.meter.add(terms, self.config.batch_size)

    def views(self) -> list:
        """The input of the next step, read ahead as in training."""
        epoch, (samples_B,) = self.loop.sampler.step(self.loop.step)
        self.loop._read_ahead()
        self.loop.step += 1
        return self.loop.views(samples_B, epoch)

    @contextlib.contextmanager
    def without_input(self) -> Iterator[None]:
        """Steps on one batch of views that lies ready."""
        ready = self.views()
        self.loop.views, self.loop._read_ahead = lambda *_: ready, lambda: None
        yield
        del self.loop.views, self.loop._read_ahead

    def flops_per_image(self) -> float:
        """Multiplications and additions of one step, forward and backward, without those of making views."""
        with self.without_input(), FlopCounterMode(display=False) as counter:
            self.step()
        return counter.get_total_flops() / self.config.batch_size


def _pool(folder: Path, images: int, size: int) -> np.memmap:
    """A file of random pixels as the cache holds them."""
    file = folder / f"{images}-{size}.rgb"
    if not file.exists():
        rng = np.random.default_rng(SEED)
        with file.open("wb") as out:
            for _ in range(images):
                out.write(rng.bytes(size * size * 3))
    return np.memmap(file, np.uint8, "r", shape=(images, size, size, 3))


def write_files(folder: Path, count: int) -> None:
    """JPEG files as `simulate` writes them, of smooth random pictures."""
    folder.mkdir()
    rng = np.random.default_rng(SEED)
    for i in range(count):
        coarse = rng.integers(0, 255, (28, 28, 3), np.uint8)
        picture = cv2.resize(coarse, (FILE_PX, FILE_PX), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{i:05d}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 95])


def seconds(work: Callable[[], Any], times: int, device: torch.device) -> float:
    """Wall time of `times` calls, with the device's work done."""
    _wait(device)
    start = time.perf_counter()
    for _ in range(times):
        work()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def lightly_turn(loop: Any, steps: int, device: torch.device) -> float:
    """Seconds of `steps` steps of an epoch, after one that starts the workers and fills their queue."""
    batches = loop.batches()
    loop.take_step(next(batches))
    return seconds(lambda: loop.take_step(next(batches)), steps, device)


def rates(args: argparse.Namespace, folder: Path, device: torch.device) -> tuple[dict[str, list[float]], dict]:
    """Images per second of every subject in every turn, and FLOPs per image of ours."""
    from parts.byol_lightly import LightlyLoop

    size, batch, steps = args.image_size, args.batch_size, args.steps
    write_files(folder / "files", FILES)
    ours = {name: Bench(name, folder, args.device, size, batch, 1024) for name in ("sarl", "byol")}
    half = ours["byol"].fabric._precision.precision == "bf16-mixed"
    theirs = {"lightly example": LightlyLoop(folder / "files", size, batch, device, autocast=False)}
    if half:
        theirs["lightly, bfloat16"] = LightlyLoop(folder / "files", size, batch, device, autocast=True)
    flops = {name: bench.flops_per_image() for name, bench in ours.items()}  # also the warm-up
    found: dict[str, list[float]] = {}
    for turn in range(args.turns):
        print(f"turn {turn + 1} of {args.turns}", file=sys.stderr)
        for name, bench in ours.items():
            found.setdefault(f"{name} step", []).append(seconds(bench.step, steps, device))
            with bench.without_input():
                found.setdefault(f"{name} ceiling", []).append(seconds(bench.step, steps, device))
        found.setdefault("input", []).append(seconds(ours["sarl"].views, steps, device))
        for name, loop in theirs.items():
            found.setdefault(name, []).append(lightly_turn(loop, steps, device))
    per_second = {name: [batch * steps / t for t in times] for name, times in found.items()}
    print(per_second, file=sys.stderr)
    return per_second, flops


def one_point(args: argparse.Namespace, folder: Path, device: torch.device) -> dict[str, float]:
    """In a process of its own: rate and memory of one setting of SARL, BYOL or lightly's loop."""
    before = memory_peak_mb(device)
    if args.point == "lightly":
        from parts.byol_lightly import LightlyLoop

        write_files(folder / "files", args.images)
        loop = LightlyLoop(folder / "files", args.image_size, args.batch_size, device, autocast=False)
        batches = loop.batches()
        took = [seconds(lambda: loop.take_step(next(batches)), 1, device) for _ in range(POINT_STEPS)]
        workers = sum(_resident_mb(worker.pid) for worker in batches._workers)
        extra = {"workers_mb": workers}
    else:
        bench = Bench(args.point, folder, args.device, args.image_size, args.batch_size, args.images)
        took, extra = [seconds(bench.step, 1, device) for _ in range(POINT_STEPS)], {}
    rate = args.batch_size / statistics.median(took[1:])
    return {"images_per_second": rate, "memory_peak_mb": memory_peak_mb(device), "memory_before_mb": before, **extra}


def _resident_mb(pid: int) -> float:
    """Resident memory of a process that it does not share with files."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("RssAnon"))


def points(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Rate and memory of every subject at the common setting, and how they grow from there, one thing at a time."""
    common = {"image_size": args.image_size, "batch_size": args.batch_size, "images": 1024}
    wanted = [("", common)]
    wanted += [(name, {**common, name: value}) for name, values in GROWTH.items() for value in values]
    found = []
    for (varied, settings), subject in itertools.product(wanted, SUBJECTS):
        words = [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        done = subprocess.run(
            [sys.executable, __file__, "--out", str(args.out), "--device", args.device, "--point", subject, *words],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found.append({"subject": subject, "varied": varied, **settings, **json.loads(done.stdout.splitlines()[-1])})
        print(found[-1], file=sys.stderr)
    return found


def summary(
    args: argparse.Namespace, device: torch.device, found: dict[str, list[float]], flops: dict[str, float]
) -> dict[str, Any]:
    """Everything measured, and what it was measured on."""
    median = {name: statistics.median(values) for name, values in found.items()}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} CPU cores"
    peak = next((flops for part, flops in PEAK_FLOPS.items() if part in name), None)
    used = {method: median[f"{method} step"] * count / peak for method, count in flops.items()} if peak else None
    return {
        **provenance(), "seed": SEED,
        "device": str(device), "device_name": name, "cores": os.cpu_count(), "image_size": args.image_size,
        "batch_size": args.batch_size, "steps_per_turn": args.steps, "turns": args.turns, "images_per_second": found,
        "median_images_per_second": median, "gflops_per_image": {name: count / 1e9 for name, count in flops.items()},
        "model_flops_utilisation": used, "ratios": ratios(median, device), "points": points(args),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--images", type=int, default=1024, help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, help="steps in a turn; 4 on a CPU and 50 on a GPU when not given")
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--point", choices=SUBJECTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    device = resolve_device(args.device)
    args.steps = args.steps or (50 if device.type == "cuda" else 4)
    with tempfile.TemporaryDirectory() as scratch:
        if args.point:
            print(json.dumps(one_point(args, Path(scratch), device)))
            return
        found, flops = rates(args, Path(scratch), device)
    record = summary(args, device, found, flops)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "training.json").write_text(json.dumps(record, indent=2) + "\n")
    draw(args.out / "training.png", record)
    show(record)
    print(f"written: {args.out / 'training.json'}, {args.out / 'training.png'}")


if __name__ == "__main__":
    main()

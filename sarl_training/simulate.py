"""`sarl-train simulate`: draw contacts, render them to the sensors, write a dataset folder with ground truth.

Sample i of a task is the same for a seed whatever the suite, the other tasks, the sensors or the device's batch size.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import tyro
from tqdm import tqdm

from sarl_training.config import Device, check_image_size, check_seed
from sarl_training.contact_sheet import COLUMNS, LINES, write_contact_sheet
from sarl_training.dataset import DatasetWriter
from sarl_training.device import resolve_device
from sarl_training.errors import UsageError
from sarl_training.run_folder import git_commit
from sarl_training.simulation.contact import draw_exposure, draw_unit, sample_generator
from sarl_training.simulation.render import render_contacts
from sarl_training.simulation.sensors import SENSORS
from sarl_training.tasks import TASKS, TRANSFER_SETS, SimulatedTask
from sarl_training.tasks.declared import declaration

Suite = Literal[
    "smoke", "demo", "small", "standard", "full", "units", "many_units",
    "transfer_smoke", "transfer_small", "transfer_standard", "transfer",
]  # fmt: skip
SIMULATED: dict[str, SimulatedTask] = TASKS | TRANSFER_SETS

# Contacts per task. `full` has the paper's sizes (21 x 500 shapes, 7 x 500 gratings), `standard` about 10 000 contacts.
# `transfer` is as large as the paper's sets: 10 x 400, 9 x 500 and 11 x 250.
SUITES: dict[Suite, dict[str, int]] = {
    "smoke": {
        "shape": 42, "grating": 28, "material": 24, "force": 40, "contact_point": 40, "edge_pose": 60, "contact": 20,
    },
    "demo": {"edge_pose": 2400, "contact": 300},
    "small": {
        "shape": 840, "grating": 280, "material": 480, "force": 560, "contact_point": 520, "edge_pose": 1080,
        "contact": 240,
    },
    "standard": {
        "shape": 2100, "grating": 700, "material": 1200, "force": 1400, "contact_point": 1300, "edge_pose": 2700,
        "contact": 600,
    },
    "full": {
        "shape": 10500, "grating": 3500, "material": 6000, "force": 6000, "contact_point": 5000, "edge_pose": 5000,
        "contact": 2000,
    },
    "units": {"edge_pose": 10000},
    "many_units": {"edge_pose": 40000},
    "transfer_smoke": {"printed_objects": 50, "carbide_tools": 45, "hand_tools": 55},
    "transfer_small": {"printed_objects": 400, "carbide_tools": 360, "hand_tools": 440},
    "transfer_standard": {"printed_objects": 1500, "carbide_tools": 1350, "hand_tools": 1650},
    "transfer": {"printed_objects": 4000, "carbide_tools": 4500, "hand_tools": 2750},
}  # fmt: skip
_CPU_BATCH, _CUDA_BATCH = 8, 256  # 8 images of 224 px stay in a core's cache


@dataclass(frozen=True)
class SimulateConfig:
    """Simulate contacts of a camera-in-gel fingertip and write a dataset folder (all of it simulated)."""

    out: Path
    """Dataset folder to write; must not exist."""
    suite: Suite = "standard"
    """How many contacts: smoke 254 (seconds), demo 2 700, small 4 000, standard 10 000, full 38 000 (paper's),
    units 10 000 edges for `--units 256` (what calibrate learns from); many_units 40 000 for
    `--units 4000` (to fine-tune an encoder on).
    The transfer suites are sets of objects on four other sensors: transfer_smoke 150 contacts, transfer_small 1 200,
    transfer_standard 4 500, transfer 11 250 (paper's)."""
    tasks: tuple[str, ...] = ()
    """Tasks to simulate; all of the suite's when not given."""
    sensors: tuple[str, ...] = ()
    """Sensors that see each contact: vitactip, vitac, tactip, or a stand-in (magictac_t, magictac_d, gelsight, pnutac).
    When not given: vitactip, and in a transfer suite the stand-ins of each set. Labels of force are those of the first
    sensor: the skins of the stand-ins are others."""
    image_size: int = 224
    """Side of the square images in pixels; 224 is the paper's."""
    units: int = 1
    """Copies of the sensor that the contacts are spread over (optics, pins, gel and light differ). A lab has one
    fingertip; pretraining over many tells the copies apart before it sees geometry."""
    seed: int = 0
    """Seed of the whole dataset."""
    device: Device = "auto"
    """Where to render."""
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Go on with an interrupted dataset (`<out>.partial`)."""

    def __post_init__(self) -> None:
        suite = SUITES[self.suite]
        for name in self.tasks:
            if name not in suite:
                raise UsageError(f"--tasks {name}: not in suite {self.suite}; choose from {', '.join(suite)}")
        for name in self.sensors:
            if name not in SENSORS:
                raise UsageError(f"--sensors {name}: unknown sensor; choose from {', '.join(SENSORS)}")
        check_image_size(self.image_size)
        check_seed(self.seed)
        if self.units < 1:
            raise UsageError(f"--units {self.units}: at least 1 is needed")

    @property
    def counts(self) -> dict[str, int]:
        """Contacts per task."""
        suite = SUITES[self.suite]
        return {name: count for name, count in suite.items() if name in (self.tasks or suite)}

    def sensors_of(self, task: str) -> tuple[str, ...]:
        """Sensors that see the contacts of a task."""
        return self.sensors or SIMULATED[task].sensors


def run(config: SimulateConfig) -> None:
    """Write the dataset; raises RunFailed on a full disk and leaves `<out>.partial` for --resume."""
    device = resolve_device(config.device)
    info = {
        "name": config.out.name,
        "version": 1,
        "simulated": True,
        "generator": {
            "command": "sarl-train simulate",
            "suite": config.suite,
            "contacts": config.counts,
            "sensors": sorted({sensor for name in config.counts for sensor in config.sensors_of(name)}),
            "image_size": config.image_size,
            "units": config.units,
            "commit": git_commit(),
        },
        "seed": config.seed,
        "units": {"length": "mm", "angle": "deg", "force": "N"},
        "licence": "MIT",
        "tasks": {name: declaration(TRANSFER_SETS[name]) for name in config.counts if name in TRANSFER_SETS},
    }
    total = sum(config.counts.values())
    with (
        DatasetWriter(config.out, info, config.resume) as writer,
        tqdm(total=total, unit="contact", desc="simulate") as bar,
    ):
        for name in config.counts:
            _simulate_task(SIMULATED[name], config, device, writer, bar)
    images = sum(count * len(config.sensors_of(name)) for name, count in config.counts.items())
    print(f"{config.out}: {total} simulated contacts, {images} images of {config.image_size} px, seed {config.seed}")
    for name in config.counts:
        print(f"  {name}: look at {config.out / name / 'contact_sheet.png'}")


def _simulate_task(
    task: SimulatedTask, config: SimulateConfig, device: torch.device, writer: DatasetWriter, bar: tqdm
) -> None:
    count, sensors = config.counts[task.name], config.sensors_of(task.name)
    split = split_names(task, count, config.seed)
    rows: list[dict[str, object]] = []
    sheet: dict[str, list[np.ndarray]] = {name: [] for name in sensors}
    for indices, images, labels in rendered_batches(task, config, device):
        for sensor in sensors:
            for index, image in zip(indices, images[sensor], strict=True):
                writer.add_image(task.name, sensor, index, image)
            sheet[sensor].extend(images[sensor][: COLUMNS * LINES - len(sheet[sensor])])
        rows.extend(_row(task, index, split[index], label) for index, label in zip(indices, labels, strict=True))
        bar.update(len(indices))
    for sensor in sensors:
        writer.write_labels(task.name, sensor, rows, task.class_names)
    write_contact_sheet(writer.folder / task.name / "contact_sheet.png", task, sheet, rows)


def _row(task: SimulatedTask, index: int, split: str, labels: dict[str, object]) -> dict[str, object]:
    name = f"{task.name}-{index:06d}"
    return {
        "sample_id": name,
        "image": f"images/{index:06d}.jpg",
        "latent_id": name,
        "group_id": name,
        "split": split,
        **labels,
    }


def rendered_batches(
    task: SimulatedTask, config: SimulateConfig, device: torch.device
) -> Iterator[tuple[range, dict[str, np.ndarray], list[dict[str, object]]]]:
    """Batches in index order. On the CPU one thread per core renders its own batch: torch frees the interpreter
    lock.
    """
    count = config.counts[task.name]
    size, workers = (_CUDA_BATCH, 1) if device.type == "cuda" else (_CPU_BATCH, os.cpu_count() or 1)
    batches = [range(first, min(first + size, count)) for first in range(0, count, size)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(workers) as pool:
            for first in range(0, len(batches), 4 * workers):
                ahead = batches[first : first + 4 * workers]
                results = pool.map(lambda batch: render_samples(task, batch, config, device), ahead)
                for batch, (images, labels) in zip(ahead, results, strict=True):
                    yield batch, images, labels
    finally:
        torch.set_num_threads(threads)


def render_samples(
    task: SimulatedTask, indices: range, config: SimulateConfig, device: torch.device
) -> tuple[dict[str, np.ndarray], list[dict[str, object]]]:
    """Images by sensor, uint8 [B, S, S, 3], and label rows of samples `indices` of a task."""
    generators = [sample_generator(config.seed, task.name, index) for index in indices]
    contacts = [task.draw(rng, index) for rng, index in zip(generators, indices, strict=True)]
    units = [draw_unit(config.seed, int(rng.integers(config.units))) for rng in generators]
    exposures = [draw_exposure(rng) for rng in generators]
    sensors = [SENSORS[name] for name in config.sensors_of(task.name)]
    images, forces = render_contacts(contacts, units, exposures, sensors, config.image_size, device)
    return images, [dict(task.labels(contact, force)) for contact, force in zip(contacts, forces, strict=True)]


def split_names(task: SimulatedTask, count: int, seed: int) -> list[str]:
    """Split of each contact, by the task's shares within each class (contact i has class i mod C).

    Each class starts at another place of the cycle, so that tiny suites still fill every split over all classes.
    """
    classes = max(len(task.class_names), 1)
    train, val, _ = task.shares
    names = [""] * count
    for first in range(min(classes, count)):
        members = np.arange(first, count, classes)
        sample_generator(seed, "split", task.name, first).shuffle(members)
        for rank, index in enumerate(members):
            share = (rank + first / classes) / len(members)
            names[index] = "train" if share < train else "val" if share < train + val else "test"
    return names

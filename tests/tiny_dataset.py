"""Datasets of a few small drawn images, made in milliseconds: a bright bar whose place and angle are the label."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from sarl_training.dataset import DatasetWriter

SPLITS = ("train", "train", "train", "val", "test")


def bar_image(x: float, theta_deg: float, size: int = 40, colour: Sequence[int] = (250, 240, 200)) -> np.ndarray:
    """A bar through `x` (-1..1) at an angle, uint8 RGB."""
    image = np.full((size, size, 3), 40, np.uint8)
    centre = size / 2 * np.array([1 + 0.6 * x, 1])
    along = size * np.array([np.sin(np.radians(theta_deg)), np.cos(np.radians(theta_deg))])
    ends = [tuple(int(v) for v in centre + sign * along) for sign in (-1, 1)]
    cv2.line(image, *ends, color=tuple(colour), thickness=size // 6, lineType=cv2.LINE_AA)
    return image


def write_dataset(
    out: Path,
    tasks: Mapping[str, int],
    sensors: Sequence[str] = ("vitactip",),
    info: Mapping[str, object] | None = None,
) -> Path:
    """A dataset with so many contacts per task; classes are told apart by the bar's place and colour."""
    rng = np.random.default_rng(0)
    with DatasetWriter(out, {"name": "tiny", "simulated": True, "seed": 0, **(info or {})}) as writer:
        for task, count in tasks.items():
            for sensor in sensors:
                rows = [_sample(writer, task, sensor, index, rng) for index in range(count)]
                writer.write_labels(task, sensor, rows, CLASS_NAMES.get(task, ()))
    return out


CLASS_NAMES = {
    "contact": ("no_contact", "contact"),
    "material": ("rubber", "wood", "steel"),
    "shape": ("bar", "dark bar"),
}


def _sample(writer: DatasetWriter, task: str, sensor: str, index: int, rng: np.random.Generator) -> dict[str, object]:
    x, theta = rng.uniform(-1, 1), rng.uniform(-45, 45)
    label = index // len(SPLITS) % len(CLASS_NAMES.get(task, "x"))
    image = bar_image(
        label - 0.5 if task in CLASS_NAMES else x, theta, colour=(250, 240 - 80 * label, 200 - 60 * label)
    )
    image = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)  # no two alike
    labels: dict[str, dict[str, float]] = {
        "edge_pose": {"x_mm": 3 * x, "z_mm": 1 + x * x, "theta_deg": theta},
        "force": {"fx_N": x, "fy_N": 0.1 * theta, "fz_N": -1 - x},
    }
    name = f"{task}-{index:06d}"
    return {
        "sample_id": name,
        "image": writer.add_image(task, sensor, index, image),
        "latent_id": name,
        "group_id": name,
        "split": SPLITS[index % len(SPLITS)],
        **labels.get(task, {"label": label}),
    }

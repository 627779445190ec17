"""What the training bench says of what it measured: ratios against the bars, a table, a picture."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure

SUBJECTS = {"sarl": "#c2571a", "byol": "#4878a8", "lightly": "#6a6a6a"}
GROWTH = {"batch_size": (16, 32), "image_size": (64, 128), "images": (512, 8192)}
BARS = {
    "SARL step / BYOL step": ("<=", 1.10),
    "SARL full rate / ceiling": (">=", 0.90),
    "BYOL full rate / ceiling": (">=", 0.90),
    "BYOL here / lightly's example": (">=", 1.5),
}
GPU_BARS = {"SARL full rate / ceiling": 0.85, "BYOL full rate / ceiling": 0.85, "BYOL here / lightly's example": 3.0}


def ratios(median: dict[str, float], device: torch.device) -> dict[str, dict[str, Any]]:
    """The bars, what was found, and whether it is met."""
    values = {
        "SARL step / BYOL step": median["byol step"] / median["sarl step"],
        "SARL full rate / ceiling": median["sarl step"] / median["sarl ceiling"],
        "BYOL full rate / ceiling": median["byol step"] / median["byol ceiling"],
        "BYOL here / lightly's example": median["byol step"] / median["lightly example"],
    }
    if "lightly, bfloat16" in median:
        values["BYOL here / lightly in bfloat16"] = median["byol step"] / median["lightly, bfloat16"]
    table = {}
    for name, value in values.items():
        sign, bar = BARS.get(name, ("", None))
        if device.type == "cuda":
            bar = GPU_BARS.get(name, bar)
        met = None if bar is None else (value <= bar if sign == "<=" else value >= bar)
        table[name] = {"ratio": round(value, 3), "bar": f"{sign} {bar}" if bar else "", "met": met}
    return table


def draw(path: Path, record: dict[str, Any]) -> None:
    """Rates, memory, and growth of every subject along each axis of `GROWTH`."""
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(12, 8.4), layout="constrained")
        figure.suptitle(
            f"Pretraining on {record['device_name']}: {record['image_size']} px, batch {record['batch_size']}"
        )
        top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.5))
        left, right = top.subplots(1, 2)
        median = {name: value for name, value in record["median_images_per_second"].items() if name != "input"}
        turns = {name: record["images_per_second"][name] for name in median}
        spread = [[median[name] - min(values), max(values) - median[name]] for name, values in turns.items()]
        left.barh(list(median), list(median.values()), xerr=np.array(spread).T, color="#4878a8", error_kw={"lw": 1})
        left.invert_yaxis()
        left.set_xlabel("images / s, median and range of turns")
        left.set_title(f"input alone: {record['median_images_per_second']['input']:.0f} images / s", loc="left")
        common = [point for point in record["points"] if not point["varied"]]
        names = [point["subject"] for point in common]
        right.bar(names, [point["memory_peak_mb"] for point in common], color="#4878a8")
        workers = [point.get("workers_mb", 0) for point in common]
        right.bar(
            names, workers, bottom=[point["memory_peak_mb"] for point in common], color="#a8c4e0", label="workers"
        )
        right.legend(frameon=False)
        right.set_ylabel("peak memory, MB")
        for (rate, memory), name in zip(bottom.subplots(2, len(GROWTH), sharex="col").T, GROWTH, strict=True):
            for subject, colour in SUBJECTS.items():
                grown = sorted((p for p in record["points"] if p["subject"] == subject and p["varied"] in ("", name)),
                               key=lambda p: p[name])  # fmt: skip
                where = [p[name] for p in grown]
                rate.plot(where, [p["images_per_second"] for p in grown], "o-", color=colour, label=subject)
                memory.plot(where, [_whole_mb(p) for p in grown], "s--", color=colour, label=subject)
            memory.set_xlabel(
                {"batch_size": "batch", "image_size": "image side, px", "images": "images in the pool"}[name]
            )
            for axis in (rate, memory):
                axis.set_ylim(0, 1.1 * axis.dataLim.y1)
            if name == "batch_size":
                rate.set_ylabel("images / s")
                memory.set_ylabel("peak memory, MB")
                rate.legend(frameon=False)
        figure.savefig(path, dpi=100)


def _whole_mb(point: dict[str, Any]) -> float:
    return point["memory_peak_mb"] + point.get("workers_mb", 0)


def show(record: dict[str, Any]) -> None:
    """The table on the terminal."""
    for name, values in record["images_per_second"].items():
        median = record["median_images_per_second"][name]
        print(f"{name:22}{median:9.1f} images/s   ({min(values):.1f} to {max(values):.1f})")
    for name, found in record["ratios"].items():
        verdict = {True: "met", False: "NOT met", None: ""}[found["met"]]
        print(f"{name:34}{found['ratio']:7.3f}   {found['bar']:8}{verdict}")
    for point in record["points"]:
        where = f"{point['image_size']} px, batch {point['batch_size']}, pool {point['images']}"
        workers = f" + {point['workers_mb']:.0f} MB in workers" if "workers_mb" in point else ""
        print(f"{point['subject']:8}{where:34}{point['images_per_second']:8.1f} images/s "
              f"{point['memory_peak_mb']:7.0f} MB{workers}")  # fmt: skip
    print("GFLOP per image: " + ", ".join(f"{name} {value:.1f}" for name, value in record["gflops_per_image"].items()))
    if record["model_flops_utilisation"]:
        used = record["model_flops_utilisation"].items()
        print("model FLOPs utilisation: " + ", ".join(f"{name} {value:.1%}" for name, value in used))

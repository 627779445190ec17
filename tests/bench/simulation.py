"""Speed of the sensor simulation: images per second at 224 px, and where the time goes.

    python tests/bench/simulation.py --out runs/bench      (make bench runs it)

Writes simulation.json and simulation.png. Throughput is that of `sarl-train simulate` without file writing: all
cores, batches in threads, drawing of latents included. The stages are timed one after another on one core.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

import cv2
import matplotlib
import torch

from sarl_training.run_folder import provenance
from sarl_training.simulate import SimulateConfig, rendered_batches
from sarl_training.simulation.contact import Columns, draw_exposure, draw_unit, sample_generator
from sarl_training.simulation.press import solve_press
from sarl_training.simulation.sensors import SENSORS
from sarl_training.tasks import TASKS

matplotlib.use("Agg")
from matplotlib import pyplot as plt

SIZE, BATCH, SEED, REPEATS = 224, 8, 0, 5


def throughput(sensor: str, device: torch.device) -> list[float]:
    """Images per second of each repeat, over 240 edge and shape contacts (the smoke suite's, after a warm-up)."""
    config = SimulateConfig(out=Path("unused"), suite="smoke", sensors=(sensor,), image_size=SIZE, seed=SEED)
    rates = []
    for _ in range(REPEATS + 1):
        start, count = time.perf_counter(), 0
        for name in ("edge_pose", "shape", "force", "grating"):
            count += sum(len(batch) for batch, _, _ in rendered_batches(TASKS[name], config, device))
        rates.append(count / (time.perf_counter() - start))
    return rates[1:]


def stages(device: torch.device) -> dict[str, float]:
    """Milliseconds per image of each stage, median of repeats, one core."""
    torch.set_num_threads(1)
    generators = [sample_generator(SEED, "bench", index) for index in range(BATCH)]
    contact = Columns([TASKS["edge_pose"].draw(rng, 0) for rng in generators], device)
    unit = Columns([draw_unit(SEED, index) for index in range(BATCH)], device)
    exposure = Columns([draw_exposure(rng) for rng in generators], device)
    with torch.inference_mode():
        press = solve_press(contact, unit)
        image = SENSORS["vitactip"].render(press, contact, unit, exposure, SIZE)[0].cpu().numpy()
        work = {"contact solve": lambda: solve_press(contact, unit)}
        for sensor in SENSORS.values():
            work[f"render {sensor.name}"] = lambda s=sensor: s.render(press, contact, unit, exposure, SIZE).cpu()
        result = {name: _median_ms(stage) / BATCH for name, stage in work.items()}
    result["JPEG q95"] = _median_ms(lambda: cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95]))
    return result


def _median_ms(stage) -> float:
    stage()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        stage()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def draw(path: Path, rates: dict[str, list[float]], stage_ms: dict[str, float]) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4))
    left.bar(list(rates), [statistics.median(r) for r in rates.values()], color="#4878a8")
    left.set_ylabel(f"images / s at {SIZE} px, {os.cpu_count()} cores")
    right.barh(list(stage_ms), list(stage_ms.values()), color="#a87848")
    right.set_xlabel("ms per image, one core")
    figure.suptitle("Sensor simulation")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rates = {name: throughput(name, device) for name in SENSORS}
    stage_ms = stages(device)
    out.mkdir(parents=True, exist_ok=True)
    record = {
        **provenance(), "seed": SEED, "device": str(device),
        "cores": os.cpu_count(), "image_size": SIZE, "images_per_second": rates,
        "median_images_per_second": {name: statistics.median(values) for name, values in rates.items()},
        "stage_ms_per_image_one_core": stage_ms,
    }  # fmt: skip
    (out / "simulation.json").write_text(json.dumps(record, indent=2) + "\n")
    draw(out / "simulation.png", rates, stage_ms)
    for name, values in rates.items():
        print(f"{name:10} {statistics.median(values):6.0f} images/s  ({min(values):.0f} to {max(values):.0f})")
    for name, value in stage_ms.items():
        print(f"{name:18} {value:6.2f} ms per image on one core")
    print(f"written: {out / 'simulation.json'}, {out / 'simulation.png'}")


if __name__ == "__main__":
    main()

"""Real frames in, comparison out."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from sarl_training.device import resolve_device
from sarl_training.realism.comparison import compare
from sarl_training.realism.config import RealismConfig
from sarl_training.realism.frames import list_frames, read_frame, spread
from sarl_training.realism.page import Subject, rank_lines, summary, write_page
from sarl_training.realism.picture import draw
from sarl_training.realism.press_order import DepthReader, channel_gain, rank_presses
from sarl_training.realism.simulated import SimulatedUnit, simulated_units
from sarl_training.realism.statistics import SIZE_PX, Measured, measure
from sarl_training.run_folder import git_commit


def hold_against_reality(config: RealismConfig) -> tuple[Path, str]:
    """Write the comparison into `config.out`; returns the page and one line to say.

    Raises DataRefused for frames or a model that cannot be used; nothing is written then.
    """
    reader = DepthReader(config.ranking_model) if config.ranking_model is not None else None
    frames = spread(list_frames(config.realism, config.sensor), config.frames)
    read = partial(_read, config)
    real_NHWC = np.stack([read(path, SIZE_PX) for path in tqdm(frames, "real frames", delay=1, leave=False)])
    rest_HWC = read(config.rest, SIZE_PX) if config.rest is not None else None
    real = measure(real_NHWC, rest_HWC, config.sensor)

    units, simulated = _simulate(config, torch.device(resolve_device(config.device)))
    rows = compare(real, simulated)
    ranks = {}
    if reader is not None:
        gain = channel_gain(real_NHWC, np.concatenate([unit.frames_NHWC for unit in units]))
        ranks = rank_presses(reader, read, frames, gain, real)
    png = draw(real_NHWC, real, [unit.frames_NHWC for unit in units], simulated, rows)
    page = write_page(config.out, _subject(config, len(frames)), rows, ranks, png)
    said = [summary(rows), *(f"Spearman with the order, {', '.join(row)}" for row in rank_lines(ranks))]
    return page, "\n".join(said)


def _read(config: RealismConfig, path: Path, size: int) -> np.ndarray:
    return read_frame(path, config.region, size)


def _simulate(config: RealismConfig, device: torch.device) -> tuple[list[SimulatedUnit], list[Measured]]:
    """All units, and what is measured on each."""
    found = simulated_units(config.sensor, config.touched, config.units, config.contacts, config.seed, device)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for a few frames at a time more threads wait for each other
    try:
        units = list(tqdm(found, "simulated units", config.units, delay=1, leave=False))
    finally:
        torch.set_num_threads(threads)
    with_rest = config.rest is not None
    return units, [
        measure(unit.frames_NHWC, unit.rest_HWC if with_rest else None, config.sensor)
        for unit in tqdm(units, "measure", delay=1, leave=False)
    ]


def _commit() -> str:
    commit, _, changed = git_commit().partition("-")
    return commit[:12] + (f"-{changed}" if changed else "")


def _subject(config: RealismConfig, frames: int) -> Subject:
    rest = "and one at rest" if config.rest is not None else "none at rest: pin motion is from each pin's median place"
    return Subject(
        f"{config.sensor}, {config.realism.resolve().parent.name}/{config.realism.resolve().name}",
        (
            f"Real: {frames} frames in contact, {rest}. Simulated: {config.units} units of seed {config.seed}, "
            f"{config.contacts} contacts each with a {config.touched}, commit {_commit()}. All at {SIZE_PX} px.",
            "One figure in ten of a simulated unit is outside such a range too; figures depend on each other.",
        ),
    )

"""What an exported file does on the test split, and on frames that it must not trust."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sarl_training import pictures
from sarl_training.dataset import Table, load_images
from sarl_training.deployed_model import UNFAMILIARITY
from sarl_training.labels import SPLITS
from sarl_training.model_card import TaskFacts, UnlikeFacts
from sarl_training.onnx_file import OnnxModel
from sarl_training.task_answers import answers, calibration, errors, labels
from sarl_training.tasks import Task
from sarl_training.unlike_frames import SAME_CONTACT, UNLIKE

UNLIKE_FRAMES = 100  # of test, per kind and task with a geometric head

Outputs = Mapping[str, np.ndarray]


def task_facts(task: Task, table: Table, val: list[float], outputs: Outputs) -> TaskFacts:
    """One head on test."""
    train, test = table.part("train"), table.part("test")
    ranges = {name: (float(train.columns[name].min()), float(train.columns[name].max())) for name in task.columns}
    return TaskFacts(
        task=task,
        counts={split: int((table.split == split).sum()) for split in SPLITS},
        val=val,
        test=errors(task, outputs, test),
        calibration=calibration(task, outputs, test),
        ranges=ranges if task.kind == "regression" else {},
        classes=len(table.class_names),
    )


def measure_unlike(
    model: OnnxModel,
    tables: Mapping[Task, Table],
    familiar: Mapping[str, Table],
    foreign: Mapping[str, list[Path]],
    threshold: float,
    size: int,
) -> list[UnlikeFacts]:
    """The sensor's own test frames, spoilt ones, and `foreign` ones by name (other sensors')."""
    own = {name: _strangeness(model, table.part("test").images, size, name) for name, table in familiar.items()}
    own_N = np.concatenate(list(own.values()))
    facts = [UnlikeFacts("test, all tasks", len(own_N), float((own_N > threshold).mean()), None, None)]
    samples = {task: _sample(table.part("test")) for task, table in tables.items() if task.kind == "regression"}
    samples = samples or {task: _sample(table.part("test")) for task, table in tables.items()}
    images = {task: np.array(load_images(part.images, size)) for task, part in samples.items()}
    rng = np.random.default_rng(1)
    for name, spoil in UNLIKE.items():
        outputs = {task: model(spoil(images[task], rng), label=name) for task in samples}
        found_N = np.concatenate([found[UNFAMILIARITY][:, 0] for found in outputs.values()])
        inside = _coverage(outputs, samples) if name in SAME_CONTACT else None
        facts.append(_facts(name, found_N, own_N, threshold, inside))
    for name, paths in foreign.items():
        facts.append(_facts(name, _strangeness(model, paths, size, name), own_N, threshold, None))
    return facts


def auroc(negative_N: np.ndarray, positive_N: np.ndarray) -> float:
    """Probability that a positive scores higher than a negative, ties counting half."""
    order = np.sort(negative_N)
    below = np.searchsorted(order, positive_N, "left") + np.searchsorted(order, positive_N, "right")
    return float(below.mean() / (2 * len(negative_N)))


def draw(path: Path, task: Task, test: Table, outputs: Outputs, simulated: bool) -> None:
    """The head's picture: predicted against true, or a confusion matrix."""
    title = f"{task.output}{' (simulated)' if simulated else ''}"
    found, true = answers(task, outputs), labels(task, test).numpy()
    if task.kind == "regression":
        found, true = found / task.si_scale, true / task.si_scale
    pictures.predictions(path, title, task, test.class_names, true, {"exported file": found})


def _facts(
    name: str, found_N: np.ndarray, own_N: np.ndarray, threshold: float, coverage_90: float | None
) -> UnlikeFacts:
    return UnlikeFacts(name, len(found_N), float((found_N > threshold).mean()), auroc(own_N, found_N), coverage_90)


def _strangeness(model: OnnxModel, paths: list[Path], size: int, name: str) -> np.ndarray:
    return model(load_images(paths, size), label=f"{name} unfamiliarity")[UNFAMILIARITY][:, 0]


def _sample(table: Table) -> Table:
    return table.rows(np.unique(np.linspace(0, len(table) - 1, UNLIKE_FRAMES).astype(int)))


def _coverage(outputs: Mapping[Task, Outputs], samples: Mapping[Task, Table]) -> float | None:
    """Over all geometric heads."""
    inside = count = 0.0
    for task, part in samples.items():
        facts = calibration(task, outputs[task], part)
        if facts is not None:
            inside += facts.coverage_90 * len(part)
            count += len(part)
    return inside / count if count else None

"""Downstream tasks: labels that agree with the geometry of the draw, and splits without leaks."""

import math
from collections import Counter

import numpy as np
import pytest

from sarl_training.simulate import SUITES, split_names
from sarl_training.simulation.contact import sample_generator
from sarl_training.tasks import TASKS, TRANSFER_SETS

ALL = TASKS | TRANSFER_SETS
FORCE = np.array([0.1, -0.2, -0.5])


def drawn(name: str, count: int):
    task = ALL[name]
    contacts = [task.draw(sample_generator(0, name, index), index) for index in range(count)]
    return contacts, [task.labels(contact, FORCE) for contact in contacts]


@pytest.mark.parametrize("name", ALL)
def test_labels_have_the_declared_columns_and_a_draw_repeats(name):
    task = ALL[name]
    contacts, labels = drawn(name, 4)
    assert contacts == drawn(name, 4)[0], "same seed, same contact"
    assert contacts[0] != contacts[3]
    for row in labels:
        assert set(task.columns) <= set(row)
        assert all(np.isfinite(row[column]) for column in task.columns)
    if task.kind == "classification":
        assert all(0 <= row["label"] < len(task.class_names) for row in labels)
    else:
        assert len(task.axes) == len(task.units) == len(task.si_scale) == len(task.columns)


def test_edge_labels_are_the_line_through_the_contact():
    """n . c = x for every point c of the edge, n = (cos theta, sin theta)."""
    for contact, row in zip(*drawn("edge_pose", 50), strict=True):
        theta = math.radians(row["theta_deg"])
        assert math.cos(theta) * contact.x_mm + math.sin(theta) * contact.y_mm == pytest.approx(row["x_mm"], abs=1e-9)
        assert abs(row["x_mm"]) <= 5 and abs(row["theta_deg"]) <= 45 and 0.5 <= row["z_mm"] <= 3.5


def test_material_label_tells_hardness_and_texture_but_not_colour():
    contacts, labels = drawn("material", 240)
    names = TASKS["material"].class_names
    assert all(names[row["label"]] == f"{row['hardness']}_{row['texture']}" for row in labels)
    by_class = [
        np.mean([c.albedo_rgb for c, row in zip(contacts, labels, strict=True) if row["label"] == k]) for k in range(12)
    ]
    assert np.std(by_class) < 0.1


def test_contact_label_is_decided_by_the_force():
    task, (contacts, _) = TASKS["contact"], drawn("contact", 2)
    assert task.labels(contacts[0], np.array([0, 0, -0.5]))["label"] == 1
    assert task.labels(contacts[0], np.array([0, 0, -0.001]))["label"] == 0


@pytest.mark.parametrize("name", ["shape", "edge_pose"])
def test_splits_are_70_15_15_within_each_class_and_stay(name):
    task, count = TASKS[name], 2100
    names = split_names(task, count, seed=0)
    assert names == split_names(task, count, seed=0) != split_names(task, count, seed=1)
    shares = Counter(names)
    assert shares["train"] / count == pytest.approx(0.70, abs=0.01)
    assert shares["test"] / count == pytest.approx(0.15, abs=0.01)
    if name == "shape":
        assert set(Counter(index % 21 for index, split in enumerate(names) if split == "test").values()) == {15}


def test_si_scales():
    edge = TASKS["edge_pose"]
    assert edge.si_units == ("m", "m", "rad")
    assert edge.si_scale == pytest.approx((1e-3, 1e-3, math.pi / 180))


@pytest.mark.parametrize("name", TASKS)
def test_the_smallest_suite_fills_every_split(name):
    assert set(split_names(TASKS[name], SUITES["smoke"][name], seed=0)) == {"train", "val", "test"}

"""Hand tools: which of eleven tips presses on a PnuTac."""

from __future__ import annotations

import numpy as np

from sarl_training.simulation.contact import Contact
from sarl_training.simulation.tools import TOOL_OUTLINES
from sarl_training.tasks.base import Labels, SimulatedTask
from sarl_training.tasks.shape import press_of

NAMES = tuple(TOOL_OUTLINES)


def draw(rng: np.random.Generator, index: int) -> Contact:
    return press_of(NAMES[index % len(NAMES)], rng)


def labels(contact: Contact, force_N: np.ndarray) -> Labels:
    return {"label": NAMES.index(contact.object_name)}


HAND_TOOLS = SimulatedTask(
    "hand_tools", "classification", ("label",), "hand_tools_probabilities", "classification", draw, labels,
    NAMES, sensors=("pnutac",), shares=(0.6, 0.2, 0.2),
)  # fmt: skip

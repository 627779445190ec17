"""The self-supervised methods. A new one is a file here and a line in METHODS: command line, tests and docs read it."""

from sarl_training.methods.base import Method
from sarl_training.methods.byol import BYOL
from sarl_training.methods.sarl import SARL

METHODS: dict[str, type[Method]] = {"byol": BYOL, "sarl": SARL}

__all__ = ["METHODS", "Method"]

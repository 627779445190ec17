"""The self-supervised methods. A new one is a file here and a line in METHODS: command line, tests and docs read it."""

from sarl_training.methods.barlow_twins import BarlowTwins
from sarl_training.methods.base import Method
from sarl_training.methods.byol import BYOL
from sarl_training.methods.cplearn import CPLearn
from sarl_training.methods.densecl import DenseCL
from sarl_training.methods.minc import MINC
from sarl_training.methods.sarl import SARL
from sarl_training.methods.simclr import SimCLR
from sarl_training.methods.simsiam import SimSiam
from sarl_training.methods.swav import SwAV
from sarl_training.methods.vicreg import VICReg

METHODS: dict[str, type[Method]] = {
    "sarl": SARL,
    "byol": BYOL,
    "simclr": SimCLR,
    "simsiam": SimSiam,
    "barlow_twins": BarlowTwins,
    "vicreg": VICReg,
    "swav": SwAV,
    "minc": MINC,
    "cplearn": CPLearn,
    "densecl": DenseCL,
}

__all__ = ["METHODS", "Method"]

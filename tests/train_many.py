"""Trainings one after the other, in one process or under torchrun in several, in double precision.

    train_many.py OUT DATA FLAGS... -- METHOD FLAGS... [-- METHOD FLAGS...]

Each goes to OUT/METHOD. In double, since training magnifies rounding: in float32 the same batch in another order gives
gradients that differ by 5e-3 on the tests' images, and nothing could be said about processes.
"""

import sys

import torch

from sarl_training import diagnostics, distributed, pretrain, pretraining
from sarl_training.cli import main
from sarl_training.losses import checks
from sarl_training.networks import normalise
from sarl_training.views import View, make_view

UNEVEN = 1e-3
"""Added to views: in patches that jitter turned all black or white max pooling would tie, and rounding choose."""


def make_view_double(*args: object, **kwargs: object) -> View:
    torch.set_default_dtype(torch.float32)
    view = make_view(*args, **kwargs)
    torch.set_default_dtype(torch.float64)
    x_BCHW, *rest = (part.double() for part in view)
    return View(x_BCHW + UNEVEN * torch.arange(x_BCHW[0].numel()).sin().view_as(x_BCHW[0]), *rest)


def run(words: list[str]) -> int:
    groups: list[list[str]] = [[]]
    for word in words:
        if word == "--":
            groups.append([])
        else:
            groups[-1].append(word)
    (out, data, *common), *runs = groups
    for method, *flags in runs:
        status = main(["pretrain", method, "--data", data, "--out", f"{out}/{method}", *common, *flags])
        if status:
            return status
    return 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    pretraining.make_view = make_view_double
    diagnostics.normalise = lambda images_BHWC: normalise(images_BHWC).double()
    checks._float32 = lambda value: value
    pretrain._report = lambda folder: None
    distributed.leave = lambda: None  # the next training meets in the same group
    sys.exit(run(sys.argv[1:]))

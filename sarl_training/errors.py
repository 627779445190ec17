"""Errors a user can act on. Each message is one line: what is wrong, the value found, what is allowed, what to do
next.
"""

from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit codes of `sarl-train`."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3


class SarlError(Exception):
    """Base of all errors that `sarl-train` reports in one line, without a traceback."""

    status = ExitStatus.FAILED


class RunFailed(SarlError):
    """The program could not finish: disk full, non-finite loss, export that differs from PyTorch."""


class UsageError(SarlError):
    """The words were wrong: unknown method, impossible size."""

    status = ExitStatus.USAGE


class DataRefused(SarlError):
    """A data set, checkpoint or model file was refused."""

    status = ExitStatus.REFUSED

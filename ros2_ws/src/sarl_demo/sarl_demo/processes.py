"""Nodes as processes on a ROS domain of their own."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

STOP_TIMEOUT_S = 10.0
DOMAINS = range(1, 100)


class RunFailed(RuntimeError):
    """One of the processes failed; one line that names its log."""


def free_domain() -> int:
    """A ROS domain whose discovery port nobody on this machine holds."""
    domains = list(DOMAINS)
    random.SystemRandom().shuffle(domains)
    for domain in domains:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", 7400 + 250 * domain))
            except OSError:
                continue
            return domain
    raise RunFailed("every ROS domain on this machine is in use: set one free")


def local_environment() -> dict[str, str]:
    """This environment, with a ROS domain that nobody uses and no discovery beyond this machine."""
    return {
        **os.environ,
        "ROS_DOMAIN_ID": str(free_domain()),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def running(
    words: list[str], environment: dict[str, str], log: Path, *, patience_s: float = STOP_TIMEOUT_S
) -> Iterator[subprocess.Popen[bytes]]:
    """Python with these words as a process, its output in `log`; at the end SIGINT, and SIGKILL after `patience_s`."""
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, *words], env=environment, stdout=file, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            try:
                process.wait(patience_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def parameters(assignments: Iterable[str]) -> list[str]:
    """Command-line words that set ROS parameters given as NAME:=VALUE."""
    return ["--ros-args", *(word for assignment in assignments for word in ("-p", assignment))]

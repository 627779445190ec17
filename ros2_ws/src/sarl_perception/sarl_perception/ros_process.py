"""How the process of a node begins and ends."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import rclpy
from rclpy.exceptions import NotInitializedException
from rclpy.executors import ExternalShutdownException
from rclpy.impl.implementation_singleton import rclpy_implementation

from sarl_perception.error_text import one_line


@contextmanager
def ros(args: list[str] | None) -> Iterator[ExitStack]:
    """ROS until the block ends, by itself or by SIGINT or SIGTERM; what it gives to the stack is closed first."""
    early: list[int] = []
    # rclpy ends spin; KeyboardInterrupt may strike inside its C++.
    signal.signal(signal.SIGINT, lambda number, _: early.append(number))
    start(args)
    if early:  # it came before rclpy listened
        signal.raise_signal(signal.SIGINT)
    with ExitStack() as at_end:
        at_end.callback(rclpy.utilities.try_shutdown)
        try:
            yield at_end
        except ExternalShutdownException:
            pass
        except (NotInitializedException, rclpy_implementation.RCLError):
            if rclpy.ok():  # else asked to end in the middle of something
                raise
        finally:
            ignore_signals()


def start(args: list[str] | None, **options: Any) -> None:
    """`rclpy.init` with its `options`; where ROS refuses its arguments the program ends: status 1 and one line why."""
    try:
        rclpy.init(args=args, **options)
    except (rclpy_implementation.RCLError, rclpy_implementation.UnknownROSArgsError) as error:
        sys.exit(
            f"ROS does not start: {one_line(error)}. Check what follows --ros-args: -p NAME:=VALUE, -r NAME:=NEW_NAME"
            " (letters, digits, _ and / only), --params-file FILE (YAML, NODE: ros__parameters: NAME: VALUE)"
        )


def ignore_signals() -> None:
    """Once asked to end: launch and impatient users ask again, which would strike in what is half destroyed."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)

"""How the process of a node begins and ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import rclpy
from rclpy.exceptions import NotInitializedException
from rclpy.executors import ExternalShutdownException
from rclpy.impl.implementation_singleton import rclpy_implementation


@contextmanager
def ros(args: list[str] | None) -> Iterator[ExitStack]:
    """ROS until the block ends, by itself or by SIGINT or SIGTERM; what it gives to the stack is closed first."""
    early: list[int] = []
    # rclpy ends spin; KeyboardInterrupt may strike inside its C++.
    signal.signal(signal.SIGINT, lambda number, _: early.append(number))
    rclpy.init(args=args)
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


def ignore_signals() -> None:
    """Once asked to end: launch and impatient users ask again, which would strike in what is half destroyed."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)

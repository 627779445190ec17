"""The newest frame wins, and nothing waits for ever."""

from __future__ import annotations

import threading

from sarl_perception.mailbox import Mailbox, Worker


def test_the_newest_item_overwrites() -> None:
    mailbox: Mailbox[int] = Mailbox()
    assert [mailbox.put(1), mailbox.put(2)] == [False, True]
    assert mailbox.take() == 2
    assert mailbox.put(3) is False


def test_the_worker_takes_the_newest_and_counts_add_up() -> None:
    started, release, handled = threading.Event(), threading.Event(), []

    def handle(item: int) -> None:
        handled.append(item)
        started.set()
        release.wait(5)

    worker = Worker(handle, "test")
    worker.offer(0)
    assert started.wait(5)
    overwritten = sum(worker.offer(item) for item in range(1, 10))
    release.set()
    left = worker.stop()
    assert overwritten == 8
    assert handled in ([0], [0, 9])
    assert len(handled) + overwritten + left == 10


def test_stopping_an_idle_worker_returns() -> None:
    assert Worker(print, "test").stop() is False

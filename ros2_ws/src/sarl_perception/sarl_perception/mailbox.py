"""Newest frame wins: a one-slot mailbox and the one thread that empties it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """Holds the newest item only; `take` waits for one. Safe between one producer and one consumer thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: Item | None = None
        self._closed = False

    def put(self, item: Item) -> bool:
        """Leave an item; True when it overwrote one that nobody took."""
        with self._changed:
            overwrote = self._item is not None
            self._item = item
            self._changed.notify()
            return overwrote

    def take(self) -> Item | None:
        """Wait for an item and take it; None once the mailbox is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed)
            if self._closed:
                return None
            item, self._item = self._item, None
            return item

    def close(self) -> bool:
        """Wake the consumer for the last time; True when an item was left untaken."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            return self._item is not None


class Worker(Generic[Item]):
    """A thread that calls `handle` with the newest item, one at a time, until stopped."""

    def __init__(self, handle: Callable[[Item], None], name: str) -> None:
        self._handle = handle
        self._mailbox: Mailbox[Item] = Mailbox()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def offer(self, item: Item) -> bool:
        """Hand over an item; True when it overwrote one that was still waiting."""
        return self._mailbox.put(item)

    def stop(self) -> bool:
        """Finish the item in hand and end the thread; True when an item was left waiting."""
        left = self._mailbox.close()
        self._thread.join()
        return left

    def _run(self) -> None:
        while (item := self._mailbox.take()) is not None:
            self._handle(item)

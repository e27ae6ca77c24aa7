"""A thread that works on the newest of what comes, never on a queue of what is old."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Worker(Generic[T]):
    """Calls `work` with the newest item, in a thread of its own, from `start` to `stop`."""

    def __init__(self, name: str, work: Callable[[T], None]) -> None:
        self._name, self._work = name, work
        self._newest: T | None = None
        self._arrived = threading.Condition()
        self._thread: threading.Thread | None = None
        self.ending = False

    def start(self) -> None:
        """Begin, with nothing to do."""
        self._newest, self.ending = None, False
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Something to work on, in place of what still waits; from any thread."""
        with self._arrived:
            self._newest = item
            self._arrived.notify_all()

    def pause(self, seconds: float) -> None:
        """For `work`: wait so long, or until all is to end."""
        with self._arrived:
            self._arrived.wait_for(lambda: self.ending, max(0.0, seconds))

    def stop(self, patience: float = 1.0) -> None:
        """End the thread, waiting for it at most so many seconds. May be called when nothing was begun."""
        with self._arrived:
            self.ending = True
            self._arrived.notify_all()
        if self._thread is not None:
            self._thread.join(patience)
            self._thread = None

    def _run(self) -> None:
        while True:
            with self._arrived:
                self._arrived.wait_for(lambda: self.ending or self._newest is not None)
                item, self._newest = self._newest, None
            if item is None or self.ending:
                return
            self._work(item)

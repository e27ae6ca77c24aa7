"""What one thread hears from the vehicle and another one waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Answers:
    """What came back to requests, for the thread that waits and the one that listens."""

    def __init__(self) -> None:
        self._results: dict[int, int] = {}
        self._news = threading.Condition()

    def put(self, command: int | None = None, result: int = 0) -> None:
        """The result of a command came, or something else that one may wait for."""
        with self._news:
            if command is not None:
                self._results[command] = result
            self._news.notify_all()

    def take(self, command: int) -> int | None:
        """The result of a command, once."""
        with self._news:
            return self._results.pop(command, None)

    def wait(self, command: int, timeout: float) -> bool:
        """Whether there is a result within timeout s."""
        return self.wait_for(lambda: command in self._results, timeout)

    def wait_for(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Whether a condition comes true within timeout s; it is looked at with every news."""
        with self._news:
            return self._news.wait_for(condition, timeout)

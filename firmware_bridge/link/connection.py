"""A thread that keeps a connection: it opens one, serves it until it fails, and after a pause opens the next."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from firmware_bridge.link.frames import LinkError

logger = logging.getLogger(__name__)


class Connection:
    """What links, adapters and autopilots keep up in the background.

    serve: opens a connection, says `establish` when the other side has answered, and returns soon after `closing` is
    set; LinkError where it fails. lost: tidies up after each. retry: s between attempts. error: one line, "" when all
    is well. connections: how often one was established.
    """

    def __init__(self, name: str, serve: Callable[[], None], lost: Callable[[], None], retry: float) -> None:
        self.error = "not started"
        self.connections = 0
        self.connected = threading.Event()
        self.closing = threading.Event()
        self._serve, self._lost, self._retry = serve, lost, retry
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to connect, in the background. LinkError if it runs already or was closed."""
        if self._thread.ident is not None:
            raise LinkError(f"{self._thread.name}: started already, or closed; make a new one")
        self.error = "connecting"
        self._thread.start()

    def close(self) -> None:
        """End the connection, and wait for its end."""
        self.closing.set()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self.error = "closed"

    def establish(self) -> None:
        """The other side has answered."""
        self.connections += 1
        self.error = ""
        self.connected.set()

    def fail(self, error: str) -> None:
        """Something is wrong, in one line; logged where it is news."""
        if error != self.error:
            logger.warning("%s", error)
        self.error = error

    def _run(self) -> None:
        while not self.closing.is_set():
            try:
                self._serve()
            except LinkError as error:
                self.fail(str(error))
            self.connected.clear()
            self._lost()
            self.closing.wait(self._retry)

"""The terminal of a run: what a person sees, and the signals that he or she sends."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType


class Interrupt:
    """Turns SIGINT and SIGTERM into a flag while the context lasts, and into a KeyboardInterrupt within `raising`."""

    def __init__(self) -> None:
        self.requested = False
        self._raises = False

    def __enter__(self) -> Interrupt:
        self._before = {s: signal.signal(s, self._set) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """For work that takes long and can be broken off."""
        self._raises = True
        try:
            if self.requested:
                raise KeyboardInterrupt
            yield
        finally:
            self._raises = False

    def _set(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if self._raises:
            raise KeyboardInterrupt


class Display:
    """The live status: one line in place on a terminal, one line every few seconds elsewhere."""

    def __init__(self, period: float = 5.0) -> None:
        self._tty = sys.stdout.isatty()
        self._period = 0.1 if self._tty else period
        self._shown = 0.0
        self._open = False

    def status(self, text: Callable[[], str]) -> None:
        """Show the status if it is time to."""
        now = time.monotonic()
        if now - self._shown < self._period:
            return
        self._shown = now
        if self._tty:
            width = shutil.get_terminal_size().columns
            sys.stdout.write("\r\x1b[K" + text()[: width - 1])
            self._open = True
        else:
            sys.stdout.write(text() + "\n")
        sys.stdout.flush()

    def line(self, text: str) -> None:
        """A line that stays."""
        sys.stdout.write(("\r\x1b[K" if self._open else "") + text + "\n")
        sys.stdout.flush()
        self._open = False

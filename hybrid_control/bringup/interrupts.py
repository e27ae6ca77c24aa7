"""What Ctrl-C does to a command that has nothing to end yet."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def ending_at_once() -> Iterator[None]:
    """A signal ends the process at once: an import that it broke off would be told as an error of that import.

    Only in the main thread, which alone may say what a signal does; elsewhere nothing changes.
    """
    main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGINT, signal.SIGTERM) if main else ()
    before = {number: signal.signal(number, lambda n, _: os._exit(128 + n)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

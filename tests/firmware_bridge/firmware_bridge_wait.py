"""Waiting for what happens in another thread or process."""

import time
from collections.abc import Callable


def wait_for(condition: Callable[[], object], timeout: float = 5.0) -> float:
    """Seconds until the condition held; fails if it did not within timeout."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < timeout, "waited in vain"
        time.sleep(0.002)
    return time.monotonic() - start

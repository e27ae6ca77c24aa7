"""Waiting for what happens in another thread."""

import time


def wait_for(condition, timeout=5.0):
    """Whether a condition came true in time."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return bool(condition())

"""Two threads that hand work to each other: for a short while they look instead of sleeping.

For a thread to be woken takes some 50 us, more under a hypervisor. What they look at is a hint alone, which may come
late or not at all; who has waited long enough sleeps as ever. Each word is written after the interpreter's lock has
been let go, so that who sees it finds the lock free, which would be another thing to sleep for.
"""

from __future__ import annotations

from numba import njit

from hybrid_control.realtime.clock import monotonic_ns
from hybrid_control.realtime.compiled import load_acquire, store_release


@njit("void(int64, int64, int64)", cache=True, nogil=True)
def wait_for(word: int, number: int, most_ns: int) -> None:
    """Until the word at an address is at least a number, or for so long."""
    end = monotonic_ns() + most_ns
    while load_acquire(word) < number and monotonic_ns() < end:
        pass


@njit("void(int64, int64, int64, int64)", cache=True, nogil=True)
def say_and_wait(said: int, heard: int, number: int, most_ns: int) -> None:
    """Write a number to the word `said`, then wait for the next one in the word `heard`."""
    store_release(said, number)
    wait_for(heard, number + 1, most_ns)

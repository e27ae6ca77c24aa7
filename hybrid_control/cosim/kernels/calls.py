"""Calls of compiled functions by address from Python."""

from __future__ import annotations

from numba import njit

from hybrid_control.snn.backends.numba.kernels.step import call_at


@njit(cache=True, nogil=True)
def call_function(function: int, block: int) -> int:
    """What an int64 (int64) C function says of a block."""
    return call_at(function, block)  # type: ignore[call-arg]

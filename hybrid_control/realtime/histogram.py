"""Histograms of durations, filled by compiled code in a few nanoseconds and read from outside.

Bins are logarithmic with 32 linear steps to each doubling, as in HdrHistogram (G. Tene): a duration lies in a
bin at most 1/32 wide in relation to it, from 1 ns to 18 minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hybrid_control.realtime.compiled import bit_length

_STEP_BITS = 5
_STEPS = 1 << _STEP_BITS
_LARGEST_BITS = 40
BINS = (_LARGEST_BITS - _STEP_BITS + 1) * _STEPS


@njit("int64(int64)", cache=True, nogil=True)
def bin_of(duration_ns: int) -> int:
    """The bin of a duration in ns; negative ones count as 0, those above 2^40 as the largest."""
    if duration_ns < _STEPS:
        return max(duration_ns, 0)
    shift = bit_length(duration_ns) - 1 - _STEP_BITS
    return min((shift + 1) * _STEPS + (duration_ns >> shift) - _STEPS, BINS - 1)


def bin_edges() -> NDArray[np.int64]:
    """The largest duration in each bin, (BINS,) ns."""
    index = np.arange(BINS, dtype=np.int64)
    shift = np.maximum(index // _STEPS - 1, 0)
    lowest = np.where(index < _STEPS, index, (index % _STEPS + _STEPS) << shift)
    return lowest + (np.int64(1) << shift) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Durations counted in bins: counts (BINS,), and the largest one in ns since counting began."""

    counts: NDArray[np.int64]
    max_ns: int

    @property
    def total(self) -> int:
        """Number of durations counted."""
        return int(self.counts.sum())

    def percentile(self, percent: float) -> float:
        """The duration in seconds that so many percent do not exceed, 1/32 too large at most; 0 if none."""
        if not 0 <= percent <= 100:
            raise ValueError(f"percentile: {percent} must be within 0 .. 100")
        total = self.total
        if total == 0:
            return 0.0
        rank = max(int(np.ceil(total * percent / 100)), 1)
        place = int(np.searchsorted(np.cumsum(self.counts), rank))
        return min(int(bin_edges()[place]), self.max_ns) * 1e-9

    def since(self, earlier: Histogram) -> Histogram:
        """What was counted after an earlier state of the same histogram; max_ns stays that of the whole."""
        return Histogram(self.counts - earlier.counts, self.max_ns)

    def summary(self) -> dict[str, float]:
        """Percentiles in microseconds, for a table or a JSON file."""
        names = {"p50": 50.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}
        return {f"{name}_us": round(self.percentile(percent) * 1e6, 3) for name, percent in names.items()}

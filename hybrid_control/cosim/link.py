"""Links between parts: what was given, on its way with its time of arrival, until what takes it has had it.

A run at time t sees what has arrived by t, t included. A spike is counted by the first run at or after its arrival,
and by no other, whatever the two periods are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hybrid_control.cosim.part import Port, Runs, Updates

Array = NDArray[Any]
Times = NDArray[np.int64]
Policy = Literal["hold", "extrapolate", "drop", "wait"]
POLICIES: tuple[Policy, ...] = ("hold", "extrapolate", "drop", "wait")


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """How a link carries. delay_ns: on the way, besides the latency of what gives. gain: multiplies each number.

    when_old: what a run sees where the newest value is older than max_age_ns (None: never): the value all the same
    (hold), a straight line through the last two (extrapolate), `initial` (drop), or no run (wait).
    initial: what a run sees before the first value has arrived.
    """

    delay_ns: int = 0
    gain: float = 1.0
    when_old: Policy = "hold"
    max_age_ns: int | None = None
    initial: float = 0.0

    def __post_init__(self) -> None:
        if self.when_old not in POLICIES:
            raise ValueError(f"when_old: {self.when_old!r}; there are {', '.join(POLICIES)}")
        if self.delay_ns < 0:
            raise ValueError(f"delay: {self.delay_ns} ns must not be negative")
        if self.max_age_ns is not None and self.max_age_ns < 0:
            raise ValueError(f"max_age: {self.max_age_ns} ns must not be negative")
        if not (np.isfinite(self.gain) and np.isfinite(self.initial)):
            raise ValueError("gain and initial must be finite")


@dataclass(slots=True)
class Link:
    """From a port to a port. `put` takes what a part gave, `take` gives what runs of another see."""

    name: str
    source: Port
    target: Port
    options: LinkOptions = field(default_factory=LinkOptions)
    _arrivals: Times = field(default_factory=lambda: np.empty(0, np.int64))
    _rows: Array = field(default_factory=lambda: np.empty((0, 0)))

    def __post_init__(self) -> None:
        if self.source.size != self.target.size:
            raise ValueError(
                f"{self.name}: gives {self.source.kind} of shape {self.source.shape}, "
                f"and {self.target.kind} of shape {self.target.shape} are taken"
            )
        if (self.source.kind == "states") != (self.target.kind == "states") and self.source.kind == "spikes":
            raise ValueError(f"{self.name}: spikes are no states; a decoder makes rates of them")
        self.reset()

    def reset(self) -> None:
        """Nothing is on its way."""
        self._arrivals = np.empty(0, np.int64)
        self._rows = np.empty((0, self.source.size))

    @property
    def waiting(self) -> int:
        """How many rows it holds."""
        return self._arrivals.size

    @property
    def counts(self) -> bool:
        """Whether each row arrives once; otherwise it holds."""
        return self.source.kind == "spikes"

    def put(self, times: Times, rows: Array) -> None:
        """What runs at these times gave, (n, size); arrives in the order of their times."""
        rows = rows.reshape(rows.shape[0], self.source.size)
        if self.options.gain != 1.0:
            rows = rows * self.options.gain
        if self._arrivals.size == 0:
            self._arrivals, self._rows = times + self.options.delay_ns, rows
            return
        self._arrivals = np.concatenate((self._arrivals, times + self.options.delay_ns))
        self._rows = np.concatenate((self._rows, rows))

    def take(self, runs: Runs) -> Array | Updates:
        """What runs see, a row each; for each spike and each state, the first run that it concerns."""
        if self.target.kind == "states":
            return self._updates(runs)
        return self._counted(runs) if self.counts else self._held(runs)

    def waits(self, runs: Runs) -> NDArray[np.bool_]:
        """Which runs do not take place, for the newest value is too old, (count,)."""
        times = runs.times
        none = np.zeros(runs.count, np.bool_)
        if self.options.when_old != "wait" or self.options.max_age_ns is None or self.counts:
            return none
        newest = np.searchsorted(self._arrivals, times, "right") - 1
        if self._arrivals.size == 0:
            return ~none
        return (newest < 0) | (times - self._arrivals[np.maximum(newest, 0)] > self.options.max_age_ns)

    def ages(self, runs: Runs) -> Times:
        """By how many ns the newest arrival is older than each run, (count,); -1 before the first."""
        times = runs.times
        if self._arrivals.size == 0:
            return np.full(runs.count, -1, np.int64)
        newest = np.searchsorted(self._arrivals, times, "right") - 1
        return np.where(newest < 0, -1, times - self._arrivals[np.maximum(newest, 0)])

    def _held(self, runs: Runs) -> Array:
        arrivals, rows = self._arrivals, self._rows
        if arrivals.size == 1 and arrivals[0] <= runs.first_ns and self.options.max_age_ns is None:
            return np.broadcast_to(rows[0], (runs.count, rows.shape[1]))
        times = runs.times
        newest = np.searchsorted(arrivals, times, "right") - 1
        out = np.full((runs.count, self.source.size), float(self.options.initial))
        known = newest >= 0
        out[known] = rows[newest[known]]
        if self.options.max_age_ns is not None and arrivals.size:
            old = known & (times - arrivals[np.maximum(newest, 0)] > self.options.max_age_ns)
            if self.options.when_old == "drop":
                out[old] = self.options.initial
            elif self.options.when_old == "extrapolate":
                self._extend(out, old & (newest >= 1), newest, times)
        keep = max(int(newest[-1]) - 1, 0)  # the newest, and the one before it for a line through both
        if keep:
            self._arrivals, self._rows = arrivals[keep:], rows[keep:]
        return out

    def _extend(self, out: Array, where: NDArray[np.bool_], newest: NDArray[np.intp], times: Times) -> None:
        """A straight line through the last two values, as far as it goes."""
        at = newest[where]
        span = (self._arrivals[at] - self._arrivals[at - 1]).astype(np.float64)
        share = (times[where] - self._arrivals[at]) / np.where(span > 0, span, np.inf)
        out[where] = self._rows[at] + share[:, None] * (self._rows[at] - self._rows[at - 1])

    def _counted(self, runs: Runs) -> Array:
        out = np.zeros((runs.count, self.source.size))
        arrivals, rows = self._arrivals, self._rows
        last = runs.first_ns + (runs.count - 1) * runs.period_ns
        due = int(np.searchsorted(arrivals, last, "right"))
        if due == runs.count and np.array_equal(arrivals[:due], runs.times):
            out = rows[:due]  # a row a run
        elif due:
            run = -((runs.first_ns - arrivals[:due]) // runs.period_ns)
            np.add.at(out, np.maximum(run, 0), rows[:due])
        self._arrivals, self._rows = arrivals[due:], rows[due:]
        return out

    def _updates(self, runs: Runs) -> Updates:
        arrivals, rows = self._arrivals, self._rows
        last = runs.first_ns + (runs.count - 1) * runs.period_ns
        due = int(np.searchsorted(arrivals, last, "right"))
        run = np.maximum(-((runs.first_ns - arrivals[:due]) // runs.period_ns), 0)
        self._arrivals, self._rows = arrivals[due:], rows[due:]
        return Updates(run, rows[:due])

    def state(self) -> tuple[Times, Array]:
        """What is on its way, copies."""
        return self._arrivals.copy(), np.array(self._rows)

    def set_state(self, state: tuple[Times, Array]) -> None:
        """Go on from a state."""
        self._arrivals, self._rows = state[0].copy(), np.array(state[1])

"""Links between parts: what was given, on its way with its time of arrival, until what takes it has had it.

A run at time t sees what has arrived by t, t included. A spike is counted by the first run at or after its arrival,
and by no other, whatever the two periods are. The rings themselves are compiled (`kernels.rings`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hybrid_control.cosim.kernels import rings
from hybrid_control.cosim.kernels.records import COUNTED, HELD, LINK, WRITTEN
from hybrid_control.cosim.part import Port, Runs, Updates

Array = NDArray[Any]
Times = NDArray[np.int64]
Policy = Literal["hold", "extrapolate", "drop", "wait"]
POLICIES: tuple[Policy, ...] = ("hold", "extrapolate", "drop", "wait")
ROOM, ROOM_NUMBERS = 64, 1 << 16  # rows that a ring has room for at first, fewer where these are so many numbers


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


class Ring:
    """The memory of a link or a recording: its record, and a ring of rows that grows."""

    def __init__(self, kind: int, size: int, options: LinkOptions) -> None:
        self.record = np.zeros(1, LINK)
        self.record["kind"], self.record["size"], self.record["target"] = kind, size, -1
        self.record["delay"], self.record["gain"] = options.delay_ns, options.gain
        self.record["policy"] = POLICIES.index(options.when_old)
        self.record["max_age"] = -1 if options.max_age_ns is None else options.max_age_ns
        self.record["initial"] = options.initial
        self._arrivals, self._rows = np.empty(0, np.int64), np.empty((0, size))
        self.make_room(max(min(ROOM, ROOM_NUMBERS // size), 4))

    def bind(self, record: NDArray[np.void]) -> None:
        """Go on in another place, (1,) of LINK."""
        record[:] = self.record
        self.record = record

    def __len__(self) -> int:
        return int(self.record["used"][0])

    def clear(self) -> None:
        """Nothing is in it."""
        self.record["used"] = self.record["first"] = 0

    def make_room(self, rows: int) -> None:
        """For at least so many rows."""
        room = 1 << max(rows - 1, 0).bit_length()
        arrivals, kept = self.content()
        self._arrivals, self._rows = np.zeros(room, np.int64), np.zeros((room, self._rows.shape[1]))
        self._arrivals[: len(arrivals)], self._rows[: len(arrivals)] = arrivals, kept
        self.record["room"], self.record["first"] = room, 0
        self.record["arrivals"], self.record["rows"] = self._arrivals.ctypes.data, self._rows.ctypes.data

    def content(self) -> tuple[Times, NDArray[np.float64]]:
        """Times of arrival and rows, copies, the oldest first."""
        at = (int(self.record["first"][0]) + np.arange(len(self))) & (len(self._arrivals) - 1)
        return self._arrivals[at], self._rows[at]

    def set_content(self, arrivals: Times, rows: Array) -> None:
        """As `content` gave it."""
        self.clear()
        if len(arrivals) > len(self._arrivals):
            self.make_room(len(arrivals))
        self._arrivals[: len(arrivals)], self._rows[: len(arrivals)] = arrivals, rows
        self.record["used"] = len(arrivals)


class Link:
    """From a port to a port. `put` takes what a part gave, `take` gives what runs of another see."""

    def __init__(self, name: str, source: Port, target: Port, options: LinkOptions | None = None) -> None:
        if source.size != target.size:
            raise ValueError(
                f"{name}: gives {source.kind} of shape {source.shape}, "
                f"and {target.kind} of shape {target.shape} are taken"
            )
        if target.kind == "states" and source.kind == "spikes":
            raise ValueError(f"{name}: spikes are no states; a decoder makes rates of them")
        self.name, self.source, self.target = name, source, target
        self.options = options or LinkOptions()
        kind = WRITTEN if target.kind == "states" else COUNTED if source.kind == "spikes" else HELD
        self.ring = Ring(kind, source.size, self.options)

    def reset(self) -> None:
        """Nothing is on its way."""
        self.ring.clear()

    @property
    def waiting(self) -> int:
        """How many rows it holds."""
        return len(self.ring)

    @property
    def arrivals(self) -> Times:
        """When the rows that it holds arrive, the first one first, ns."""
        return self.ring.content()[0]

    def put(self, times: Times, rows: Array) -> None:
        """What runs at these times gave, (n, size); arrives in the order of their times."""
        times, rows = np.asarray(times, np.int64), np.asarray(rows, np.float64)
        if len(self.ring) + times.size > int(self.ring.record["room"][0]):
            self.ring.make_room(2 * (len(self.ring) + times.size))
        _put(self.ring.record, times, np.ascontiguousarray(rows).ctypes.data)

    def take(self, runs: Runs) -> Array | Updates:
        """What runs see, a row each; for each spike and each state, the first run that it concerns."""
        if self.target.kind == "states":
            return self.updates(runs)
        rows = np.zeros((runs.count, self.source.size))
        _take(self.ring.record, runs.first_ns, runs.period_ns, runs.count, rows.ctypes.data)
        return rows

    def waits(self, runs: Runs) -> NDArray[np.bool_]:
        """Which runs do not take place, for the newest value is too old, (count,)."""
        return np.array([_waits(self.ring.record, int(t)) for t in runs.times], np.bool_)

    def ages(self, runs: Runs) -> Times:
        """By how many ns the newest arrival is older than each run, (count,); -1 before the first."""
        return np.array([_age(self.ring.record, int(t)) for t in runs.times], np.int64)

    def updates(self, runs: Runs) -> Updates:
        """The states that arrive by the last of the runs; they are on their way no more."""
        arrivals, rows = self.ring.content()
        due = int(np.searchsorted(arrivals, runs.first_ns + (runs.count - 1) * runs.period_ns, "right"))
        self.ring.set_content(arrivals[due:], rows[due:])
        return Updates(np.maximum(-((runs.first_ns - arrivals[:due]) // runs.period_ns), 0), rows[:due])

    def state(self) -> tuple[Times, Array]:
        """What is on its way, copies."""
        return self.ring.content()

    def set_state(self, state: tuple[Times, Array]) -> None:
        """Go on from a state."""
        self.ring.set_content(*state)


@njit(cache=True, nogil=True)
def _put(record: Any, times: Any, rows: int) -> None:
    for k in range(times.size):
        rings.put(record[0], times[k], rows, k)


@njit(cache=True, nogil=True)
def _take(record: Any, first_ns: int, period_ns: int, count: int, rows: int) -> None:
    rings.take(record[0], first_ns, period_ns, count, rows)


@njit(cache=True, nogil=True)
def _waits(record: Any, time_ns: int) -> Any:
    return rings.waits(record[0], time_ns)


@njit(cache=True, nogil=True)
def _age(record: Any, time_ns: int) -> Any:
    return rings.age(record[0], time_ns)

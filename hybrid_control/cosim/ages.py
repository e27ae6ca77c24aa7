"""How old what a run sees is: followed from what was recorded, for traces and the debugger."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hybrid_control.cosim.part import Runs
from hybrid_control.cosim.scheduler import Connection, Member

Times = NDArray[np.int64]


class Ages:
    """By how much the newest arrival on each link is older than each run of what takes.

    Told of all runs in the order in which they are recorded: those of what gives before those that see them.
    """

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._delays = [c.link.options.delay_ns for c in connections]
        self._arrivals: list[Times] = [np.empty(0, np.int64) for _ in connections]
        self._into: dict[str, list[int]] = {}
        self._out: dict[str, list[int]] = {}
        for i, c in enumerate(connections):
            self._into.setdefault(c.target[0], []).append(i)
            self._out.setdefault(c.source[0], []).append(i)

    def of(self, member: Member, runs: Runs) -> Times:
        """Ages in ns of each link into a part at each run, (count, links into it); -1 before the first arrival."""
        times = runs.times
        into = self._into.get(member.name, [])
        ages = np.full((runs.count, len(into)), -1, np.int64)
        for column, i in enumerate(into):
            arrivals = self._arrivals[i]
            newest = np.searchsorted(arrivals, times, "right") - 1
            known = newest >= 0
            ages[known, column] = times[known] - arrivals[newest[known]]
            self._arrivals[i] = arrivals[max(int(newest[-1]), 0) :]
        given = times if member.kept is None else times[member.kept]
        for i in self._out.get(member.name, []):
            arrivals = given + (member.clock.latency_ns + self._delays[i])
            self._arrivals[i] = np.concatenate((self._arrivals[i], arrivals))
        return ages

    def state(self) -> list[Times]:
        """What it knows; the arrays are never written to."""
        return list(self._arrivals)

    def set_state(self, state: list[Times]) -> None:
        """Go on from a state."""
        self._arrivals = list(state)

"""What was recorded of a co-simulation: rows of ports with their times, and when each part ran."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid_control.cosim.part import Array, Port, Runs
from hybrid_control.cosim.scheduler import Member


class Series(NamedTuple):
    """Of one port: times (n,) ns at which what gave it began its runs, and values (n, *shape)."""

    times_ns: NDArray[np.int64]
    values: Array


@dataclass
class Results:
    """The recorded ports by "part.port", and how often each part ran.

    until_ns: the simulated time; seconds: of this machine that it took.
    """

    series: Mapping[str, Series]
    runs: Mapping[str, int]
    until_ns: int
    seconds: float = 0.0

    def __getitem__(self, name: str) -> Array:
        """The values of a recorded port, (n, *shape); KeyError, which says what is there."""
        if name not in self.series:
            raise KeyError(f"no {name!r}; recorded are {', '.join(self.series) or 'no ports'}")
        return self.series[name].values

    def times(self, name: str) -> NDArray[np.float64]:
        """The times of a recorded port in s, (n,)."""
        self[name]
        return np.asarray(self.series[name].times_ns * 1e-9, np.float64)

    def spikes(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Of a recorded spiking port, each spike's time in s and its neuron, in order of time."""
        rows = self[name].reshape(len(self[name]), -1)
        run, neuron = np.nonzero(rows)
        counts = rows[run, neuron].astype(np.int64)
        return np.repeat(self.times(name)[run], counts), np.repeat(neuron, counts)


@dataclass
class Recorder:
    """Keeps what parts give, for `Results`. wanted: names "part.port"."""

    wanted: Collection[str]
    _blocks: dict[str, list[tuple[NDArray[np.int64], Array]]] = field(default_factory=dict)
    _runs: dict[str, int] = field(default_factory=dict)
    _ports: dict[str, Port] = field(default_factory=dict)

    def clear(self) -> None:
        """Forget what was kept."""
        self._blocks.clear()
        self._runs.clear()

    def __call__(
        self, member: Member, runs: Runs, results: Mapping[str, Any], times: NDArray[np.int64]
    ) -> None:
        """For the scheduler."""
        self._runs[member.name] = self._runs.get(member.name, 0) + runs.count
        for port, rows in results.items():
            name = f"{member.name}.{port}"
            if name in self.wanted:
                self._ports[name] = member.part.outputs[port]
                self._blocks.setdefault(name, []).append((times, np.array(rows)))

    def results(self, until_ns: int, seconds: float) -> Results:
        """Everything so far."""
        series = {}
        for name in sorted(self._blocks):
            times = np.concatenate([t for t, _ in self._blocks[name]])
            values = np.concatenate([rows.reshape(len(t), -1) for t, rows in self._blocks[name]])
            series[name] = Series(times, values.reshape(len(times), *self._ports[name].shape))
        return Results(series, dict(sorted(self._runs.items())), until_ns, seconds)

"""What was recorded of a co-simulation: rows of ports with their times, and when each part ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid_control.cosim.part import Array, Message
from hybrid_control.cosim.scheduler import EventScheduler


class Series(NamedTuple):
    """Of one port: times (n,) ns at which what gave it began its runs, and values (n, *shape)."""

    times_ns: NDArray[np.int64]
    values: Array


@dataclass
class Results:
    """The recorded ports by "part.port", and how often each part ran.

    until_ns: the simulated time; seconds: of this machine that it took; messages: those of recorded ports of messages.
    """

    series: Mapping[str, Series]
    runs: Mapping[str, int]
    until_ns: int
    seconds: float = 0.0
    messages: Mapping[str, Sequence[Message]] = field(default_factory=dict)

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


def results(scheduler: EventScheduler, seconds: float) -> Results:
    """What a scheduler has recorded so far. seconds: of this machine that it took."""
    series = {}
    for (part, port), recording in sorted(scheduler.recordings.items()):
        times, rows = recording.rows()
        shape = scheduler.members[part].part.outputs[port].shape
        series[f"{part}.{port}"] = Series(times, rows.reshape(len(times), *shape))
    runs = {name: scheduler.members[name].runs for name in sorted(scheduler.members)}
    messages = {f"{part}.{port}": list(sent) for (part, port), sent in sorted(scheduler.messages.items())}
    return Results(series, runs, scheduler.now_ns, seconds, messages)


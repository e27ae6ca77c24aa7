"""A port of a recording as a part: what was newest then, and each spike once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hybrid_control.cosim.part import Array, Kind, Port, Runs, Stateless
from hybrid_control.cosim.tracefile import Recorded


class RecordedSource(Stateless):
    """Gives what a recorded port gave, whatever the two periods are.

    A run at time t gives the newest row at t or before, 0 before the first; of spikes those after the run before, up to
    t, each once. Runs that had not taken place gave nothing. kind: values, rates or states, where that is not the
    recorded one.
    """

    def __init__(self, recorded: Recorded, kind: Kind | None = None) -> None:
        spiking = recorded.rows is None
        if kind is not None and spiking != (kind == "spikes"):
            raise ValueError(f"kind: {kind!r} for recorded {recorded.kind}")
        self.inputs: Mapping[str, Port] = {}
        self.outputs = {"out": Port(kind or recorded.kind or "values", recorded.shape)}  # type: ignore[arg-type]
        self._times, self._recorded = recorded.times, recorded
        if recorded.rows is not None:
            whole = np.isfinite(recorded.rows).all(axis=1)
            self._times = recorded.times[whole]
            self._rows = np.concatenate((np.zeros((1, recorded.size)), recorded.rows[whole]))

    def run(self, runs: Runs, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """A row a run."""
        times = runs.times
        ends = np.searchsorted(self._times, times, "right")
        if self._recorded.rows is not None:
            return {"out": self._rows[ends]}
        neuron, count = self._recorded.neuron, self._recorded.count
        assert neuron is not None
        assert count is not None
        first = 0
        if runs.first_ns > 0:  # the first run has all until then
            first = int(np.searchsorted(self._times, runs.first_ns - runs.period_ns, "right"))
        out = np.zeros((runs.count, self._recorded.size))
        row = np.repeat(np.arange(runs.count), np.diff(ends, prepend=first))
        np.add.at(out, (row, neuron[first : ends[-1]]), count[first : ends[-1]])
        return {"out": out}

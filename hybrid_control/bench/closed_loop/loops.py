"""The closed loop as one writes it by hand: plain Python around a network, numpy, and a numba loop.

Every loop has `run(ticks)`, which goes on by a multiple of `ANN_TICKS`, and gives the spikes of the hidden and of the
output neurons, (ticks, n) bool, where it was made to record them.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hybrid_control.bench.closed_loop.workload import (
    ANN_TICKS,
    DECAY,
    HIDDEN,
    INPUTS,
    OUTPUTS,
    READING,
    Ann,
    Arrays,
    ChainPlant,
)

Spikes = tuple[NDArray[np.bool_], NDArray[np.bool_]]


class Loop(Protocol):
    """What can be measured."""

    def run(self, ticks: int) -> Spikes | None:
        """Go on by so many ticks; the spikes where they are recorded."""


class Network(Protocol):
    """A network that is called tick by tick from Python."""

    def step(self, x: NDArray[np.float32]) -> Any:
        """Spikes of the eight for (16,)."""

    def hidden(self) -> Any:
        """Spikes of the 256 in the last step."""


class PythonLoop:
    """The loop in Python: what one writes around a network that is called tick by tick."""

    def __init__(self, data: Arrays, network: Network, record: bool = False) -> None:
        self._ann, self._plant, self._network, self._record = Ann(data), ChainPlant(data), network, record
        self._spikes: Any = np.zeros(OUTPUTS, np.float32)

    def run(self, ticks: int) -> Spikes | None:
        """Go on."""
        ann, plant, network, record = self._ann, self._plant, self._network, self._record
        seen = np.zeros((ticks, HIDDEN), bool), np.zeros((ticks, OUTPUTS), bool)
        spikes = self._spikes
        for t in range(ticks):
            x = plant.x.astype(np.float32)
            if t % ANN_TICKS == 0:
                wish = ann.wish(x)
            plant.move(spikes)
            spikes = network.step(x + wish)
            if record:
                seen[0][t], seen[1][t] = network.hidden(), spikes
        self._spikes = np.array(spikes)
        return seen if record else None


class NumpyNetwork:
    """v' = decay v + input; a spike above 1, and back to 0."""

    def __init__(self, data: Arrays) -> None:
        self._input, self._recurrent, self._output = data["input"], data["recurrent"], data["output"]
        self._v: NDArray[Any] = np.zeros(HIDDEN, np.float32)
        self._u: NDArray[Any] = np.zeros(OUTPUTS, np.float32)
        self._last: NDArray[Any] = np.zeros(HIDDEN, np.float32)

    def step(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """A tick."""
        decay = np.float32(DECAY)
        v = decay * self._v + (self._input @ x + self._recurrent @ self._last)
        fired = v > 1.0
        v[fired] = 0.0
        self._v, self._last = v, fired.astype(np.float32)
        u = decay * self._u + self._output @ self._last
        spikes = u > 1.0
        u[spikes] = 0.0
        self._u = u
        return spikes.astype(np.float32)

    def hidden(self) -> NDArray[np.float32]:
        """Of the last step."""
        return self._last


def numpy_loop(data: Arrays, record: bool = False) -> PythonLoop:
    """Plain numpy."""
    return PythonLoop(data, NumpyNetwork(data), record)


@njit(cache=True)
def move(state, push, a, b, moved):  # type: ignore[no-untyped-def]
    """A tick of the plant; a, b: its matrices' columns as rows."""
    moved[:] = 0.0
    for j in range(state.size):
        for i in range(moved.size):
            moved[i] += a[j, i] * state[j]
    for j in range(push.size):
        if push[j] != 0.0:
            for i in range(moved.size):
                moved[i] += b[j, i] * push[j]
    for i in range(moved.size):
        state[i] = np.rint(moved[i] * (1 / READING)) * READING


@njit(cache=True)
def _add_rows(fired, rows, into):  # type: ignore[no-untyped-def]
    for j in range(fired.size):
        if fired[j]:
            for i in range(into.size):
                into[i] += rows[j, i]


@njit(cache=True)
def _fire(v, current, fired):  # type: ignore[no-untyped-def]
    for i in range(v.size):
        u = np.float32(DECAY) * v[i] + current[i]
        fired[i] = u > np.float32(1.0)
        v[i] = np.float32(0.0) if fired[i] else u


@njit(cache=True)
def _ticks(ticks, plant, weights, voltages, fired, wish, seen):  # type: ignore[no-untyped-def]
    """Ticks between two runs of the ANN. plant: state, push, a, b; weights: input, recurrent, output, by columns."""
    state, push, a, b = plant
    into, recurrent, out = weights
    first, second = np.empty(voltages[0].size, np.float32), np.empty(voltages[1].size, np.float32)
    x, moved = np.empty(state.size, np.float32), np.empty(state.size)
    for t in range(ticks):
        for i in range(x.size):
            x[i] = np.float32(state[i]) + wish[i]
        move(state, push, a, b, moved)
        first[:] = np.float32(0.0)
        for j in range(x.size):
            for i in range(first.size):
                first[i] += into[j, i] * x[j]
        _add_rows(fired[0], recurrent, first)
        _fire(voltages[0], first, fired[0])
        second[:] = np.float32(0.0)
        _add_rows(fired[0], out, second)
        _fire(voltages[1], second, fired[1])
        for i in range(push.size):
            push[i] = fired[1][i]
        if seen[0].shape[0] > 0:
            seen[0][t], seen[1][t] = fired[0], fired[1]


class NumbaLoop:
    """A loop for this one network, compiled by hand: what a patient expert writes. The ANN stays in Python."""

    def __init__(self, data: Arrays, record: bool = False) -> None:
        self._ann, self._record = Ann(data), record
        columns = [np.ascontiguousarray(data[n].T) for n in ("plant_state", "plant_drive")]
        self._plant = np.zeros(INPUTS), np.zeros(OUTPUTS), columns[0], columns[1]
        self._weights = tuple(np.ascontiguousarray(data[n].T) for n in ("input", "recurrent", "output"))
        self._voltages = np.zeros(HIDDEN, np.float32), np.zeros(OUTPUTS, np.float32)
        self._fired = np.zeros(HIDDEN, bool), np.zeros(OUTPUTS, bool)

    def run(self, ticks: int) -> Spikes | None:
        """Go on."""
        kept = ticks if self._record else 0
        seen = np.zeros((kept, HIDDEN), bool), np.zeros((kept, OUTPUTS), bool)
        for first in range(0, ticks, ANN_TICKS):
            wish = self._ann.wish(self._plant[0].astype(np.float32))
            part = seen[0][first : first + ANN_TICKS], seen[1][first : first + ANN_TICKS]
            _ticks(ANN_TICKS, self._plant, self._weights, self._voltages, self._fired, wish, part)
        return seen if self._record else None

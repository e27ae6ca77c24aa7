"""Loihi's integer arithmetic in compiled code: the quantised network without nengo-loihi, to the same bits."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from hybrid_control.snn.backends.loihi.form import INPUT_BITS, STATE_BITS, LoihiProgram


@njit(cache=True, nogil=True)
def _wrapped(value: int, bits: int) -> int:
    """What is left of a value in `bits` bits and a sign."""
    return (value + (1 << bits)) % (1 << (bits + 1)) - (1 << bits)


@njit(cache=True, nogil=True)
def _decayed(value: int, keep: int) -> int:
    """value * keep / 4096, rounded towards 0."""
    return (value * keep) >> 12 if value >= 0 else -((-value * keep) >> 12)


@njit(cache=True, nogil=True)
def _step(
    counts: NDArray[np.int64],
    begin: NDArray[np.int64],
    target: NDArray[np.int64],
    weight: NDArray[np.int64],
    constants: NDArray[np.int64],
    state: NDArray[np.int64],
) -> int:
    """One tick. counts: spikes of every source in the tick before, then of this tick; returns sums that overflowed.

    constants: (4, n) decay_u, decay_v, vth, bias; state: (3, n) u, v, sum.
    """
    n = state.shape[1]
    u, v, q = state[0], state[1], state[2]
    q[:] = 0
    for s in range(counts.size):
        if counts[s] != 0:
            for k in range(begin[s], begin[s + 1]):
                q[target[k]] += counts[s] * weight[k]
    first = counts.size - n
    lost = 0
    limit = (1 << STATE_BITS) - 1
    for i in range(n):
        total = _wrapped(q[i], INPUT_BITS)
        new = _decayed(u[i], 4095 - constants[0, i]) + total
        u[i] = _wrapped(new, STATE_BITS)
        drive = _wrapped(u[i] + constants[3, i], STATE_BITS)
        if total != q[i] or new != u[i] or drive != u[i] + constants[3, i]:
            lost += 1
        v[i] = min(max(_decayed(v[i], 4096 - constants[1, i]) + drive, -limit), limit)
        counts[first + i] = v[i] > constants[2, i]
        if counts[first + i]:
            v[i] = 0
    return lost


class LoihiEngine:
    """A LoihiProgram, stepped tick by tick.

    `overflows` counts sums that were wider than a core's registers, which wrap as there; for a program that
    `loihi_form` made there are none.
    """

    def __init__(self, program: LoihiProgram) -> None:
        self.program = program
        self.overflows = 0
        places, size = {}, 0
        for part in (program.inputs, program.populations):
            for p in part:
                places[p.name] = size
                size += p.size
        self._inputs = sum(p.size for p in program.inputs)
        neurons = size - self._inputs
        parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = [
            (np.zeros(0, np.int64),) * 3
        ]
        for j in program.projections:
            post, pre = np.nonzero(j.weights)
            values = j.weights[post, pre].astype(np.int64)
            parts.append((pre + places[j.source], post + places[j.target] - self._inputs, values))
        source, self._target, self._weight = (np.concatenate(x) for x in zip(*parts, strict=True))
        order = np.argsort(source, kind="stable")
        self._target, self._weight = self._target[order], self._weight[order]
        self._begin = np.searchsorted(source[order], np.arange(size + 1)).astype(np.int64)
        self._constants = np.stack(
            [
                np.concatenate([getattr(p, key) for p in program.populations]).astype(np.int64)
                for key in ("decay_u", "decay_v", "vth", "bias")
            ]
        )
        self._counts = np.zeros(size, np.int64)
        self._state = np.zeros((3, neurons), np.int64)
        self._places = places
        self._read = np.concatenate(
            [
                np.arange(places[of], places[of] + p.size)
                for p, of in zip(program.outputs, program.output_of, strict=True)
            ]
        )

    def reset(self) -> None:
        """Back to the state before the first tick."""
        self._counts[:] = 0
        self._state[:] = 0
        self.overflows = 0

    def step(self, counts: ArrayLike) -> NDArray[np.int64]:
        """Advance one tick; returns 0 or 1 for each output neuron.

        counts: (inputs,) spikes of each input neuron in this tick, which arrive in the next, as on the chip.
        """
        spikes = np.asarray(counts)
        if spikes.shape != (self._inputs,):
            raise ValueError(f"counts of shape {spikes.shape}, expected {(self._inputs,)}")
        self.overflows += _step(
            self._counts, self._begin, self._target, self._weight, self._constants, self._state
        )
        self._counts[: self._inputs] = spikes
        return self._counts[self._read]

    def spikes(self, population: str) -> NDArray[np.int64]:
        """0 or 1 for each neuron of a population in the last tick, (size,)."""
        first, size = self._place(population)
        return self._counts[first : first + size]

    def voltage(self, population: str) -> NDArray[np.int64]:
        """v of each neuron of a population, (size,)."""
        first, size = self._place(population)
        return self._state[1, first - self._inputs : first - self._inputs + size]

    def _place(self, population: str) -> tuple[int, int]:
        sizes = {p.name: p.size for p in self.program.populations}
        if population not in sizes:
            raise ValueError(f"there is no population {population!r}; there are {sorted(sizes)}")
        return self._places[population], sizes[population]

"""Rates, spikes and states of populations, as they travel between an ANN and an SNN.

All are immutable; stamps are nanoseconds of the ROS clock. A constructor that is given something impossible raises
ValueError with one line that names it, so what exists is valid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid_control.signals.headings import SECTORS

Float32Array = NDArray[np.float32]
UInt32Array = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Population:
    """A named, contiguous block of neurons: those with index first <= i < first + size."""

    name: str
    first: int
    size: int

    def __post_init__(self) -> None:
        if self.size < 1 or self.first < 0:
            raise ValueError(
                f"population {self.name!r}: first {self.first} and size {self.size} must be >= 0 and >= 1"
            )

    @property
    def slice(self) -> slice:
        """The block as a slice of a rate vector or a list of neurons."""
        return slice(self.first, self.first + self.size)


def layout(**sizes: int) -> tuple[Population, ...]:
    """Populations one after another, in the order given: ``layout(heading=72, speed=8)``."""
    populations, first = [], 0
    for name, size in sizes.items():
        populations.append(Population(name, first, size))
        first += size
    return tuple(populations)


#: What a planner says and a reflex hears: the wished direction and the wished speed, each as a population of neurons.
PLANNER_POPULATIONS: tuple[Population, ...] = layout(heading=SECTORS, speed=8)


def frozen(values: ArrayLike, dtype: type, name: str) -> NDArray:
    """A read-only copy of one dimension; ValueError names what has another shape."""
    array: NDArray = np.array(values, dtype=dtype)
    if array.ndim != 1:
        raise ValueError(f"{name}: shape {array.shape}, expected one dimension")
    array.flags.writeable = False
    return array


@dataclass(frozen=True, slots=True, eq=False)
class RateVector:
    """Firing rates of one or several populations at one time.

    rates: (n,) Hz, finite and >= 0, n the sum of the populations' sizes.
    """

    stamp_ns: int
    rates: Float32Array
    populations: tuple[Population, ...]

    def __post_init__(self) -> None:
        rates = frozen(self.rates, np.float32, "rates")
        size = sum(p.size for p in self.populations)
        if rates.size != size:
            raise ValueError(f"rates: {rates.size} values for populations of {size} neurons in all")
        if not np.isfinite(rates).all() or (rates < 0).any():
            raise ValueError("rates: every rate must be finite and >= 0 Hz")
        object.__setattr__(self, "rates", rates)

    def of(self, name: str) -> Float32Array:
        """The rates of one population; KeyError where there is none of that name."""
        return self.rates[_slice(self.populations, name)]


@dataclass(frozen=True, slots=True, eq=False)
class StateVector:
    """States of one or several populations at one time, such as the membrane potentials that they are to begin with.

    values: (n,) in units of the network, finite, n the sum of the populations' sizes.
    """

    stamp_ns: int
    values: Float32Array
    populations: tuple[Population, ...]

    def __post_init__(self) -> None:
        values = frozen(self.values, np.float32, "states")
        size = sum(p.size for p in self.populations)
        if values.size != size:
            raise ValueError(f"states: {values.size} values for populations of {size} neurons in all")
        if not np.isfinite(values).all():
            raise ValueError("states: every value must be finite")
        object.__setattr__(self, "values", values)

    def of(self, name: str) -> Float32Array:
        """The states of one population; KeyError where there is none of that name."""
        return self.values[_slice(self.populations, name)]


def _slice(populations: tuple[Population, ...], name: str) -> slice:
    for p in populations:
        if p.name == name:
            return p.slice
    raise KeyError(f"no population {name!r}; there are {[p.name for p in populations]}")


@dataclass(frozen=True, slots=True, eq=False)
class SpikeTrain:
    """The spikes of one or several populations in a window [stamp_ns, stamp_ns + duration_ns).

    neuron: (k,) index of each spike's neuron; offset_ns: (k,) its time after stamp_ns. In order of offset.
    """

    stamp_ns: int
    duration_ns: int
    populations: tuple[Population, ...]
    neuron: UInt32Array
    offset_ns: UInt32Array

    def __post_init__(self) -> None:
        neuron = frozen(self.neuron, np.uint32, "neuron")
        offset = frozen(self.offset_ns, np.uint32, "offset_ns")
        if neuron.size != offset.size:
            raise ValueError(f"spike train: {neuron.size} neurons and {offset.size} offsets")
        if not 0 < self.duration_ns < 2**32:
            raise ValueError(f"spike train: duration {self.duration_ns} ns must be in 1 .. 2^32 - 1")
        if neuron.size:
            if int(neuron.max()) >= self.size:
                raise ValueError(f"spike train: neuron {neuron.max()} in populations of {self.size} neurons")
            if int(offset.max()) >= self.duration_ns:
                raise ValueError(
                    f"spike train: offset {offset.max()} ns in a window of {self.duration_ns} ns"
                )
            if (offset[1:] < offset[:-1]).any():
                raise ValueError("spike train: offsets must not decrease")
        object.__setattr__(self, "neuron", neuron)
        object.__setattr__(self, "offset_ns", offset)

    @property
    def size(self) -> int:
        """Number of neurons in all populations."""
        return sum(p.size for p in self.populations)

    def counts(self) -> UInt32Array:
        """Spikes of each neuron in the window, (size,)."""
        return np.bincount(self.neuron, minlength=self.size).astype(np.uint32)

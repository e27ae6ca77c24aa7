"""Encoders: firing rates in, spikes out, stepwise and for many channels at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid_control.signals import RateVector, SpikeTrain
from hybrid_control.signals.coding import kernels
from hybrid_control.signals.coding.kernels import (
    ENCODER_CHANNEL,
    LATENCY,
    MAX_RATE,
    ONE,
    PHASE,
    POISSON,
    REGULAR,
)
from hybrid_control.signals.spikes import Float32Array, UInt32Array

MAX_DURATION_NS = 2**32 - 1
MAX_SIZE = 2**24


def checked_size(size: int) -> int:
    """A number of channels, or ValueError."""
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or not 1 <= size <= MAX_SIZE:
        raise ValueError(f"size: {size!r} must be a whole number of channels in 1 .. {MAX_SIZE}")
    return int(size)


def checked_duration(duration_ns: int) -> int:
    """A duration in nanoseconds, or ValueError."""
    if isinstance(duration_ns, bool) or not isinstance(duration_ns, int | np.integer):
        raise ValueError(f"duration: {duration_ns!r} must be a whole number of nanoseconds")
    if not 1 <= duration_ns <= MAX_DURATION_NS:
        raise ValueError(f"duration: {duration_ns} ns must be in 1 .. 2^32 - 1")
    return int(duration_ns)


def checked_time(name: str, seconds: float, at_least_ns: int = 1) -> int:
    """A time constant in seconds as whole nanoseconds, or ValueError."""
    if not at_least_ns * 1e-9 <= seconds <= MAX_DURATION_NS * 1e-9:
        raise ValueError(f"{name}: {seconds!r} s must be in {at_least_ns} ns .. 4.29 s")
    return round(seconds * 1e9)


def checked_max_rate(max_rate: float) -> float:
    """The rate that stands for full scale, or ValueError."""
    if not 0.0 < max_rate <= MAX_RATE:
        raise ValueError(f"max_rate: {max_rate!r} Hz must be above 0 and at most {MAX_RATE:.0f} Hz")
    return float(max_rate)


def checked_rates(rates: ArrayLike, size: int) -> Float32Array:
    """Rates of ``size`` channels as float32, or ValueError.

    float32 is what a RateVector holds: the same spikes come out whether rates came over a topic or not.
    """
    values = np.asarray(rates, dtype=np.float64)
    if values.shape != (size,):
        raise ValueError(f"rates: shape {values.shape}, expected ({size},)")
    if not ((values >= 0) & (values <= MAX_RATE)).all():
        worst = int(np.argmin((values >= 0) & (values <= MAX_RATE)))
        raise ValueError(f"rates: {values[worst]} Hz of channel {worst} is not in 0 .. {MAX_RATE:.0f} Hz")
    return values.astype(np.float32)


class Encoder:
    """Turns the rates of ``size`` channels into spikes, one stretch of time after another.

    Rates are held for the length of a call. Spike times are whole nanoseconds; a channel may spike any number
    of times in a call. All state is in ``state``, an array of ``kernels.ENCODER_CHANNEL`` with one record per
    channel: compiled code hands it to ``kernels.encode`` or ``kernels.encode_counts``.
    """

    def __init__(self, state: NDArray[np.void]) -> None:
        self.size = state.size
        self.state = state
        kernels.start(state)
        self._initial = state.copy()
        self._keys = np.empty(64, np.uint64)

    def encode(self, rates: ArrayLike, duration_ns: int) -> tuple[UInt32Array, UInt32Array]:
        """The spikes of the next ``duration_ns``: neuron (k,) and offset_ns (k,), by offset, then by neuron.

        rates: (size,) Hz, 0 .. 1e6. ValueError on any other shape or value, with the state unchanged.
        """
        values, duration_ns = checked_rates(rates, self.size), checked_duration(duration_ns)
        before = self.state.copy()
        count = kernels.encode(self.state, values, duration_ns, self._keys)
        if count > self._keys.size:
            self._keys = np.empty(count + count // 4, np.uint64)
            self.state[:] = before
            kernels.encode(self.state, values, duration_ns, self._keys)
        keys = np.sort(self._keys[:count])
        return (keys & np.uint64(0xFFFFFFFF)).astype(np.uint32), (keys >> np.uint64(32)).astype(np.uint32)

    def counts(self, rates: ArrayLike, duration_ns: int) -> UInt32Array:
        """As ``encode``, but only the number of spikes of each channel, (size,): a network's input."""
        values, duration_ns = checked_rates(rates, self.size), checked_duration(duration_ns)
        counts = np.empty(self.size, np.uint32)
        kernels.encode_counts(self.state, values, duration_ns, counts)
        return counts

    def train(self, vector: RateVector, duration_ns: int) -> SpikeTrain:
        """The spikes of the next ``duration_ns`` as a SpikeTrain that begins at the vector's stamp."""
        neuron, offset = self.encode(vector.rates, duration_ns)
        return SpikeTrain(vector.stamp_ns, int(duration_ns), vector.populations, neuron, offset)

    def reset(self) -> None:
        """Back to the state after construction; the same spikes follow."""
        self.state[:] = self._initial

    def snapshot(self) -> NDArray[np.void]:
        """A copy of the state, for ``restore``."""
        return self.state.copy()

    def restore(self, snapshot: NDArray[np.void]) -> None:
        """Go on from a snapshot of an encoder of this kind and size."""
        if snapshot.dtype != self.state.dtype or snapshot.shape != self.state.shape:
            raise ValueError(
                f"snapshot: {snapshot.dtype} {snapshot.shape} is not of an encoder of {self.size}"
            )
        if (snapshot["kind"] != self.state["kind"]).any():
            raise ValueError("snapshot: it is of another kind of encoder")
        self.state[:] = snapshot


class PoissonEncoder(Encoder):
    """A Poisson process per channel: independent, of the rate given at each moment.

    Exact, with no time step and so no bound of one spike per step: a channel integrates its rate and spikes
    each time the integral passes a threshold drawn from the exponential distribution of mean 1 (time
    rescaling; Brown et al., The time-rescaling theorem and its application to neural spike train data
    analysis, Neural Computation 2002). Threshold k of channel i is number k of the SplitMix64 stream that
    ``seed`` and i name, so it depends on neither the calls nor the other channels. Rates are resolved to
    2^-16 Hz, times to 1 ns.
    """

    def __init__(self, size: int, seed: int = 0) -> None:
        state = np.zeros(checked_size(size), ENCODER_CHANNEL)
        state["kind"] = POISSON
        state["key"] = _keys(seed, state.size)
        super().__init__(state)


class RegularEncoder(Encoder):
    """Evenly spaced spikes: a channel integrates its rate and spikes at each whole number.

    Also known as the error-accumulating code. In any window the number of spikes is within one of the
    integral of the rate. Channels begin at phase 0, so the first spike comes after one whole interval and
    equal rates spike together; with a ``seed`` they begin at phases drawn uniformly from it.
    """

    def __init__(self, size: int, seed: int | None = None) -> None:
        state = np.zeros(checked_size(size), ENCODER_CHANNEL)
        state["kind"] = REGULAR
        state["target"] = ONE
        if seed is not None:
            phases = [kernels.uniform(key, 0) for key in _keys(seed, state.size)]
            state["target"] = np.maximum(1, (np.array(phases) * ONE).astype(np.int64))
        super().__init__(state)


class LatencyEncoder(Encoder):
    """Time to first spike: in each cycle of ``period`` seconds one spike, the earlier the higher the rate.

    Latency = period x (1 - rate / max_rate), rounded to 1 ns, with the rate that holds when the cycle
    begins; from max_rate on it is 0, and rate 0 does not spike. (Thorpe and Gautrais, Rank order coding,
    1998, in its linear form.)
    """

    def __init__(self, size: int, max_rate: float = 100.0, period: float = 0.01) -> None:
        state = np.zeros(checked_size(size), ENCODER_CHANNEL)
        state["kind"] = LATENCY
        state["max_rate"] = checked_max_rate(max_rate)
        state["period"] = state["clock"] = checked_time("period", period)
        state["pending"] = -1
        super().__init__(state)


class PhaseEncoder(Encoder):
    """Weighted phase code: in each cycle, a spike in slot k stands for max_rate x 2^-(k + 1).

    The rate that holds when a cycle of ``period`` seconds begins is rounded to ``bits`` binary digits, the
    highest sent first, one per slot of period / bits; spikes come at the beginnings of slots. Full scale is
    max_rate x (1 - 2^-bits). (Kim et al., Deep neural networks with weighted spikes, Neurocomputing 2018.)
    The period is rounded to a whole number of nanoseconds per slot.
    """

    def __init__(self, size: int, max_rate: float = 100.0, period: float = 0.008, bits: int = 8) -> None:
        state = np.zeros(checked_size(size), ENCODER_CHANNEL)
        state["kind"] = PHASE
        state["max_rate"] = checked_max_rate(max_rate)
        state["bits"] = bits = checked_bits(bits)
        state["period"] = state["clock"] = slotted_period(period, bits)
        super().__init__(state)


def checked_bits(bits: int) -> int:
    """The number of slots of a phase code, or ValueError."""
    if isinstance(bits, bool) or not isinstance(bits, int | np.integer) or not 1 <= bits <= 32:
        raise ValueError(f"bits: {bits!r} must be a whole number in 1 .. 32")
    return int(bits)


def slotted_period(period: float, bits: int) -> int:
    """The period of a phase code in ns, a whole number of ns per slot."""
    return round(checked_time("period", period, at_least_ns=bits) / bits) * bits


def _keys(seed: int, size: int) -> NDArray[np.uint64]:
    """The names of the channels' random streams."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**64:
        raise ValueError(f"seed: {seed!r} must be a whole number in 0 .. 2^64 - 1")
    return np.array([kernels.splitmix64(np.uint64(seed), i) for i in range(size)], np.uint64)


ENCODERS: dict[str, Callable[..., Encoder]] = {
    "poisson": PoissonEncoder,
    "regular": RegularEncoder,
    "latency": LatencyEncoder,
    "phase": PhaseEncoder,
}


def encoder(name: str, size: int, **options: Any) -> Encoder:
    """An encoder by name, with the options of its class.

    poisson (seed), regular (seed), latency (max_rate, period), phase (max_rate, period, bits).
    """
    try:
        kind = ENCODERS[name]
    except KeyError:
        raise ValueError(f"encoder {name!r}: there are {', '.join(ENCODERS)}") from None
    try:
        return kind(size, **options)
    except TypeError as error:
        raise ValueError(f"encoder {name!r}: {error}") from None

"""Encoders: firing rates in, spikes out, stepwise and for many channels at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid_control.signals import RateVector, SpikeTrain
from hybrid_control.signals.coding import channels, kernels
from hybrid_control.signals.coding.channels import Channels, by_name
from hybrid_control.signals.coding.kernels import ENCODER_CHANNEL, MAX_RATE, ONE
from hybrid_control.signals.spikes import Float32Array, UInt32Array

_HALF = np.uint64(32)


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


class Encoder(Channels):
    """Turns the rates of ``size`` channels into spikes, one stretch of time after another.

    Rates are held for the length of a call. Spike times are whole nanoseconds; a channel may spike any number
    of times in a call. All state is in ``state``, an array of ``kernels.ENCODER_CHANNEL`` with one record per
    channel: compiled code hands it to ``kernels.encode`` or ``kernels.encode_counts``.
    """

    def __init__(self, state: NDArray[np.void]) -> None:
        kernels.start(state)
        super().__init__(state)
        self._keys = np.empty(64, np.uint64)

    def encode(self, rates: ArrayLike, duration_ns: int) -> tuple[UInt32Array, UInt32Array]:
        """The spikes of the next ``duration_ns``: neuron (k,) and offset_ns (k,), by offset, then by neuron.

        rates: (size,) Hz, 0 .. 1e6. ValueError on any other shape or value, with the state unchanged.
        """
        values, duration_ns = checked_rates(rates, self.size), channels.checked_duration(duration_ns)
        before = self.state.copy()
        count = kernels.encode(self.state, values, duration_ns, self._keys)
        if count > self._keys.size:
            self._keys = np.empty(count + count // 4, np.uint64)
            self.state[:] = before
            kernels.encode(self.state, values, duration_ns, self._keys)
        keys = np.sort(self._keys[:count])
        return keys.astype(np.uint32), (keys >> _HALF).astype(np.uint32)  # the lower half, and the upper one

    def counts(self, rates: ArrayLike, duration_ns: int) -> UInt32Array:
        """As ``encode``, but only the number of spikes of each channel, (size,): a network's input."""
        values, duration_ns = checked_rates(rates, self.size), channels.checked_duration(duration_ns)
        counts = np.empty(self.size, np.uint32)
        kernels.encode_counts(self.state, values, duration_ns, counts)
        return counts

    def spikes(self, vector: RateVector, duration_ns: int) -> SpikeTrain:
        """The spikes of the next ``duration_ns`` as a SpikeTrain that begins at the vector's stamp."""
        neuron, offset = self.encode(vector.rates, duration_ns)
        return SpikeTrain(vector.stamp_ns, int(duration_ns), vector.populations, neuron, offset)

    def restore(self, snapshot: NDArray[np.void]) -> None:
        """Go on from a snapshot of an encoder of this kind and size."""
        if snapshot.dtype == self.state.dtype and not np.array_equal(snapshot["kind"], self.state["kind"]):
            raise ValueError("snapshot: it is of another kind of encoder, or of another size")
        super().restore(snapshot)


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
        state = np.zeros(channels.checked_size(size), ENCODER_CHANNEL)
        state["kind"] = kernels.POISSON
        state["key"] = _keys(seed, state.size)
        super().__init__(state)


class RegularEncoder(Encoder):
    """Evenly spaced spikes: a channel integrates its rate and spikes at each whole number.

    Also known as the error-accumulating code. In any window the number of spikes is within one of the
    integral of the rate. Channels begin at phase 0, so the first spike comes after one whole interval and
    equal rates spike together; with a ``seed`` they begin at phases drawn uniformly from it.
    """

    def __init__(self, size: int, seed: int | None = None) -> None:
        state = np.zeros(channels.checked_size(size), ENCODER_CHANNEL)
        state["kind"] = kernels.REGULAR
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
        state = np.zeros(channels.checked_size(size), ENCODER_CHANNEL)
        state["kind"] = kernels.LATENCY
        state["max_rate"] = channels.checked_max_rate(max_rate)
        state["period"] = state["clock"] = channels.checked_time("period", period)
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
        state = np.zeros(channels.checked_size(size), ENCODER_CHANNEL)
        state["kind"] = kernels.PHASE
        state["max_rate"] = channels.checked_max_rate(max_rate)
        state["bits"] = bits = channels.checked_bits(bits)
        state["period"] = state["clock"] = channels.slotted_period(period, bits)
        super().__init__(state)


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
    return by_name("encoder", ENCODERS, name, size, options)

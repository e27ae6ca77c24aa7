"""Decoders: spikes in, firing rates out, stepwise and for many channels at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid_control.signals import RateVector, SpikeTrain
from hybrid_control.signals.coding import channels, kernels
from hybrid_control.signals.coding.channels import Channels, by_name
from hybrid_control.signals.coding.kernels import CYCLE_CHANNEL, TRACE_CHANNEL, WINDOW_BIN, WINDOW_COUNTS
from hybrid_control.signals.coding.population import GaussianCode
from hybrid_control.signals.spikes import Float32Array, UInt32Array


class Decoder(Channels):
    """Reads the spikes of ``size`` channels, one window after another, as rates at the end of each window.

    Compiled code hands ``state`` to the class's ``kernel``, a function of ``kernels``.
    """

    kernel: Callable[[NDArray[Any], UInt32Array, UInt32Array, int, Float32Array], None]

    def decode(self, neuron: ArrayLike, offset_ns: ArrayLike, duration_ns: int) -> Float32Array:
        """Take in a window of spikes and return the rates at its end, (size,) Hz.

        neuron, offset_ns: (k,) whole numbers, each spike's channel (below size) and its time in the window
        (below duration_ns), in order of time. ValueError on anything else, with the state unchanged.
        """
        duration_ns = channels.checked_duration(duration_ns)
        neurons, offsets = _whole("neuron", neuron, self.size), _whole("offset_ns", offset_ns, duration_ns)
        if neurons.size != offsets.size:
            raise ValueError(f"spikes: {neurons.size} neurons and {offsets.size} offsets")
        if (offsets[1:] < offsets[:-1]).any():
            raise ValueError("offset_ns: spikes must be in order of time")
        rates = np.empty(self.size, np.float32)
        self.kernel(self.state, neurons, offsets, duration_ns, rates)
        return rates

    def rates(self, spikes: SpikeTrain) -> RateVector:
        """Take in a SpikeTrain and return the rates at its end, stamped with that time."""
        if spikes.size != self.size:
            raise ValueError(f"spike train: {spikes.size} neurons, expected {self.size}")
        rates = self.decode(spikes.neuron, spikes.offset_ns, spikes.duration_ns)
        return RateVector(spikes.stamp_ns + spikes.duration_ns, rates, spikes.populations)


class SlidingWindowDecoder(Decoder):
    """Spikes in the last ``window`` seconds divided by its length (``kernels.decode_windows``).

    Counts are kept in bins of ``resolution`` seconds. Read at a whole number of bins since reset, the window
    is exact; read between, it is shorter by what the present bin lacks. Until a whole window has passed since
    reset the rate rises from 0.
    """

    kernel = staticmethod(kernels.decode_windows)

    def __init__(self, size: int, window: float = 0.05, resolution: float = 0.001) -> None:
        bin_ns, window_ns = (
            channels.checked_time("resolution", resolution),
            channels.checked_time("window", window),
        )
        bins, rest = divmod(window_ns, bin_ns)
        if rest or not 1 <= bins <= 100_000:
            raise ValueError(f"window: {window} s must be 1 .. 100000 whole bins of {resolution} s")
        state = np.zeros((channels.checked_size(size), WINDOW_COUNTS + bins), np.int64)
        state[:, WINDOW_BIN] = bin_ns
        super().__init__(state)


class ExponentialDecoder(Decoder):
    """A first-order low-pass of the spikes with time constant ``tau`` seconds (``kernels.decode_traces``).

    rate = sum over spikes of exp(-age / tau) / tau. Its mean is the rate; of a Poisson train its variance is
    rate / (2 tau) (Campbell's theorem; Dayan and Abbott, Theoretical Neuroscience, section 1.2).
    """

    kernel = staticmethod(kernels.decode_traces)

    def __init__(self, size: int, tau: float = 0.05) -> None:
        state = np.zeros(channels.checked_size(size), TRACE_CHANNEL)
        state["tau"] = float(channels.checked_time("tau", tau))
        super().__init__(state)


class _CycleDecoder(Decoder):
    kernel = staticmethod(kernels.decode_cycles)

    def __init__(self, size: int, max_rate: float, period_ns: int, bits: int) -> None:
        state = np.zeros(channels.checked_size(size), CYCLE_CHANNEL)
        state["max_rate"], state["period"], state["bits"] = (
            channels.checked_max_rate(max_rate),
            period_ns,
            bits,
        )
        state["word"] = 0 if bits else -1
        super().__init__(state)


class FirstSpikeDecoder(_CycleDecoder):
    """Inverse of the latency code: the first spike in a cycle tells the rate (``kernels.decode_cycles``).

    rate = max_rate x (1 - latency / period), 0 for no spike. What is read is the last cycle that has
    ended. Cycles begin at reset: keep encoder and decoder in step.
    """

    def __init__(self, size: int, max_rate: float = 100.0, period: float = 0.01) -> None:
        super().__init__(size, max_rate, channels.checked_time("period", period), 0)


class PhaseDecoder(_CycleDecoder):
    """Inverse of the weighted phase code: a cycle's spikes, weighted and summed (``kernels.decode_cycles``).

    What is read is the last cycle that has ended. Cycles begin at reset: keep encoder and decoder in step.
    """

    def __init__(self, size: int, max_rate: float = 100.0, period: float = 0.008, bits: int = 8) -> None:
        super().__init__(size, max_rate, channels.slotted_period(period, channels.checked_bits(bits)), bits)


class PopulationVectorDecoder:
    """One value from the spikes of a population: a rate decoder, then the population vector of its rates."""

    def __init__(self, code: GaussianCode, channels: Decoder | None = None) -> None:
        self.code = code
        self.channels = ExponentialDecoder(code.size) if channels is None else channels
        if self.channels.size != code.size:
            raise ValueError(
                f"population vector: {self.channels.size} decoder channels for {code.size} neurons"
            )

    def decode(self, neuron: ArrayLike, offset_ns: ArrayLike, duration_ns: int) -> float:
        """Take in a window of spikes and return the value at its end; NaN while the population is silent."""
        return self.code.decode(self.channels.decode(neuron, offset_ns, duration_ns))

    def value(self, spikes: SpikeTrain) -> float:
        """As ``decode``, of a SpikeTrain."""
        return self.code.decode(self.channels.rates(spikes).rates)

    def reset(self) -> None:
        """Back to the state after construction."""
        self.channels.reset()


def _whole(name: str, values: ArrayLike, below: int) -> UInt32Array:
    array = np.asarray(values)
    if array.size == 0:
        return np.empty(0, np.uint32)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(
            f"{name}: {array.dtype} of shape {array.shape}, expected whole numbers in one dimension"
        )
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= below:
        raise ValueError(f"{name}: {low if low < 0 else high} is not in 0 .. {below - 1}")
    return array.astype(np.uint32)


DECODERS: dict[str, Callable[..., Decoder]] = {
    "window": SlidingWindowDecoder,
    "exponential": ExponentialDecoder,
    "first_spike": FirstSpikeDecoder,
    "phase": PhaseDecoder,
}


def decoder(name: str, size: int, **options: Any) -> Decoder:
    """A decoder by name, with the options of its class.

    window (window, resolution), exponential (tau), first_spike (max_rate, period), phase (max_rate, period,
    bits).
    """
    return by_name("decoder", DECODERS, name, size, options)

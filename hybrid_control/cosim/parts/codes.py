"""Encoders and decoders as parts: rates to spikes, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numba
import numpy as np

from hybrid_control.cosim.part import Array, Port, Runs
from hybrid_control.signals.coding import decoder, encoder, kernels


class EncoderPart:
    """Rates in, spikes out: run k gives the spikes of the period that begins with it, from the rates that hold then.

    code: a name of `signals.coding.encoder`, with its options. Where it takes a seed and none is given, the
    simulation's is taken.
    """

    def __init__(self, code: str, size: int, **options: Any) -> None:
        self._code, self._size, self._options = code, size, options
        self._seeded = code == "poisson" and "seed" not in options
        self._encoder = encoder(code, size, **options)
        self.inputs = {"rates": Port("rates", (size,))}
        self.outputs = {"spikes": Port("spikes", (size,))}

    def reset(self, seed: int) -> None:
        """As before the first run."""
        if self._seeded:
            self._encoder = encoder(self._code, self._size, **self._options, seed=seed)
        self._encoder.reset()

    def run(self, runs: Runs, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """Counts for each run. ValueError for a rate that is none."""
        rates = inputs.get("rates")
        counts = np.zeros((runs.count, self._size))
        if rates is None:
            rates = counts
        elif not (rates.min() >= 0.0 and rates.max() <= kernels.MAX_RATE):
            bad = rates[~((rates >= 0.0) & (rates <= kernels.MAX_RATE))].flat[0]
            raise ValueError(f"a rate of {bad:g} Hz; rates are within 0 .. {kernels.MAX_RATE:.0f} Hz")
        _encode(self._encoder.state, np.ascontiguousarray(rates, np.float32), runs.period_ns, counts)
        return {"spikes": counts}

    def state(self) -> Any:
        """Of the encoder."""
        return self._encoder.snapshot()

    def set_state(self, state: Any) -> None:
        """Of the encoder."""
        self._encoder.restore(state)


@numba.njit(cache=True, nogil=True)
def _encode(state: Any, rates: Any, period_ns: int, counts: Any) -> None:
    for i in range(rates.shape[0]):
        kernels.encode_counts(state, rates[i], period_ns, counts[i])


class DecoderPart:
    """Spikes in, rates out: run k gives the rates at its time, of the spikes that arrived by then.

    code: a name of `signals.coding.decoder`, with its options. A spike counts as fired at the run that sees it: a
    decoder that is run at the network's tick is as exact as the network.
    """

    def __init__(self, code: str, size: int, **options: Any) -> None:
        self._decoder = decoder(code, size, **options)
        self.inputs = {"spikes": Port("spikes", (size,))}
        self.outputs = {"rates": Port("rates", (size,))}

    def reset(self, seed: int) -> None:
        """As before the first run."""
        self._decoder.reset()

    def run(self, runs: Runs, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """Rates at each run."""
        size = self.inputs["spikes"].size
        counts = inputs.get("spikes")
        if counts is None:
            counts = np.zeros((runs.count, size))
        rates = np.empty((runs.count, size), np.float32)
        neurons = np.repeat(
            np.tile(np.arange(size, dtype=np.uint32), runs.count), counts.astype(np.int64).reshape(-1)
        )
        ends = np.cumsum(counts.sum(axis=1).astype(np.int64))
        _decode(self._decoder.kernel, self._decoder.state, neurons, ends, runs.period_ns, rates)
        return {"rates": rates.astype(np.float64)}

    def state(self) -> Any:
        """Of the decoder."""
        return self._decoder.snapshot()

    def set_state(self, state: Any) -> None:
        """Of the decoder."""
        self._decoder.restore(state)


@numba.njit(nogil=True)
def _decode(kernel: Any, state: Any, neurons: Any, ends: Any, period_ns: int, rates: Any) -> None:
    """A window a run: its spikes at the window's last nanosecond."""
    first = 0
    for i in range(rates.shape[0]):
        window = neurons[first : ends[i]]
        offsets = np.full(window.size, period_ns - 1, np.uint32)
        kernel(state, window, offsets, period_ns, rates[i])
        first = ends[i]

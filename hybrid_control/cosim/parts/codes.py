"""Encoders and decoders as parts: rates to spikes, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hybrid_control.cosim.block import CompiledPart, words
from hybrid_control.cosim.kernels import parts
from hybrid_control.cosim.part import Array, Port
from hybrid_control.signals.coding import decoder, encoder, kernels


class EncoderPart(CompiledPart):
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
        self._rates = np.zeros(size, np.float32)
        self.function = parts.address_of(parts.encoding)
        self.data = words(self._encoder.state.ctypes.data, size, self._rates.ctypes.data)

    def reset(self, seed: int) -> None:
        """As before the first run."""
        self._encoder.reset()
        if self._seeded:
            fresh = encoder(self._code, self._size, **self._options, seed=seed)
            self._encoder.restore(fresh.snapshot())

    def refusal(self, inputs: Mapping[str, Array]) -> str:
        """Of a rate that is none."""
        rates = inputs["rates"]
        bad = rates[~((rates >= 0.0) & (rates <= kernels.MAX_RATE))].flat[0]
        return f"a rate of {bad:g} Hz; rates are within 0 .. {kernels.MAX_RATE:.0f} Hz"

    def state(self) -> Any:
        """Of the encoder."""
        return self._encoder.snapshot()

    def set_state(self, state: Any) -> None:
        """Of the encoder."""
        self._encoder.restore(state)


class DecoderPart(CompiledPart):
    """Spikes in, rates out: run k gives the rates at its time, of the spikes that arrived by then.

    code: a name of `signals.coding.decoder`, with its options. A spike counts as fired at the run that sees it: a
    decoder that is run at the network's tick is as exact as the network.
    """

    def __init__(self, code: str, size: int, **options: Any) -> None:
        self._decoder = decoder(code, size, **options)
        self.inputs = {"spikes": Port("spikes", (size,))}
        self.outputs = {"rates": Port("rates", (size,))}
        self._rates = np.zeros(size, np.float32)
        self.function = parts.address_of(parts.decoding)
        state = self._decoder.state
        kinds = {kernels.TRACE_CHANNEL: parts.TRACES, kernels.CYCLE_CHANNEL: parts.CYCLES}
        kind = kinds.get(state.dtype, parts.WINDOWS)
        columns = state.shape[1] if state.ndim == 2 else 0
        self.data = words(state.ctypes.data, size, kind, columns, self._rates.ctypes.data)

    def reset(self, seed: int) -> None:
        """As before the first run."""
        self._decoder.reset()

    def state(self) -> Any:
        """Of the decoder."""
        return self._decoder.snapshot()

    def set_state(self, state: Any) -> None:
        """Of the decoder."""
        self._decoder.restore(state)

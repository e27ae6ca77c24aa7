"""Encoders and decoders as parts: rates to spikes, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hybrid_control.cosim.block import CompiledPart, words
from hybrid_control.cosim.kernels import parts
from hybrid_control.cosim.part import Array, Port
from hybrid_control.signals.coding import GaussianCode, decoder, encoder, kernels


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


def gaussian(size: int, low: float, high: float, peak: float = 100.0, *, circle: bool = False) -> GaussianCode:
    """A population for values in low .. high; on a circle low and high are the same place, and must be -pi and pi."""
    if circle and not (math.isclose(low, -math.pi, rel_tol=1e-3) and math.isclose(high, math.pi, rel_tol=1e-3)):
        raise ValueError(f"circle: {low} .. {high}; a circle goes from -3.1416 to 3.1416")
    return GaussianCode.circle(size, peak) if circle else GaussianCode.line(low, high, size, peak)


class PopulationEncoderPart(CompiledPart):
    """A value in, spikes and rates of a population tuned to it out, each neuron to a value of its own.

    code: the tuning; spikes: how rates become spikes, poisson or regular.
    """

    def __init__(self, code: GaussianCode, spikes: str = "poisson", **options: Any) -> None:
        if spikes not in ("poisson", "regular"):
            raise ValueError(f"spikes: {spikes!r}; there are poisson and regular")
        self._spikes = EncoderPart(spikes, code.size, **options)
        self.inputs = {"value": Port("values", (1,))}
        self.outputs = {"spikes": Port("spikes", (code.size,)), "rates": Port("rates", (code.size,))}
        self._preferred, self._shape = code.preferred, np.array([code.sigma, code.peak, code.period])
        self.function = parts.address_of(parts.tuned)
        self.data = words(self._spikes.data, self._preferred.ctypes.data, self._shape.ctypes.data)

    def reset(self, seed: int) -> None:
        """As before the first run."""
        self._spikes.reset(seed)

    def state(self) -> Any:
        """Of the encoder."""
        return self._spikes.state()

    def set_state(self, state: Any) -> None:
        """Of the encoder."""
        self._spikes.set_state(state)


class PopulationVectorPart(CompiledPart):
    """Rates of a population in, the value that they stand for out; the last one, first `silent`, where there are none.

    Put a decoder before it: rates come of spikes by one.
    """

    def __init__(self, code: GaussianCode, silent: float = 0.0) -> None:
        self.inputs = {"rates": Port("rates", (code.size,))}
        self.outputs = {"value": Port("values", (1,))}
        self._preferred, self._period, self._silent = code.preferred, np.array([code.period]), float(silent)
        self._value = np.array([self._silent])
        self.function = parts.address_of(parts.vector)
        self.data = words(
            self._value.ctypes.data, code.size, self._preferred.ctypes.data, self._period.ctypes.data
        )

    def reset(self, seed: int) -> None:
        """Nothing has been read."""
        self._value[0] = self._silent

    def state(self) -> Any:
        """The value that was read last."""
        return self._value.copy()

    def set_state(self, state: Any) -> None:
        """A value that was read."""
        self._value[:] = state


class FramesPart(CompiledPart):
    """Spikes in, a dense frame for an ANN out: (bins, *shape) counts of the last `bins` runs, the newest first."""

    def __init__(self, shape: Sequence[int], bins: int = 1) -> None:
        if not isinstance(bins, int) or isinstance(bins, bool) or not 1 <= bins <= 4096:
            raise ValueError(f"bins: {bins!r} must be a whole number in 1 .. 4096")
        self.inputs = {"spikes": Port("spikes", tuple(shape))}
        self.outputs = {"frame": Port("values", (bins, *shape))}
        self._frame = np.zeros((bins, self.inputs["spikes"].size))
        self.function = parts.address_of(parts.framed)
        self.data = words(self._frame.ctypes.data, *self._frame.shape)

    def reset(self, seed: int) -> None:
        """Nothing has come."""
        self._frame[:] = 0.0

    def state(self) -> Any:
        """The frame."""
        return self._frame.copy()

    def set_state(self, state: Any) -> None:
        """A frame."""
        self._frame[:] = state

"""Two or more opinions made one: by weights, or by how sure each is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hybrid_control.cosim.block import CompiledPart, words
from hybrid_control.cosim.kernels import parts
from hybrid_control.cosim.part import Port, Stateless


class WeightedFusion(CompiledPart, Stateless):
    """out = sum of weight_i x input_i over the inputs "a", "b", ...; weights are taken as they are."""

    def __init__(self, weights: Sequence[float], shape: Sequence[int]) -> None:
        if not weights or not np.isfinite(weights).all():
            raise ValueError(f"weights: {list(weights)} must be one or more finite numbers")
        self._weights = np.array(weights[:26], np.float64)
        names = "abcdefghijklmnopqrstuvwxyz"[: len(weights)]
        self.inputs = {name: Port("values", tuple(shape)) for name in names}
        self.outputs = {"out": Port("values", tuple(shape))}
        self.function = parts.address_of(parts.weighted)
        self.data = words(len(names), self.outputs["out"].size, self._weights.ctypes.data)


class GatedFusion(CompiledPart, Stateless):
    """out = g a + (1 - g) b, where g is the first of `confidence` clipped to 0 .. 1."""

    def __init__(self, shape: Sequence[int]) -> None:
        one = Port("values", tuple(shape))
        self.inputs = {"a": one, "b": one, "confidence": Port("values", (1,))}
        self.outputs = {"out": one}
        self.function = parts.address_of(parts.gated)
        self.data = words(one.size)

"""Recorded values as a part."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from hybrid_control.cosim.block import CompiledPart, words
from hybrid_control.cosim.kernels import parts
from hybrid_control.cosim.part import Kind, Port, Stateless


class ArraySource(CompiledPart, Stateless):
    """Gives row k of an array, (n, ...), at run k; after the last row it gives that again, or begins anew (loop)."""

    def __init__(self, values: ArrayLike, kind: Kind = "values", *, loop: bool = False) -> None:
        array = np.asarray(values)
        if array.ndim < 1 or array.shape[0] < 1 or array.dtype.kind not in "biuf":
            raise ValueError(f"{array.dtype} of shape {array.shape}; expected numbers of shape (runs, ...)")
        if kind == "messages":
            raise ValueError("kind: an array holds no messages; there are values, rates, spikes, states")
        self._rows = np.ascontiguousarray(array.reshape(array.shape[0], -1), np.float64)
        self.inputs: Mapping[str, Port] = {}
        self.outputs = {"out": Port(kind, array.shape[1:])}
        self.function = parts.address_of(parts.recorded)
        self.data = words(self._rows.ctypes.data, *self._rows.shape, int(loop))

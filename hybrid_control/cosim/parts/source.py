"""Recorded values as a part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hybrid_control.cosim.part import Array, Kind, Port, Runs, Stateless


class ArraySource(Stateless):
    """Gives row k of an array, (n, ...), at run k; after the last row it gives that again, or begins anew (loop)."""

    def __init__(self, values: ArrayLike, kind: Kind = "values", *, loop: bool = False) -> None:
        array = np.asarray(values)
        if array.ndim < 1 or array.shape[0] < 1 or array.dtype.kind not in "biuf":
            raise ValueError(f"{array.dtype} of shape {array.shape}; expected numbers of shape (runs, ...)")
        if kind == "messages":
            raise ValueError("kind: an array holds no messages; there are values, rates, spikes, states")
        self._rows, self._loop = array.reshape(array.shape[0], -1).astype(np.float64), loop
        self.inputs: Mapping[str, Port] = {}
        self.outputs = {"out": Port(kind, array.shape[1:])}

    def run(self, runs: Runs, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """A row a run."""
        index = runs.first_ns // runs.period_ns + np.arange(runs.count)
        last = len(self._rows) - 1
        return {"out": self._rows[index % (last + 1) if self._loop else np.minimum(index, last)]}

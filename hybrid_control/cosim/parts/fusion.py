"""Two or more opinions made one: by weights, or by how sure each is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hybrid_control.cosim.part import Array, Port, Runs, Stateless


class WeightedFusion(Stateless):
    """out = sum of weight_i x input_i over the inputs "a", "b", ...; weights are taken as they are."""

    def __init__(self, weights: Sequence[float], shape: Sequence[int]) -> None:
        if not weights or not np.isfinite(weights).all():
            raise ValueError(f"weights: {list(weights)} must be one or more finite numbers")
        self._weights = dict(zip("abcdefghijklmnopqrstuvwxyz", weights, strict=False))
        self.inputs = {name: Port("values", tuple(shape)) for name in self._weights}
        self.outputs = {"out": Port("values", tuple(shape))}

    def run(self, runs: Runs, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """The sum for each run."""
        out = np.zeros((runs.count, self.outputs["out"].size))
        for name, rows in inputs.items():
            out = out + self._weights[name] * rows
        return {"out": out}


class GatedFusion(Stateless):
    """out = g a + (1 - g) b, where g is the first of `confidence` clipped to 0 .. 1."""

    def __init__(self, shape: Sequence[int]) -> None:
        one = Port("values", tuple(shape))
        self.inputs = {"a": one, "b": one, "confidence": Port("values", (1,))}
        self.outputs = {"out": one}

    def run(self, runs: Runs, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """The mixture for each run."""
        none = np.zeros((runs.count, self.outputs["out"].size))
        a, b = inputs.get("a", none), inputs.get("b", none)
        gate = np.clip(inputs.get("confidence", np.zeros((runs.count, 1))), 0.0, 1.0)
        return {"out": gate * a + (1.0 - gate) * b}

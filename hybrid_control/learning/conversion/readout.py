"""A third way to read a converted network: weights for each eighth of the ticks, learnt from examples.

What the early ticks were wrong about fades in the same way for all outputs of a network, so how an output grew in each
eighth says where it goes. It needs no labels: the ANN says what is right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid_control.learning.conversion.compare import Comparison
from hybrid_control.learning.conversion.layers import Array

PARTS = 8


def eighths(ticks: int) -> tuple[int, ...]:
    """The ticks after which a comparison has to look, so that it can be read. ValueError for less than 8 ticks."""
    if ticks < PARTS:
        raise ValueError(f"{ticks} ticks: expected {PARTS} or more")
    return tuple(ticks * part // PARTS for part in range(1, PARTS + 1))


@dataclass(frozen=True)
class Readout:
    """Of each tensor of the end: a value is its offset and the sum of what it grew by in a tick of each eighth, times
    that eighth's weight.

    weights: (PARTS,), the same for all values; offsets: (values,).
    """

    ticks: int
    weights: dict[str, Array]
    offsets: dict[str, Array]

    @classmethod
    def fitted(cls, learnt: Comparison, ticks: int) -> Readout:
        """By least squares on a comparison with examples to learn from, that looked after `eighths(ticks)`."""
        weights, offsets = {}, {}
        for tensor, wanted in learnt.wanted.items():
            grown = _grown(learnt, tensor, ticks)
            around = (grown - grown.mean(axis=0)).reshape(-1, PARTS)
            found = np.linalg.lstsq(around, (wanted - wanted.mean(axis=0)).reshape(-1), rcond=None)[0]
            weights[tensor], offsets[tensor] = found, wanted.mean(axis=0) - grown.mean(axis=0) @ found
        return cls(ticks, weights, offsets)

    def read(self, comparison: Comparison) -> dict[str, Array]:
        """What is read in another comparison, (examples, values) of each tensor."""
        return {
            tensor: _grown(comparison, tensor, self.ticks) @ weights + self.offsets[tensor]
            for tensor, weights in self.weights.items()
        }


def _grown(comparison: Comparison, tensor: str, ticks: int) -> Array:
    """What each value grew by in a tick of each eighth, (examples, values, PARTS)."""
    marks, stops = comparison.marks, eighths(ticks)
    if not {*stops} <= {*marks}:
        raise ValueError(f"compared after {marks} ticks; expected {stops} among them")
    given = comparison.given[tensor].astype(np.float64)
    sums = np.stack([0.0 * given[:, 0], *(stop * given[:, marks.index(stop)] for stop in stops)], axis=-1)
    return np.asarray(np.diff(sums, axis=-1) / np.diff((0, *stops)))

"""Weights to begin a training with: so large that every layer fires, and none all the time.

A layer that never fires passes little to the next one and learns slowly. After D. Mishkin and J. Matas, "All you need
is a good init", ICLR 2016, which goes from layer to layer and scales weights by what comes out; here by firing rates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hybrid_control.learning.mirror import Mirror, State

STEPS = 12  # halvings of the range of factors
RANGE = -4.0, 7.0  # of the factor's logarithm


@torch.no_grad()
def scale_to_rate(
    mirror: Mirror,
    x: Tensor | Mapping[str, Tensor],
    projections: Mapping[str, Sequence[str]],
    rate: float,
    state: State | None = None,
) -> dict[str, float]:
    """Scale free weights so that populations fire at about `rate` spikes of a neuron and tick.

    x: (batch, steps, *shape) inputs as in training, or such by name. projections: for each population, in the order in
    which signals pass, the nodes whose weights are scaled, all by one factor. state: to begin from; None: before the
    first tick.
    Returns the rates reached; a population that no factor in e^-4 .. e^7 brings there is left at the nearer end.
    ValueError where a rate is not in 0 .. 1 or weights are not free.
    """
    if not 0.0 < rate < 1.0:
        raise ValueError(f"a rate of {rate} spikes a tick must lie between 0 and 1")
    leaves, reached = mirror.numbers.leaves, {}
    for population, names in projections.items():
        frozen = [name for name in names if (name, "weight") not in leaves]
        if frozen:
            raise ValueError(f"the weights of {frozen[0]!r} are not free to be trained")
        first = [leaves[name, "weight"].clone() for name in names]
        low, high = RANGE
        for _ in range(STEPS):
            middle = (low + high) / 2
            for name, weights in zip(names, first, strict=True):
                leaves[name, "weight"].copy_(weights * math.exp(middle))
            (spikes,), _ = mirror(x, state, [(population, "output")])
            reached[population] = float(spikes.mean())
            low, high = (low, middle) if reached[population] > rate else (middle, high)
    return reached

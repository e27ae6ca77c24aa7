"""The networks of the drive task: the ANN that finds the robot's motion in a window of events, the SNN that follows.

They have each value in spreads from its mean, and its change in CHANGES spreads a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import nir
import numpy as np
import torch
from torch import Tensor, nn

from hybrid_control.bench.hand_over.networks import (
    Encoder,
    Reader,
    convolution,
    leaky,
    neurons,
    time_constant,
)
from hybrid_control.bench.hand_over.sequences import SIZE
from hybrid_control.bench.hand_over.task import Spiking

VALUES = 3  # forward speed, yaw rate, inverse time to contact
MEAN = torch.tensor((0.56, 0.0, 0.46))  # m/s, rad/s, 1/s, of the training sequences, about
SPREAD = torch.tensor((0.44, 1.07, 0.67))  # the same, standard deviations
CHANGES = 5.0  # spreads a second, of a change of 1
CHANNELS, UNITS = (8, 16, 16), 192  # of the SNN's layers; of its last one
LEVEL, CHANGE = "level", "change"  # the populations that hold the values, and how they change
SPIKING = Spiking(
    layers={"lif1": "first", "lif2": "second", "lif3": "deepest", "lif4": "dense"},
    handed=[LEVEL, CHANGE],
    projections={"lif1": ["conv1"], "lif2": ["conv2"], "lif3": ["conv3"], "lif4": ["dense4", "told"]},
    taps=[("levels", "output")],
    driven=("conv1", "told"),
    belief="believed",
)
KEPT = 1.0  # s, time constant of the values as training begins
CODES, WIDTH = torch.linspace(-2.5, 4.0, 14), 0.5
"""Spreads from the mean, at which the SNN is told a value, and how far each reaches, a standard deviation."""
LEAST = 0.01  # of what tells it, below which it is 0


def scale(like: Tensor) -> tuple[Tensor, Tensor]:
    """MEAN and SPREAD on the device of a tensor."""
    return MEAN.to(like.device), SPREAD.to(like.device)


def values_of(given: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Values (..., VALUES) in SI, and by how much they change in a second, by levels and changes of networks."""
    levels, changes = given
    mean, spread = scale(levels)
    return mean + spread * levels, spread * CHANGES * changes


class Finder(Encoder):
    """Values and their changes, (batch, VALUES) each, from bins of events (batch, bins, 2, SIZE, SIZE)."""

    def __init__(self, bins: int, units: int = 128) -> None:
        super().__init__(bins)
        self.dense = nn.Sequential(
            nn.Flatten(), nn.Dropout(0.2), nn.Linear(64 * (SIZE // 8) ** 2, units), nn.ReLU()
        )
        self.head = nn.Linear(units, 2 * VALUES)

    def forward(self, events: Tensor) -> tuple[Tensor, Tensor]:
        """At the end of the window."""
        levels, changes = self.head(self.dense(self.encoded(events)[1])).split(VALUES, -1)
        return levels, changes


def follower(dt: float, keeps: float, seed: int) -> nir.NIRGraph:
    """The SNN: events of a tick (2, SIZE, SIZE) and what is believed, as `Told` says it; three layers of LIF neurons
    that see and one that is told as well; the population of the values, which keeps what it gets, and two of their
    changes, which add to them: one leaks with the time constant `keeps` as training begins, the other quickly."""
    draw = np.random.default_rng([seed, VALUES])
    a, b, c = CHANNELS
    tau, size = time_constant(dt), SIZE // 8

    def dense(inputs: int, outputs: int, gain: float) -> nir.Linear:
        return nir.Linear(draw.normal(0.0, gain / np.sqrt(inputs), (outputs, inputs)).astype(np.float32))

    nodes: dict[str, Any] = {
        "events": nir.Input(np.array([2, SIZE, SIZE])),
        "conv1": convolution((2, a), 5, 12.0, SIZE, draw, 2), "lif1": neurons((a, SIZE // 2, SIZE // 2), tau),
        "conv2": convolution((a, b), 3, 8.0, SIZE // 2, draw, 2), "lif2": neurons((b, SIZE // 4, SIZE // 4), tau),
        "conv3": convolution((b, c), 3, 6.0, SIZE // 4, draw, 2), "lif3": neurons((c, size, size), tau),
        "flat": nir.Flatten({"input": np.array([c, size, size])}, 0, -1),
        "dense4": dense(c * size * size, UNITS, 8.0), "lif4": neurons((UNITS,), tau),
    }  # fmt: skip
    edges = [*pairwise(nodes), *pairwise(["believed", "told", "lif4"]), *pairwise([LEVEL, "levels"])]
    nodes |= {
        "believed": nir.Input(np.array([VALUES * len(CODES)])),
        "told": dense(VALUES * len(CODES), UNITS, 3.0),
        LEVEL: nir.LI(np.full(VALUES, KEPT), np.full(VALUES, KEPT * CHANGES), np.zeros(VALUES)),
        "levels": nir.Output(np.array([VALUES])),
    }
    for name, lasts in ((CHANGE, keeps), ("quick", tau)):
        nodes |= {f"to_{name}": dense(UNITS, VALUES, 3.0 * dt / keeps), name: leaky((VALUES,), lasts, dt)}
        edges += pairwise(["lif4", f"to_{name}", name, LEVEL])
    return nir.NIRGraph(nodes, edges)


class Told(Reader):
    """Each value is told as a bell over CODES, and read from the population that holds it."""

    def told(self, at: Tensor) -> Tensor:
        """(..., VALUES * CODES) of values (..., VALUES) in SI."""
        mean, spread = scale(at)
        away = ((at - mean) / spread)[..., None] - CODES.to(at.device)
        bells = torch.exp(-0.5 * (away / WIDTH) ** 2)
        return torch.where(bells < LEAST, torch.zeros_like(bells), bells).flatten(-2)

    def forward(self, given: Sequence[Tensor], at: Tensor) -> Tensor:
        """Values (batch, VALUES) in SI after a tick."""
        mean, spread = scale(given[0])
        return mean + spread * given[0]

"""The networks of the arm task: the ANN that finds joints in a window of events, and the SNN that follows them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import nir
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hybrid_control.bench.hand_over.networks import (
    Encoder,
    Reader,
    block,
    convolution,
    leaky,
    neurons,
    time_constant,
)
from hybrid_control.bench.hand_over.sequences import SIZE
from hybrid_control.bench.hand_over.task import Spiking

CELLS = SIZE // 4  # of a side of a heat map
CHANNELS = (8, 16, 16, 16)  # of the SNN's layers
MAP, FLOW = "map", "flow"  # the populations that hold the heat maps, and where things move
SPIKING = Spiking(
    layers={"lif1": "first", "lif2": "second", "lif3": "back", "lif4": "last"},
    handed=[MAP, FLOW],
    projections={"lif1": ["conv1"], "lif2": ["conv2"], "lif3": ["conv3", "near"], "lif4": ["conv4"]},
    taps=[("flow_out", "output"), ("quick_out", "output"), ("maps", "output")],
    driven=("conv1", "near"),
    belief="joints",
)
PER_SECOND = 100.0  # px/s, of a flow of 1
NEAR = 3.0  # px, standard deviation of the surroundings of a joint in which the flow is its own
LEAST = 0.01  # of what tells the SNN where a joint is, below which it is 0


class Finder(Encoder):
    """Heat maps (batch, joints, CELLS, CELLS), as logits, and flow (batch, 2 * joints, CELLS, CELLS), how each joint
    moves if it is there, from bins of events (batch, bins, 2, SIZE, SIZE)."""

    def __init__(self, bins: int, joints: int) -> None:
        super().__init__(bins)
        self.back, self.last = block(64 + 48, 48, 1), block(48, 32, 1)
        self.maps, self.flow = nn.Conv2d(32, joints, 3, padding=1), nn.Conv2d(32, 2 * joints, 3, padding=1)

    def forward(self, events: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the joints, and flow, at the end of the window."""
        second, deepest = self.encoded(events)
        wide = functional.interpolate(deepest, scale_factor=2, mode="nearest")
        last = self.last(self.back(torch.cat([wide, second], 1)))
        return self.maps(last), self.flow(last)


def _centres(like: Tensor) -> Tensor:
    """px, of the cells along a side, of the type and on the device of a tensor."""
    return (torch.arange(CELLS, dtype=like.dtype, device=like.device) + 0.5) * (SIZE / CELLS) - 0.5


def places(maps: Tensor) -> Tensor:
    """Joints (..., joints, 2) in px, x and y: the expectation of logits (..., joints, CELLS, CELLS), soft-argmax."""
    share = functional.softmax(maps.flatten(-2), -1).unflatten(-1, (CELLS, CELLS))
    centres = _centres(maps)
    return torch.stack([(share.sum(-2) * centres).sum(-1), (share.sum(-1) * centres).sum(-1)], -1)


def joints_of(given: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Places (..., joints, 2) in px, and velocities in px/s, by heat maps and flow."""
    at = places(given[0])
    return at, velocity(given[1], at)


def velocity(flow: Tensor, at: Tensor) -> Tensor:
    """px/s (..., joints, 2) by the flow (..., 2 * joints, CELLS, CELLS) around joints (..., joints, 2)."""
    centres, moves = _centres(flow), flow.unflatten(-3, (-1, 2))
    across, down = (
        functional.softmax(-0.5 * ((centres - at[..., k : k + 1]) / NEAR) ** 2, -1) for k in (0, 1)
    )
    return PER_SECOND * torch.einsum("...jkyx,...jy,...jx->...jk", moves, down, across)


def around(at: Tensor) -> Tensor:
    """Where joints (..., joints, 2) are believed, as the SNN is told it: (..., joints, CELLS, CELLS), 1 at a joint."""
    across, down = (torch.exp(-0.5 * ((_centres(at) - at[..., k : k + 1]) / NEAR) ** 2) for k in (0, 1))
    told = down[..., :, None] * across[..., None, :]
    return torch.where(told < LEAST, torch.zeros_like(told), told)


def follower(joints: int, dt: float, keeps: float, seed: int) -> nir.NIRGraph:
    """The SNN: events of a tick (2, SIZE, SIZE) and where the joints are believed, `around`; four layers of LIF
    neurons; readouts: heat maps that keep what they got, and two flows as `Finder` has it, of which one leaks with the
    time constant `keeps` as training begins and the other quickly.

    The membranes' time constants are 10 ms then or, as theirs, three ticks where that is more; the threshold is 1, with
    a soft reset.
    """
    draw = np.random.default_rng([seed, joints])
    a, b, c, d = CHANNELS
    tau, moves = time_constant(dt), (2 * joints, CELLS, CELLS)
    nodes: dict[str, Any] = {
        "events": nir.Input(np.array([2, SIZE, SIZE])),
        "conv1": convolution((2, a), 5, 12.0, SIZE, draw, 2), "lif1": neurons((a, SIZE // 2, SIZE // 2), tau),
        "conv2": convolution((a, b), 3, 8.0, SIZE // 2, draw, 2), "lif2": neurons((b, CELLS, CELLS), tau),
        "conv3": convolution((b, c), 3, 6.0, CELLS, draw), "lif3": neurons((c, CELLS, CELLS), tau),
        "conv4": convolution((c, d), 3, 8.0, CELLS, draw), "lif4": neurons((d, CELLS, CELLS), tau),
        "readout": convolution((d, joints), 3, 0.5 * np.sqrt(dt / 10e-3), CELLS, draw),
        MAP: nir.I(np.full((joints, CELLS, CELLS), 1.0 / dt)),
        "maps": nir.Output(np.array([joints, CELLS, CELLS])),
    }  # fmt: skip
    edges = list(pairwise(nodes))
    nodes |= {
        "joints": nir.Input(np.array([joints, CELLS, CELLS])),
        "near": convolution((joints, c), 5, 2.0, CELLS, draw),
    }
    edges += [("joints", "near"), ("near", "lif3")]
    for name, lasts in ((FLOW, keeps), ("quick", tau)):
        branch = {
            f"to_{name}": convolution((d, 2 * joints), 3, 3.0 * dt / keeps, CELLS, draw),
            name: leaky(moves, lasts, dt),
        }
        nodes |= branch | {f"{name}_out": nir.Output(np.array(moves))}
        edges += pairwise(["lif4", *branch, f"{name}_out"])
    return nir.NIRGraph(nodes, edges)


class Tracker(Reader):
    """Joints from what the SNN's readouts give, a filter: each goes on with the flow around it, and a little, by a gain
    that is trained, towards where the heat map has it."""

    def __init__(self, dt: float, gain: float) -> None:
        super().__init__()
        self.dt, self.logit = dt, nn.Parameter(torch.tensor(math.log(gain / (1.0 - gain))))

    def told(self, at: Tensor) -> Tensor:
        """The surroundings of each joint."""
        return around(at)

    def forward(self, given: Sequence[Tensor], at: Tensor) -> Tensor:
        """Joints (batch, joints, 2) after a tick in px. given: two flows, and heat maps; at: where they are before."""
        flow, quick, maps = given
        at = at + self.dt * velocity(flow + quick, at)
        return at + torch.sigmoid(self.logit) * (places(maps) - at)

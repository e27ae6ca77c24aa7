"""The networks of the arm task: the ANN that finds joints in a window of events, the SNN that follows them, a GRU."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hybrid_control.bench.hand_over.arm import SIZE
from hybrid_control.snn import Options

CELLS = SIZE // 2  # of a side of a heat map
CHANNELS = (8, 12, 12)  # of the SNN's layers
LAYERS = {"lif1": "first", "lif2": "last", "lif3": "last"}  # populations, and the ANN's modules that set them
MAP = "map"  # the population that holds the heat maps


def options(dt: float) -> Options:
    """How the SNN runs, in ticks of dt: forward Euler, soft reset, as theirs."""
    return Options(dt=dt, reset="subtract")


class Finder(nn.Module):
    """Heat maps (batch, joints, CELLS, CELLS), as logits, from bins of events (batch, bins, 2, SIZE, SIZE)."""

    def __init__(self, bins: int, joints: int) -> None:
        super().__init__()

        def block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
            convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())

        self.first = block(2 * bins, 24, 2)
        self.second, self.third = block(24, 48, 2), block(48, 64, 2)
        self.deepest = block(64, 64, 1)
        self.back, self.last = block(64 + 48, 24, 1), block(24 + 24, 24, 1)
        self.maps = nn.Conv2d(24, joints, 3, padding=1)

    def forward(self, events: Tensor) -> Tensor:
        """Logits of the joints at the end of the window."""
        first = self.first(torch.sqrt(events).flatten(1, 2))
        second = self.second(first)
        deepest = self.deepest(self.third(second))
        back = self.back(torch.cat([_larger(deepest), second], 1))
        maps: Tensor = self.maps(self.last(torch.cat([_larger(back), first], 1)))
        return maps


def _larger(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="nearest")


def places(maps: Tensor) -> Tensor:
    """Joints (..., joints, 2) in px, x and y, of logits (..., joints, CELLS, CELLS): their expectation (soft-argmax)."""
    share = functional.softmax(maps.flatten(-2), -1).unflatten(-1, (CELLS, CELLS))
    centres = (torch.arange(CELLS, dtype=maps.dtype) + 0.5) * (SIZE / CELLS) - 0.5
    return torch.stack([(share.sum(-2) * centres).sum(-1), (share.sum(-1) * centres).sum(-1)], -1)


def follower(joints: int, dt: float, tau: float, seed: int) -> nir.NIRGraph:
    """The SNN: events of a tick (2, SIZE, SIZE), three layers of LIF neurons, and heat maps that keep what they got.

    tau: ticks, of the membranes at the start of training; the threshold is 1, with a soft reset.
    """
    draw = np.random.default_rng([seed, joints])

    def convolution(
        inputs: int, outputs: int, kernel: int, gain: float, size: int = CELLS, dilation: int = 1
    ) -> nir.Conv2d:
        scale = gain / np.sqrt(inputs * kernel * kernel)
        weight = draw.normal(0.0, scale, (outputs, inputs, kernel, kernel)).astype(np.float32)
        padding, bias = dilation * (kernel // 2), np.zeros(outputs, np.float32)
        return nir.Conv2d((size, size), weight, size // CELLS, padding, dilation, 1, bias)

    def neurons(channels: int) -> nir.LIF:
        shape = (channels, CELLS, CELLS)
        return nir.LIF(
            np.full(shape, tau * dt), np.ones(shape), np.zeros(shape), np.ones(shape), np.zeros(shape)
        )

    a, b, c = CHANNELS
    nodes: dict[str, Any] = {
        "events": nir.Input(np.array([2, SIZE, SIZE])),
        "conv1": convolution(2, a, 5, 4.0, size=SIZE), "lif1": neurons(a),
        "conv2": convolution(a, b, 3, 4.0), "lif2": neurons(b),
        "conv3": convolution(b, c, 3, 4.0, dilation=2), "lif3": neurons(c),
        "readout": convolution(c, joints, 3, 0.5),
        MAP: nir.I(np.full((joints, CELLS, CELLS), 1.0 / dt)),
        "maps": nir.Output(np.array([joints, CELLS, CELLS])),
    }  # fmt: skip
    return nir.NIRGraph(nodes, list(pairwise(nodes)))


class Recurrent(nn.Module):
    """A small GRU beside it: per tick what it adds to the joints (batch, joints, 2) that it starts from, in px."""

    def __init__(self, joints: int, units: int = 96) -> None:
        super().__init__()
        self.pool = nn.Sequential(
            nn.Conv2d(2, 8, 5, 2, 2), nn.ReLU(),
            nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(16, 16, 3, 2, 1), nn.ReLU(),
        )  # fmt: skip
        self.begin = nn.Linear(joints * 2, units)
        self.cell = nn.GRUCell(16 * (SIZE // 8) ** 2 + joints * 2, units)
        self.moved = nn.Linear(units, joints * 2)

    def forward(self, events: Tensor, at: Tensor) -> Tensor:
        """Joints (batch, ticks, joints, 2) after each tick of events (batch, ticks, 2, SIZE, SIZE)."""
        seen = self.pool(events.flatten(0, 1)).flatten(1).unflatten(0, events.shape[:2])
        scaled = (at / SIZE - 0.5).flatten(1)
        state, said = torch.tanh(self.begin(scaled)), []
        for tick in range(events.shape[1]):
            state = self.cell(torch.cat([seen[:, tick], scaled], 1), state)
            scaled = scaled + self.moved(state) * 0.1
            said.append(scaled)
        return (torch.stack(said, 1).unflatten(-1, at.shape[1:]) + 0.5) * SIZE


def parameters(module: nn.Module) -> int:
    """How many numbers a module has."""
    return sum(p.numel() for p in module.parameters())

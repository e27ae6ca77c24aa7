"""What the networks of all tasks are made of: an encoder of events, pieces of a spiking network, a GRU."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import nir
import numpy as np
import torch
from torch import Tensor, nn

from hybrid_control.bench.hand_over.sequences import SIZE
from hybrid_control.snn import Options


def options(dt: float) -> Options:
    """How the SNN runs, in ticks of dt: forward Euler, soft reset, as theirs."""
    return Options(dt=dt, reset="subtract")


def block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Convolution, norm, ReLU."""
    convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class Encoder(nn.Module):
    """From bins of events (batch, bins, 2, SIZE, SIZE) to features at a half, a quarter and an eighth of the size."""

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.first, self.second, self.third = block(2 * bins, 24, 2), block(24, 48, 2), block(48, 64, 2)
        self.deepest = block(64, 64, 1)

    def encoded(self, events: Tensor) -> tuple[Tensor, Tensor]:
        """Features (batch, 48, SIZE / 4, SIZE / 4) and (batch, 64, SIZE / 8, SIZE / 8)."""
        second = self.second(self.first(torch.sqrt(events).flatten(1, 2)))
        return second, self.deepest(self.third(second))


class Reader(nn.Module, ABC):
    """Tells the SNN what is believed, and reads from it what is to be believed after a tick."""

    @abstractmethod
    def told(self, at: Tensor) -> Tensor:
        """What the SNN is told, (..., *input), of what is believed, (..., *shape)."""

    @abstractmethod
    def forward(self, given: Sequence[Tensor], at: Tensor) -> Tensor:
        """What is believed after a tick; given: of the SNN's taps; at: what was believed before."""


class Recurrent(nn.Module):
    """A small GRU: per tick what it adds to the values that it starts from.

    shape: of the values, middle and span: where they lie about, per_second: by how much they change in a second about;
    each a number or (*shape).
    """

    _middle: Tensor
    _span: Tensor
    _per_second: Tensor

    def __init__(
        self, shape: tuple[int, ...], middle: Tensor, span: Tensor, per_second: Tensor, units: int = 96
    ) -> None:
        super().__init__()
        self._shape = shape
        for name, value in (("_middle", middle), ("_span", span), ("_per_second", per_second)):
            self.register_buffer(name, value, persistent=False)
        count = int(np.prod(shape))
        self.pool = nn.Sequential(
            nn.Conv2d(2, 8, 5, 2, 2), nn.ReLU(),
            nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(16, 16, 3, 2, 1), nn.ReLU(),
        )  # fmt: skip
        self.begin = nn.Linear(2 * count, units)
        self.cell = nn.GRUCell(16 * (SIZE // 8) ** 2 + count, units)
        self.moved = nn.Linear(units, count)

    def forward(self, events: Tensor, at: Tensor, moving: Tensor) -> Tensor:
        """Values (batch, ticks, *shape) after each tick of events (batch, ticks, 2, SIZE, SIZE).

        at, moving: (batch, *shape), what is known before, and how it changes in a second.
        """
        seen = self.pool(events.flatten(0, 1)).flatten(1).unflatten(0, events.shape[:2])
        scaled = ((at - self._middle) / self._span).flatten(1)
        known = torch.cat([scaled, (moving / self._per_second).flatten(1)], 1)
        state, said = torch.tanh(self.begin(known)), []
        for tick in range(events.shape[1]):
            state = self.cell(torch.cat([seen[:, tick], scaled], 1), state)
            scaled = scaled + self.moved(state) * 0.1
            said.append(scaled)
        return torch.stack(said, 1).unflatten(-1, self._shape) * self._span + self._middle


def convolution(
    channels: tuple[int, int], kernel: int, gain: float, size: int, draw: np.random.Generator, stride: int = 1
) -> nir.Conv2d:
    """From so many channels of size x size to so many others, weights drawn about 0 by the gain."""
    inputs, outputs = channels
    scale = gain / np.sqrt(inputs * kernel * kernel)
    weight = draw.normal(0.0, scale, (outputs, inputs, kernel, kernel)).astype(np.float32)
    return nir.Conv2d((size, size), weight, stride, kernel // 2, 1, 1, np.zeros(outputs, np.float32))


def neurons(shape: tuple[int, ...], tau: float) -> nir.LIF:
    """LIF neurons of threshold 1."""
    return nir.LIF(np.full(shape, tau), np.ones(shape), np.zeros(shape), np.ones(shape), np.zeros(shape))


def leaky(shape: tuple[int, ...], tau: float, dt: float) -> nir.LI:
    """Leaky integrators to which an input of a tick adds itself."""
    return nir.LI(np.full(shape, tau), np.full(shape, tau / dt), np.zeros(shape))


def time_constant(dt: float) -> float:
    """s, of the membranes as training begins: 10 ms or, as theirs, three ticks where that is more."""
    return max(10e-3, 3 * dt)

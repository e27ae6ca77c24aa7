"""The layers of a network in which every value is linear in what populations of ReLU units and inputs give.

Every value of every layer has a number of its own, so a tensor is an array of numbers (-1 where it is zero), and what
only moves values (Reshape, Slice, Concat, Pad, ...) moves numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Shape = tuple[int, ...]


@dataclass(eq=False)
class Layer:
    """What is the same for all: a name, the shape of what it gives (no batch axis), and the number of its first value.

    macs: the multiply-accumulates that it takes once. from_node: what it was in the file.
    """

    name: str
    shape: Shape
    first: int
    from_node: str = ""
    macs: int = 0

    @property
    def size(self) -> int:
        """How many values it gives."""
        return math.prod(self.shape)

    @property
    def numbers(self) -> Array:
        """The numbers of its values as a tensor, with the batch axis."""
        return np.arange(self.first, self.first + self.size, dtype=np.int64).reshape(1, *self.shape)


@dataclass(eq=False)
class Given(Layer):
    """An input: currents that stand."""

    tensor: str = ""


@dataclass(eq=False)
class Weighted(Layer):
    """Conv: weight (out, in / groups, *kernel), bias (out,). Dense: weight (*rows, out, in), bias (*rows, out)."""

    source: Layer | None = None
    weight: Array = field(default_factory=lambda: np.zeros(0))
    bias: Array = field(default_factory=lambda: np.zeros(0))


@dataclass(eq=False)
class Conv(Weighted):
    """A convolution, over one direction or two; padding (before, after) of each direction."""

    stride: Shape = (1, 1)
    padding: tuple[tuple[int, int], ...] = ((0, 0), (0, 0))
    dilation: Shape = (1, 1)
    groups: int = 1

    def scale(self, gain: Array, offset: Array) -> None:
        """gain y + offset in the place of y; each (channels,)."""
        self.weight = self.weight * gain.reshape(-1, *[1] * (self.weight.ndim - 1))
        self.bias = self.bias * gain + offset


@dataclass(eq=False)
class Dense(Weighted):
    """A product with a matrix, along the last axis."""

    def scale(self, gain: Array, offset: Array) -> None:
        """gain y + offset in the place of y; each of y's shape."""
        self.weight = self.weight * gain[..., None]
        self.bias = self.bias * gain + offset


@dataclass(eq=False)
class Average(Layer):
    """Means over windows of (channels, rows, columns), without padding."""

    source: Layer | None = None
    kernel: Shape = (1, 1)
    stride: Shape = (1, 1)


@dataclass(eq=False)
class Synapses(Layer):
    """Any linear map, one by one: value number `pre` times weight to output `post`; bias (size,) or none."""

    pre: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    post: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    weight: Array = field(default_factory=lambda: np.zeros(0))
    bias: Array = field(default_factory=lambda: np.zeros(0))

    def scale(self, gain: Array, offset: Array) -> None:
        """gain y + offset in the place of y; each (size,)."""
        self.weight = self.weight * gain[self.post]
        self.bias = self.bias * gain + offset


@dataclass(eq=False)
class Sum(Layer):
    """Layers of one shape added up, each times +1 or -1."""

    terms: Sequence[tuple[Layer, int]] = ()


@dataclass(eq=False)
class Spikes(Layer):
    """ReLU units: a population of neurons. cap: the most that they give (ReLU6: 6).

    tensor: where their values are in the file; or, where they are in none, another whose sizes times `times` are as
    large.
    """

    source: Layer | None = None
    cap: float = math.inf
    tensor: str = ""
    times: float = 1.0


def unrolled(numbers: Array, conv: Conv) -> tuple[Array, Array, Array]:
    """The synapses of a convolution over a tensor of numbers (1, channels, *size): pre, post, weight."""
    around = [(0, 0), *conv.padding]
    wide = np.pad(numbers[0], around, constant_values=-1)
    outputs, inner = conv.weight.shape[:2]
    out = conv.shape[1:]
    plane = math.prod(out)
    per_group = outputs // conv.groups
    pre, post, weight = [], [], []
    target = np.arange(outputs)[:, None, None] * plane + np.arange(plane)
    for tap in np.ndindex(*conv.weight.shape[2:]):
        cut = tuple(
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, d, n, s in zip(tap, conv.dilation, out, conv.stride, strict=False)
        )
        seen = wide[(slice(None), *cut)].reshape(conv.groups, inner, plane)
        ids = np.repeat(seen, per_group, axis=0)  # (outputs, inner, plane)
        w = np.broadcast_to(conv.weight[(..., *tap)][:, :, None], ids.shape)
        keep = (ids >= 0) & (w != 0)
        pre.append(ids[keep])
        post.append(np.broadcast_to(target, ids.shape)[keep])
        weight.append(w[keep])
    return np.concatenate(pre), np.concatenate(post), np.concatenate(weight)

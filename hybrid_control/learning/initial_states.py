"""Teaches an ANN the potentials that a spiking ring settles at, so that it can set them instead of waiting for them.

A ring is two populations of n neurons with membrane potentials: one that is driven, and one in which the ring's own
spikes come back to it, which excite one bump and, by global inhibition, silence every other. On a ring nothing depends
on where one begins to count, so every map here is a circular correlation with one kernel,
out_i = sum over c, k of kernel_ck in_c,(i + k) mod n, and all are found by ridge regression in the frequency domain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hybrid_control.snn import Engine

if TYPE_CHECKING:
    import onnx

Array = NDArray[np.float64]

PREFIX = "initial_states/"  # of all that is added to a model
RIDGE = 1e-4  # of a channel's variance
WIDTHS = (1.0, 1.5, 2.0, 3.0, 4.0)  # neurons, standard deviations of the smoothing that are tried
SHARPNESSES = (5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 70.0)  # of the competition, that are tried
HELD_OUT = 0.2  # of the samples: what they say of an error is no answer learnt by heart


def settled(engine: Engine, rows: NDArray[np.float32], populations: Sequence[str], last: int) -> Array:
    """Mean potentials (populations, n) over the last ticks of a run from the engine's initial state.

    rows: (ticks, inputs) as `Engine.advance` takes them.
    """
    engine.reset()
    runs = engine.advance(rows, [(name, "voltage") for name in populations])
    return np.array([run[-last:].mean(axis=0, dtype=np.float64) for run in runs])


@dataclass(frozen=True)
class RingMap:
    """What drives a ring, to the potentials that its two populations settle at.

    driven = drive * inputs; share = softmax(compete * driven); recurrent = answer * share, where * correlates
    circularly. drive: (channels, n); compete, answer: (n,). The softmax is the ring's winner-take-all.
    """

    drive: Array
    compete: Array
    answer: Array

    def __call__(self, inputs: Array) -> Array:
        """Potentials (2, n) of the driven and the recurrent population for inputs (channels, n)."""
        potentials: Array = potentials_of(inputs, self.drive, self.compete, self.answer)
        return potentials


@njit(cache=True, nogil=True)
def potentials_of(inputs: Array, drive: Array, compete: Array, answer: Array) -> Array:
    """What a `RingMap` answers, for compiled code."""
    n = answer.size
    potentials, shares = np.zeros((2, n)), np.zeros(n)
    for i in range(n):
        for channel in range(inputs.shape[0]):
            for k in range(n):
                potentials[0, i] += drive[channel, k] * inputs[channel, (i + k) % n]
    for i in range(n):
        for k in range(n):
            shares[i] += compete[k] * potentials[0, (i + k) % n]
    shares = np.exp(shares - shares.max())
    shares /= shares.sum()
    for i in range(n):
        for k in range(n):
            potentials[1, i] += answer[k] * shares[(i + k) % n]
    return potentials


def softmax(values: Array) -> Array:
    """Shares that add up to 1, as one channel, (..., 1, n), of values (..., n)."""
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    shares: Array = (powers / powers.sum(axis=-1, keepdims=True))[..., None, :]
    return shares


def correlate(inputs: Array, kernel: Array) -> Array:
    """Circular correlation: (..., channels, n) with (channels, n) to (..., n)."""
    product = np.fft.fft(inputs) * np.conj(np.fft.fft(kernel))
    result: Array = np.fft.ifft(product.sum(axis=-2)).real
    return result


def ridge(inputs: Array, outputs: Array) -> Array:
    """The kernel (channels, n) that correlates inputs (k, channels, n) to outputs (k, n) with least squared error."""
    scale = np.sqrt((inputs**2).mean(axis=(0, 2)))
    x, y = np.fft.fft(inputs / scale[:, None]), np.fft.fft(outputs)
    channels, n = inputs.shape[1:]
    spectrum = np.empty((channels, n), complex)
    for f in range(n):
        a = x[:, :, f]
        gram = a.conj().T @ a + RIDGE * len(a) * n * np.eye(channels)
        spectrum[:, f] = np.linalg.solve(gram, a.conj().T @ y[:, f])
    kernel: Array = np.fft.ifft(np.conj(spectrum)).real / scale[:, None]
    return kernel


def fit(inputs: Array, potentials: Array) -> RingMap:
    """The map from inputs (k, channels, n) to the potentials (k, 2, n): the driven population's, the recurrent one's.

    Smoothing and sharpness of the competition are those that leave the least error on samples that were held out.
    """
    k, _, n = inputs.shape
    kept = k - max(1, round(HELD_OUT * k))
    drive = ridge(inputs[:kept], potentials[:kept, 0])
    driven = correlate(inputs, drive)
    apart = np.minimum(np.arange(n), n - np.arange(n))
    best: tuple[float, RingMap] | None = None
    for width in WIDTHS:
        smooth = np.exp(-0.5 * (apart / width) ** 2)
        smooth /= smooth.sum()
        smoothed = correlate(driven[:, None], smooth[None])
        for sharpness in SHARPNESSES:
            shares = softmax(sharpness * smoothed)
            answer = ridge(shares[:kept], potentials[:kept, 1])
            error = float(((correlate(shares[kept:], answer) - potentials[kept:, 1]) ** 2).mean())
            if best is None or error < best[0]:
                best = error, RingMap(drive, sharpness * smooth, answer[0])
    assert best is not None
    return best[1]


class Nodes:
    """Nodes and initializers that are added to an ONNX model, their names beginning with PREFIX."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._count = 0

    def constant(self, name: str, values: Any, dtype: type = np.float32) -> str:
        """An initializer; its name."""
        from onnx import numpy_helper

        self._graph.initializer.append(numpy_helper.from_array(np.asarray(values, dtype), PREFIX + name))
        return PREFIX + name

    def node(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """A node; the name of its output."""
        from onnx import helper

        self._count += 1
        output = output or f"{PREFIX}{self._count}"
        self._graph.node.append(helper.make_node(kind, list(inputs), [output], output, **attributes))
        return output

    def correlate(self, signal: str, name: str, kernel: Array) -> str:
        """A circular correlation of a signal (1, channels, n) with a kernel (channels, n): (1, 1, n)."""
        n = kernel.shape[1]
        bounds = (self.constant(f"{name}_{k}", [at], np.int64) for k, at in enumerate((0, n - 1, 2)))
        head = self.node("Slice", signal, *bounds)
        round_trip = self.node("Concat", signal, head, axis=2)
        return self.node("Conv", round_trip, self.constant(name, kernel[None]))


def append(model: onnx.ModelProto, ring: RingMap, inputs: Sequence[str], outputs: tuple[str, str]) -> None:
    """Add a map to an ONNX model; what it answers otherwise stays the same.

    inputs: names of its tensors (1, n), a channel each; outputs: names of the new ones, (1, n): the driven population's
    and the recurrent one's. ValueError where the model has an output of that name.
    """
    from onnx import TensorProto, helper

    graph = model.graph
    taken = {value.name for value in graph.output} & set(outputs)
    if taken:
        raise ValueError(f"the model has an output {sorted(taken)[0]!r} already; give one that has no initial states")
    nodes = Nodes(graph)
    n = ring.answer.size
    axis, flat = nodes.constant("axis", [1], np.int64), nodes.constant("flat", [1, n], np.int64)
    channels = [nodes.node("Unsqueeze", name, axis) for name in inputs]
    driven = nodes.correlate(nodes.node("Concat", *channels, axis=1), "drive", ring.drive)
    shares = nodes.node("Softmax", nodes.correlate(driven, "compete", ring.compete[None]), axis=2)
    recurrent = nodes.correlate(shares, "answer", ring.answer[None])
    for name, tensor in zip(outputs, (driven, recurrent), strict=True):
        nodes.node("Reshape", tensor, flat, output=name)
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, n]))


def extract(model: onnx.ModelProto) -> RingMap:
    """The map that `append` added to a model; ValueError where there is none."""
    from onnx import numpy_helper

    found = {i.name.removeprefix(PREFIX): i for i in model.graph.initializer if i.name.startswith(PREFIX)}
    if not {"drive", "compete", "answer"} <= found.keys():
        raise ValueError("the model has no initial states; `hybrid-control train states` adds them")
    drive, compete, answer = (
        numpy_helper.to_array(found[name]).astype(np.float64)[0] for name in ("drive", "compete", "answer")
    )
    return RingMap(drive, compete[0], answer[0])

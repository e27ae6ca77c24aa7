"""A spiking forecaster: the series through delayed synapses, neurons that each say whether it is above a threshold.

    dendrite_p(t) = sum over d of v_pd x(t - d)
    spike_pi(t) = dendrite_p(t) > threshold_pi            a LIF neuron with tau = a tick: it keeps nothing
    x(t + 1) = bias + sum of a_d x(t - d) + sum of w_pi spike_pi(t)

The synapses v are trained by surrogate gradients through the mirror, the readout by ridge regression on the spikes.
"""

from __future__ import annotations

from dataclasses import dataclass

import nir
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybrid_control.bench.mackey_glass.series import FORECAST
from hybrid_control.learning.metrics import Meter, Metrics
from hybrid_control.learning.mirror import Mirror
from hybrid_control.learning.surrogates import Surrogate
from hybrid_control.snn import Engine, Network, Options, SparseLinear, Synapses

Array = NDArray[np.float64]

TICK = 1e-3  # s; a point of the series
OPTIONS = Options(dt=TICK)
BUMPS = 20  # of a dendrite: the weights of its neurons are a sum of so many bumps over the thresholds
MARGIN = 0.15  # of the series' range, that thresholds reach beyond it while a dendrite is trained
PIECE, COUNTED = 8, 10  # forecasts in a row that a training's sample has, and a piece that is counted


@dataclass(frozen=True)
class Course:
    """How dendrites are trained. taps: points that each sees. neurons: of each, meanwhile."""

    dendrites: int = 2
    taps: int = 10
    neurons: int = 300
    steps: int = 100
    rate: float = 0.01
    ridge: float = 1e-11


def neurons_on(synapses: Array, thresholds: Array) -> Network:
    """Neurons with thresholds (dendrites, n) on dendrites with synapses (dendrites, taps), a tick for a point."""
    (dendrites, taps), size = synapses.shape, thresholds.size
    net = Network()
    net.add_input("series", 1)
    net.add_population("neurons", nir.LIF, size, tau=TICK, r=1.0, v_threshold=thresholds.reshape(-1))
    net.add("dendrites", _delayed(synapses, np.tile(np.arange(taps), dendrites)))
    net.edge("series", "dendrites")
    owner = np.repeat(np.arange(dendrites), size // dendrites)
    net.connect("dendrites", "neurons", Synapses(owner, np.arange(size), np.ones(size)), name="spread")
    return net


def with_readout(net: Network, weights: Array, skip: Array, bias: float) -> Network:
    """The network that says the next point: weights (neurons,) of the spikes and skip (taps,) of the points."""
    net.add("readout", nir.Affine(weights[None], np.array([bias])))
    net.edge("neurons", "readout")
    net.add("skip", _delayed(skip[None], np.arange(skip.size)))
    net.edge("series", "skip")
    net.add_output("next", "readout")
    net.edge("skip", "next")
    return net


def _delayed(weights: Array, ticks: NDArray[np.int64]) -> SparseLinear:
    """From one value to several, (targets, taps) weights with the delays of `ticks`."""
    targets, taps = weights.shape
    return SparseLinear(
        np.array([targets, 1]),
        np.zeros(targets * taps, np.int64),
        np.repeat(np.arange(targets), taps),
        weights.reshape(-1),
        ticks * TICK,
    )


def windows(values: Array, taps: int) -> Array:
    """(values - taps + 1, taps): at each point it and those before it, newest first."""
    return np.lib.stride_tricks.sliding_window_view(values, taps)[:, ::-1]


def bumps(thresholds: Array, low: Array, high: Array) -> Array:
    """(dendrites, n, BUMPS): what the weight of the neuron at each threshold is, of each coefficient.

    A bump over the range that a dendrite has (low, high, each (dendrites,)), times how far the thresholds are apart:
    so the dendrite's neurons together are the integral of the bumps, however many they are.
    """
    centres = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, BUMPS)
    width = ((high - low) / BUMPS)[:, None, None]
    heights = np.exp(-0.5 * ((thresholds[:, :, None] - centres[:, None]) / width) ** 2)
    return np.asarray(heights * np.gradient(thresholds, axis=1)[:, :, None])


def solve(features: Tensor, targets: Tensor, ridge: float) -> Tensor:
    """Ridge regression: (n, f), (n,) to (f,); with gradients."""
    n, size = features.shape
    square = features.T @ features / n + ridge * torch.eye(size, dtype=features.dtype)
    return torch.linalg.solve(square, features.T @ targets / n)


def _even(low: Array, high: Array, n: int) -> Array:
    """n thresholds for each dendrite, evenly from low to high."""
    return np.asarray(low[:, None] + (high - low)[:, None] * np.linspace(0, 1, n))


class Learner:
    """Learns from a stretch of the series, (points,): all but the last are inputs, those from `taps` on are targets."""

    def __init__(self, values: Array, course: Course = Course()) -> None:
        self.values, self.course = values, course
        self.seen = windows(values[:-1], course.taps)
        self.targets = torch.from_numpy(values[course.taps :].copy())

    def _start(self) -> Array:
        """Each dendrite from the one delay that, with those chosen before, explains most."""
        chosen: list[int] = []
        for _ in range(self.course.dendrites):
            errors = {}
            for tap in sorted(set(range(self.course.taps)) - set(chosen)):
                synapses = np.eye(self.course.taps)[[*chosen, tap]]
                seen = self.seen @ synapses.T
                low, high = seen.min(0), seen.max(0)
                thresholds = _even(low, high, self.course.neurons)
                spikes = torch.from_numpy(
                    (seen[:, :, None] > thresholds).astype(float).reshape(len(seen), -1)
                )
                errors[tap] = float(self._residual(spikes, bumps(thresholds, low, high)).square().mean())
            chosen.append(min(errors, key=lambda tap: errors[tap]))
        return np.eye(self.course.taps)[chosen]

    def _features(self, spikes: Tensor, basis: Array, seen: Tensor) -> Tensor:
        """A constant, the points themselves, and the spikes (n, neurons) by the bumps."""
        block = torch.block_diag(*torch.from_numpy(basis))
        return torch.cat([torch.ones(len(seen), 1, dtype=torch.float64), seen, spikes.double() @ block], 1)

    def _residual(self, spikes: Tensor, basis: Array) -> Tensor:
        features = self._features(spikes, basis, torch.from_numpy(self.seen.copy()))
        return features @ solve(features, self.targets, self.course.ridge) - self.targets

    def dendrites(self) -> Array:
        """Synapses (dendrites, taps), by gradients through the mirror's spikes, the readout solved anew each time."""
        synapses = self._start()
        course, values = self.course, self.values[:-1]
        reach = MARGIN * (values.max() - values.min())
        low, high = (
            np.full(course.dendrites, limit) for limit in (values.min() - reach, values.max() + reach)
        )
        thresholds = _even(low, high, course.neurons)
        net = neurons_on(synapses, thresholds)
        net.add_output("spikes", "neurons")
        apart = float(thresholds[0, 1] - thresholds[0, 0])
        surrogate = Surrogate("atan", 1.0 / (2.0 * apart))
        mirror = Mirror(net, OPTIONS, frozen=("spread",), surrogate=surrogate)
        optimiser = torch.optim.Adam(mirror.parameters(), course.rate)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, course.steps)
        before = course.taps - 1
        whole = (len(values) - before) // PIECE * PIECE  # the oldest that fill no piece are left out
        x = torch.from_numpy(values[-whole - before :].copy()).unfold(0, PIECE + before, PIECE)
        seen, targets = torch.from_numpy(self.seen[-whole:].copy()), self.targets[-whole:]
        basis = bumps(thresholds, low, high)
        for _ in range(course.steps):
            (spikes,), _ = mirror(x[:, :, None])
            features = self._features(spikes[:, before:].flatten(0, 1), basis, seen)
            loss = (features @ solve(features, targets, course.ridge) - targets).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            falling.step()
        return np.asarray(mirror.numbers.exact("dendrites", "weight"), np.float64).reshape(synapses.shape)

    def read_out(self, synapses: Array, neurons: int) -> Network:
        """A forecaster of so many neurons on these dendrites; ridge regression on the engine's spikes."""
        seen = self.seen @ synapses.T
        low, high = seen.min(0), seen.max(0)
        thresholds = _even(low, high, neurons // len(synapses))
        taps = self.course.taps
        net = neurons_on(synapses, thresholds)
        net.add_output("spikes", "neurons")
        spikes = Engine.load(net, OPTIONS).run(self.values[:-1, None])[taps - 1 :]
        basis, points = bumps(thresholds, low, high), torch.from_numpy(self.seen.copy())
        features = self._features(torch.from_numpy(np.asarray(spikes)), basis, points)
        found = solve(features, self.targets, self.course.ridge).numpy()
        coefficients = found[1 + taps :].reshape(-1, BUMPS)
        weights = np.einsum("pnk,pk->pn", basis, coefficients).reshape(-1)
        return with_readout(neurons_on(synapses, thresholds), weights, found[1 : 1 + taps], float(found[0]))


def forecast(network: Network, learned: Array) -> Array:
    """(750,): after the stretch that was learned from, with the last point as the first input, from its own output."""
    engine = Engine.load(network, OPTIONS)
    engine.run(learned[:-1, None])
    found, value = np.full(FORECAST, np.nan), float(learned[-1])
    for i in range(FORECAST):
        value = float(engine.step(np.array([value], engine.dtype))[0])
        if not np.isfinite(value):
            break
        found[i] = value
    return found


def counted(network: Network, learned: Array, found: Array, taps: int) -> Metrics:
    """NeuroBench's metrics of a forecast by a network that remembers `taps` points; a sample is a forecast.

    It is run in pieces side by side, each after the points that the network remembers. AssertionError where the mirror,
    which counts, then gives another forecast than the engine did.
    """
    meter = Meter(network, OPTIONS)
    inputs = np.concatenate([learned[-1 - taps :], found[:-1]]).astype(np.float32)
    x = torch.from_numpy(inputs).unfold(0, taps + COUNTED, COUNTED)[:, :, None]
    _, state = meter(x[:, :taps])
    meter.clear()
    (given,), _ = meter(x[:, taps:], state)
    np.testing.assert_array_equal(given.numpy().reshape(-1), found.astype(np.float32))
    return meter.metrics(FORECAST)

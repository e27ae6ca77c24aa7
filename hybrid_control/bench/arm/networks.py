"""The arm's ANNs, made by code: one hidden layer of drawn features, fitted by least squares.

y = W2 tanh(W1 x + b), W1 and b drawn, W2 by ridge regression (A. Rahimi, B. Recht, "Weighted sums of random kitchen
sinks", NIPS 2008).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.bench.arm.plant import TORQUE, Body, angles, coriolis, inertia, weight

Array = NDArray[Any]
MODEL = Body()  # what the networks know of the arm: it without a load
MIDDLE = angles(np.array([0.38, 0.0]))
POSTURE = inertia(MIDDLE, MODEL)
STIFFNESS_ANN, STIFFNESS_SNN, DAMPING = (
    12.0,
    27.0,
    0.9,
)  # rad/s, rad/s, of the critical; by seeds 1000 .. 1003
AHEAD = 0.03  # s, by which the ANN's senses are old when half of its command's time is over
RANDOM = 15


def places(n: int, seed: int) -> Array:
    """Targets as they are met, (n, 2) m."""
    rng = np.random.default_rng([seed, RANDOM])
    angle, r = rng.uniform(-1.1, 1.1, n), rng.uniform(0.18, 0.57, n)
    return np.stack([r * np.cos(angle), r * np.sin(angle)], axis=-1)


@cache
def linear_angles() -> tuple[Array, Array]:
    """The best affine inverse kinematics, q = A x + b: (2, 2) and (2,)."""
    return _affine(places(4000, 1), angles(places(4000, 1)))


@cache
def linear_weight() -> tuple[Array, Array]:
    """The best affine model of the torques that hold the arm, G = A q + b."""
    q = angles(places(4000, 1))
    return _affine(q, weight(q, MODEL))


def _affine(x: Array, y: Array) -> tuple[Array, Array]:
    solved = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), y, rcond=None)[0]
    return solved[:-1].T, solved[-1]


@dataclass(frozen=True)
class Features:
    """A model for `AnnPart`: one hidden layer, its outputs cut into named pieces.

    inner (h, n), bias (h,), outer (m, h + 1): the last column is the output's own bias. scale (n,): of the inputs.
    """

    name: str
    inner: Array
    bias: Array
    outer: Array
    scale: Array
    outputs: Mapping[str, tuple[int, ...]]

    @property
    def inputs(self) -> Mapping[str, tuple[int, ...]]:
        """One vector."""
        return {self.name: (self.inner.shape[1],)}

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference; biases and the scale, which W1 could hold, are not counted."""
        return self.inner.size + self.outer[:, :-1].size

    def __call__(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Outputs by name."""
        y = self.many(np.asarray(inputs[self.name])[None])[0]
        ends = np.cumsum([shape[0] for shape in self.outputs.values()])
        return dict(zip(self.outputs, np.split(y, ends[:-1]), strict=True))

    def many(self, x: Array) -> Array:
        """(k, n) to (k, m)."""
        hidden = np.tanh((x * self.scale) @ self.inner.T + self.bias)
        return hidden @ self.outer[:, :-1].T + self.outer[:, -1]

    @classmethod
    def fit(cls, name: str, x: Array, y: Array, neurons: int, outputs: Mapping[str, int]) -> Features:
        """Ridge regression on drawn features; x (k, n), y (k, m)."""
        rng = np.random.default_rng([RANDOM, neurons])
        scale = 1.0 / x.std(axis=0)
        inner = rng.standard_normal((neurons, x.shape[1])) * rng.uniform(0.2, 1.2, (neurons, 1))
        shapes = {key: (size,) for key, size in outputs.items()}
        model = cls(
            name, inner, rng.uniform(-2.0, 2.0, neurons), np.zeros((0, 0)), scale / x.shape[1] ** 0.5, shapes
        )
        hidden = np.column_stack([np.tanh((x * model.scale) @ inner.T + model.bias), np.ones(len(x))])
        outer = np.linalg.solve(hidden.T @ hidden + 1e-4 * np.eye(neurons + 1), hidden.T @ y).T
        return cls(name, inner, model.bias, outer, model.scale, shapes)


def computed_torque(senses: Array, stiffness: float, ahead: float = 0.0) -> Array:
    """The teacher, (k, 6) to (k, 2): M(q) (w^2 (q_target - q) - 2 z w q') + C + G, within what the motors give.

    q is where the arm will be `ahead` seconds after it was measured, if its velocity stays.
    """
    x, v = senses[:, :2], senses[:, 4:]
    q = senses[:, 2:4] + ahead * v
    wanted = stiffness**2 * (angles(x) - q) - 2 * DAMPING * stiffness * v
    torque = np.einsum("kij,kj->ki", inertia(q, MODEL), wanted)
    return np.clip(torque + coriolis(q, v, MODEL) + weight(q, MODEL), -TORQUE, TORQUE)


def situations(n: int, seed: int) -> Array:
    """Senses as they are met, (n, 6): half of them near the target."""
    rng = np.random.default_rng([seed, RANDOM, 6])
    x, q = places(n, seed), angles(places(n, seed + 100))
    near = rng.random(n) < 0.6
    q[near] = (angles(x) + rng.normal(0.0, 0.12, (n, 2)))[near]
    return np.column_stack([x, q, rng.normal(0.0, 1.5, (n, 2))])


@cache
def policy(stiffness: float = STIFFNESS_ANN, ahead: float = AHEAD, neurons: int = 1024) -> Features:
    """The whole control in one ANN: senses to torque, and confidence: 1 at rest, 1/2 at 1 rad/s.

    What it says holds for tens of milliseconds, in which a fast arm is elsewhere.
    """
    x = situations(8000, 2)
    sure = 1.0 / (1.0 + (x[:, 4:] ** 2).sum(axis=1, keepdims=True))
    y = np.hstack([computed_torque(x, stiffness, ahead), sure])
    return Features.fit("senses", x, y, neurons, {"torque": 2, "confidence": 1})


def goals(x: Array) -> Array:
    """For targets (k, 2): the angles, and what holds the arm there over the affine model's, (k, 4)."""
    q = angles(x)
    slope, level = linear_weight()
    return np.hstack([q, weight(q, MODEL) - (q @ slope.T + level)])


@cache
def kinematics(neurons: int = 192) -> Features:
    """The slow knowledge alone: senses to the target's angles and the torques that hold the arm there.

    goal: angles, and torques over the affine model's; offset: the same without what is affine in the target, which a
    servo can have by itself.
    """
    x = places(4000, 3)
    y = goals(x)
    A, b = linear_angles()
    y = np.hstack([y, y])
    y[:, 4:6] -= x @ A.T + b
    return Features.fit("target", x, y, neurons, {"goal": 4, "offset": 4})


def only(model: Features, *names: str) -> Features:
    """A model with some of its outputs alone."""
    ends = np.cumsum([0, *(shape[0] for shape in model.outputs.values())])
    place = {name: slice(a, b) for name, a, b in zip(model.outputs, ends, ends[1:], strict=False)}
    outer = np.vstack([model.outer[place[name]] for name in names])
    shapes = {name: model.outputs[name] for name in names}
    return Features(model.name, model.inner, model.bias, outer, model.scale, shapes)

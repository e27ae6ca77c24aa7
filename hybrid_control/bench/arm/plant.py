"""An arm of two joints in a vertical plane, driven by torques: kinematics, dynamics, and the task.

Equations of motion M(q) q'' + C(q, q') + G(q) + d q' = torque of two links, from M. W. Spong, S. Hutchinson, M.
Vidyasagar, "Robot modeling and control", 2006, section 7.3.2, with a point mass in the hand. Angles in rad: the first
from the horizontal, the second from the first link; lengths in m, torques in N m.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]
LINK = 0.3  # m, both
MASS = (1.0, 0.8)  # kg; each link's centre of mass is in its middle
INERTIA = tuple(m * LINK**2 / 12 for m in MASS)  # of a slender rod about its middle
TORQUE = np.array([16.0, 7.0])  # N m, the most that the motors give
ELBOW = (0.15, 2.75)  # rad, mechanical stops
STOP = (200.0, 2.0)  # N m/rad, N m s/rad: what a stop pushes back with
SETTLED, SLOT = 0.02, 1.0  # m: at a target; s: for each target
REST, REACHES, SWING = 0.5, 4, 4.0  # s, targets, s: the parts of an episode
DURATION = REST + REACHES * SLOT + SWING
PUSH = (3.0, 0.06)  # N m at the shoulder, s


@dataclass(frozen=True)
class Body:
    """What differs between arms: the load in the hand in kg, damping in N m s/rad, gravity in m/s^2."""

    load: float = 0.0
    damping: float = 0.05
    gravity: float = 9.81

    @property
    def constants(self) -> Array:
        """a, b, c of M = [[a + b + 2 c cos q2, b + c cos q2], [b + c cos q2, b]], g1, g2, damping; (6,)."""
        (m1, m2), (i1, i2), half, load = MASS, INERTIA, LINK / 2, self.load
        a = m1 * half**2 + i1 + (m2 + load) * LINK**2
        b = m2 * half**2 + i2 + load * LINK**2
        c = (m2 * half + load * LINK) * LINK
        g1 = self.gravity * (m1 * half + (m2 + load) * LINK)
        g2 = self.gravity * (m2 * half + load * LINK)
        return np.array([a, b, c, g1, g2, self.damping])


def hand(q: Array) -> Array:
    """Where the hand is, (..., 2) m, for angles (..., 2)."""
    both = q[..., 0] + q[..., 1]
    x = LINK * (np.cos(q[..., 0]) + np.cos(both))
    return np.stack([x, LINK * (np.sin(q[..., 0]) + np.sin(both))], axis=-1)


def angles(x: Array) -> Array:
    """The angles (..., 2), elbow bent up, at which the hand is at (..., 2); outside of its reach, the nearest."""
    r2 = (x**2).sum(axis=-1)
    cosine = np.clip(r2 / (2 * LINK**2) - 1.0, math.cos(ELBOW[1]), math.cos(ELBOW[0]))
    q2 = np.arccos(cosine)
    return np.stack([np.arctan2(x[..., 1], x[..., 0]) - q2 / 2, q2], axis=-1)  # links of one length


def inertia(q: Array, body: Body) -> Array:
    """M(q), (..., 2, 2) kg m^2."""
    a, b, c, *_ = body.constants
    cosine = np.cos(q[..., 1])
    off = b + c * cosine
    return np.stack(
        [np.stack([a + off + c * cosine, off], -1), np.stack([off, np.full_like(off, b)], -1)], -2
    )


def weight(q: Array, body: Body) -> Array:
    """G(q), (..., 2) N m: the torques that hold the arm."""
    *_, g1, g2, _ = body.constants
    lower = g2 * np.cos(q[..., 0] + q[..., 1])
    return np.stack([g1 * np.cos(q[..., 0]) + lower, lower], axis=-1)


def coriolis(q: Array, v: Array, body: Body) -> Array:
    """C(q, q'), (..., 2) N m."""
    h = body.constants[2] * np.sin(q[..., 1])
    return np.stack([-h * v[..., 1] * (2 * v[..., 0] + v[..., 1]), h * v[..., 0] ** 2], axis=-1)


def energy(state: Array, body: Body) -> float:
    """Kinetic and potential, J, of (q1, q2, q1', q2')."""
    q, v = state[:2], state[2:]
    *_, g1, g2, _ = body.constants
    return float(0.5 * v @ inertia(q, body) @ v + g1 * math.sin(q[0]) + g2 * math.sin(q[0] + q[1]))


@njit(cache=True)
def _rates(s: Any, torque: Any, k: Any, low: float, high: float, stiff: float, soft: float) -> Any:
    a, b, c, g1, g2, damping = k
    cosine, h, lower = math.cos(s[1]), c * math.sin(s[1]), g2 * math.cos(s[0] + s[1])
    stop = 0.0
    if s[1] < low:
        stop = stiff * (low - s[1]) - soft * s[3]
    elif s[1] > high:
        stop = stiff * (high - s[1]) - soft * s[3]
    t1 = torque[0] + h * s[3] * (2 * s[2] + s[3]) - g1 * math.cos(s[0]) - lower - damping * s[2]
    t2 = torque[1] - h * s[2] ** 2 - lower - damping * s[3] + stop
    m12 = b + c * cosine
    m11 = a + m12 + c * cosine
    det = m11 * b - m12 * m12
    return np.array([s[2], s[3], (b * t1 - m12 * t2) / det, (m11 * t2 - m12 * t1) / det])


@njit(cache=True)
def advance(s: Any, torque: Any, k: Any, dt: float, steps: int, stops: Any) -> Any:
    """The state (4,) after dt seconds under a torque that holds, by `steps` Runge-Kutta steps of fourth order.

    k: `Body.constants`; stops: low, high, stiffness and damping of the elbow's stops.
    """
    h = dt / steps
    low, high, stiff, soft = stops
    for _ in range(steps):
        k1 = _rates(s, torque, k, low, high, stiff, soft)
        k2 = _rates(s + h / 2 * k1, torque, k, low, high, stiff, soft)
        k3 = _rates(s + h / 2 * k2, torque, k, low, high, stiff, soft)
        k4 = _rates(s + h * k3, torque, k, low, high, stiff, soft)
        s = s + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return s


STOPS = np.array([*ELBOW, *STOP])


@dataclass(frozen=True)
class Task:
    """What a seed draws: targets to reach (REACHES + 1, 2), a path to track, a load, and when a push comes."""

    targets: Array
    centre: Array
    size: Array
    periods: Array
    load: float
    push_at: float
    push: float

    @classmethod
    def of(cls, seed: int) -> Task:
        """By seed: targets 0.22 .. 0.54 m from the shoulder, at least 0.12 m from the one before."""
        rng = np.random.default_rng([seed, 15])
        targets = [_place(rng)]
        while len(targets) < REACHES + 1:
            place = _place(rng)
            if np.linalg.norm(place - targets[-1]) >= 0.12:
                targets.append(place)
        angle, r = rng.uniform(-0.6, 0.6), rng.uniform(0.34, 0.42)
        return cls(
            targets=np.array(targets),
            centre=np.array([r * math.cos(angle), r * math.sin(angle)]),
            size=rng.uniform(0.06, 0.11, 2),
            periods=rng.uniform(1.6, 2.6, 2),
            load=float(rng.uniform(0.0, 0.3)),
            push_at=REST + REACHES * SLOT + float(rng.uniform(1.5, 3.0)),
            push=float(rng.choice([-1.0, 1.0]) * PUSH[0]),
        )

    def target(self, t: Array) -> Array:
        """Where the hand should be at times (n,) s, (n, 2) m: targets for SLOT s each, then a closed path."""
        slot = np.clip(np.floor((t - REST) / SLOT + 1e-9).astype(int) + 1, 0, REACHES)
        phase = 2 * np.pi * (t - REST - REACHES * SLOT)[:, None] / self.periods
        swing = self.centre + self.size * np.stack([np.cos(phase[:, 0]), np.sin(phase[:, 1])], axis=-1)
        return np.where((t < REST + REACHES * SLOT - 1e-9)[:, None], self.targets[slot], swing)


def _place(rng: np.random.Generator) -> Array:
    angle, r = rng.uniform(-1.0, 1.0), rng.uniform(0.22, 0.54)
    return np.array([r * math.cos(angle), r * math.sin(angle)])


# The arm's state: steps since the start, what moves (4), its constants (6), its task, and the noise of each step.
_MOVES, _CONSTANTS, _TARGETS = 1, 5, 11
_PATH = _TARGETS + 2 * (REACHES + 1)  # centre (2), size (2), periods (2)
_PUSH, _NOISE = _PATH + 6, _PATH + 8  # when and how strong; rows of 4
NOISE = np.array([0.002, 0.002, 0.02, 0.02])  # standard deviations: rad, rad, rad/s, rad/s


@njit(cache=True)
def _wanted(task: Any, t: float, place: Any) -> None:
    """As `Task.target` for one time; task: the arm's state."""
    path = t - REST - REACHES * SLOT
    if t < REST + REACHES * SLOT - 1e-9:
        slot = min(max(math.floor((t - REST) / SLOT + 1e-9) + 1, 0), REACHES)
        place[0], place[1] = task[_TARGETS + 2 * slot], task[_TARGETS + 2 * slot + 1]
    else:
        place[0] = task[_PATH] + task[_PATH + 2] * math.cos(2 * math.pi * path / task[_PATH + 4])
        place[1] = task[_PATH + 1] + task[_PATH + 3] * math.sin(2 * math.pi * path / task[_PATH + 5])


@njit(cache=True)
def _step(state: Any, inputs: Any, outputs: Any, dt: float) -> None:
    """What is measured now; then dt seconds under the torque. outputs: senses (6), hand (2), target (2), elbow."""
    step, moves = int(state[0]), state[_MOVES:_CONSTANTS]
    time, both = step * dt, moves[0] + moves[1]
    noise = _NOISE + 4 * (step % ((state.size - _NOISE) // 4))
    _wanted(state, time, outputs[8:10])
    outputs[0], outputs[1] = outputs[8], outputs[9]
    for i in range(4):
        outputs[2 + i] = moves[i] + state[noise + i]
    outputs[6] = LINK * (math.cos(moves[0]) + math.cos(both))
    outputs[7] = LINK * (math.sin(moves[0]) + math.sin(both))
    outputs[10] = 0.0 if ELBOW[0] <= moves[1] <= ELBOW[1] else 1.0
    torque = np.minimum(np.maximum(inputs, -TORQUE), TORQUE)
    if state[_PUSH] <= time < state[_PUSH] + PUSH[1]:
        torque[0] += state[_PUSH + 1]
    moves[:] = advance(moves, torque, state[_CONSTANTS:_TARGETS], dt, 1, STOPS)
    state[0] += 1.0


class Arm:
    """The plant, compiled: takes torques (2,), gives what its sensors say and what is true.

    senses: target (2) m, angles (2) rad, velocities (2) rad/s, with noise on the last four (NOISE), which begins anew
    after DURATION of steps of 1 ms. hand, target: (2,) m, true; elbow: whether it is against a stop.
    """

    inputs: Mapping[str, tuple[int, ...]] = {"torque": (2,)}
    outputs: Mapping[str, tuple[int, ...]] = {"senses": (6,), "hand": (2,), "target": (2,), "elbow": (1,)}
    kernel = staticmethod(_step)

    def __init__(self, task: Task) -> None:
        self.task = task

    def start(self, seed: int) -> Array:
        """At rest at the first target; the seed is of the noise."""
        task = self.task
        noise = NOISE * np.random.default_rng(seed).standard_normal((round(DURATION * 1000), 4))
        return np.concatenate([
            [0.0], angles(task.targets[0]), np.zeros(2), Body(load=task.load).constants, task.targets.ravel(),
            task.centre, task.size, task.periods, [task.push_at, task.push], noise.ravel(),
        ])  # fmt: skip


@njit(cache=True)
def _sense(state: Any, inputs: Any, outputs: Any, dt: float) -> None:
    outputs[:6], outputs[6:] = inputs, inputs[:2]


class Sensor:
    """What passes the arm's senses on at a rate of its own: all of them, and the target alone, (2,) m."""

    inputs: Mapping[str, tuple[int, ...]] = {"senses": (6,)}
    outputs: Mapping[str, tuple[int, ...]] = {"senses": (6,), "target": (2,)}
    kernel = staticmethod(_sense)

    def start(self, seed: int) -> Array:
        """It has no memory."""
        return np.zeros(0)

"""An arm that moves before an event camera: what it does, what the camera says of it, and where its joints are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hybrid_control.bench.hand_over.sequences import SIZE, STEP, Sequence, rows
from hybrid_control.sim.events import EventCamera, EventPixels

Array = NDArray[Any]

LENGTH = (22.0, 27.0)  # px, of all links together
FREQUENCY = (0.4, 1.6)  # Hz of the sines that a joint's angle is made of, before the speed is set
BEND = 1.9  # rad, by how much a link may be turned against the one before
STOPS = 0.3  # of the sequences stand still for a while


@dataclass(frozen=True)
class Pace:
    """fastest: px/s, of the fastest joint at its fastest, about; stop: s that it may stand still; ramp: s,
    to stand and to move again. Each pair: from, to."""

    fastest: tuple[float, float]
    stop: tuple[float, float]
    ramp: float


@njit(cache=True, nogil=True)
def _render(joints, base, radii, shades, ground, frame):  # type: ignore[no-untyped-def]
    """Links as capsules with edges a pixel wide, later ones before earlier ones."""
    frame[:] = ground
    x0, y0 = base
    for k in range(joints.shape[0]):
        x1, y1 = joints[k]
        dx, dy = x1 - x0, y1 - y0
        square = max(dx * dx + dy * dy, 1e-9)
        reach = radii[k] + 1.0
        top, bottom = max(0, int(min(y0, y1) - reach)), min(frame.shape[0], int(max(y0, y1) + reach) + 2)
        left, right = max(0, int(min(x0, x1) - reach)), min(frame.shape[1], int(max(x0, x1) + reach) + 2)
        for y in range(top, bottom):
            for x in range(left, right):
                along = ((x - x0) * dx + (y - y0) * dy) / square
                along = min(max(along, 0.0), 1.0)
                away = math.hypot(x - x0 - along * dx, y - y0 - along * dy)
                covered = min(max(0.5 + radii[k] - away, 0.0), 1.0)
                frame[y, x] += covered * (shades[k] - frame[y, x])
        x0, y0 = x1, y1


def _moving(steps: int, pace: Pace, draw: np.random.Generator) -> Array:
    """How fast motion goes on in each step, 0 .. 1: 1 but for a stop, where there is one."""
    rate = np.ones(steps)
    if draw.random() < STOPS:
        length = draw.uniform(*pace.stop)
        begin = draw.uniform(0.0, steps * STEP)
        t = (np.arange(steps) + 0.5) * STEP
        outside = np.maximum(begin - t, t - begin - length)
        rate = np.clip(outside / pace.ramp, 0.0, 1.0)
        rate = rate * rate * (3.0 - 2.0 * rate)
    return rate


def motion(links: int, steps: int, pace: Pace, draw: np.random.Generator) -> tuple[Array, Array]:
    """Where the base (2,) and the ends of the links (steps + 1, links, 2) are, in px, of a sequence drawn at random."""
    share = draw.uniform(0.7, 1.3, links)
    lengths = draw.uniform(*LENGTH) * share / share.sum()
    base = SIZE / 2 + draw.uniform(-3.0, 3.0, 2)
    frequencies, phases = draw.uniform(*FREQUENCY, (2, links)), draw.uniform(0.0, 2 * math.pi, (2, links))
    swing = draw.uniform(0.4, 1.0, (2, links))
    swing *= np.where(np.arange(links), BEND, math.pi) / swing.sum(axis=0)
    first = np.where(np.arange(links), 0.0, draw.uniform(-math.pi, math.pi))

    def ends(times: Array) -> Array:
        waves = np.sin(2 * math.pi * frequencies * times[:, None, None] + phases)
        angles = np.cumsum(first + (swing * waves).sum(axis=1), axis=1)
        along = lengths[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        return np.asarray(base + np.cumsum(along, axis=1))

    rate = _moving(steps, pace, draw)
    wanted, slow = draw.uniform(*pace.fastest), 1.0
    for _ in range(12):  # the speed depends on which part of the motion falls within the sequence
        times = slow * np.concatenate([[0.0], np.cumsum(rate)]) * STEP
        joints = ends(times)
        fastest = np.linalg.norm(np.diff(joints, axis=0), axis=-1).max() / STEP
        slow *= math.sqrt(wanted / max(fastest, 1e-6))
    return base, joints


def sequence(links: int, steps: int, pace: Pace, seed: int) -> Sequence:
    """A sequence of so many steps of STEP, by its seed; truth: (steps, links, 2) px, x and y of the links' ends."""
    draw = np.random.default_rng([seed, links])
    base, joints = motion(links, steps, pace, draw)
    radii = np.linspace(2.6, 1.6, links) * draw.uniform(0.85, 1.15)
    ground, shades = draw.uniform(0.03, 0.15), draw.uniform(0.35, 1.0, links)
    camera = EventCamera(SIZE, SIZE, EventPixels(), seed=seed)
    frame = np.empty((SIZE, SIZE))
    said = []
    for step in range(steps + 1):
        _render(joints[step], base, radii, shades, ground, frame)
        events = camera.put(frame, step * round(STEP * 1e9))
        said.append(rows(events, max(step - 1, 0)))
    return Sequence(joints[1:].astype(np.float32), np.concatenate(said))

"""Makers of worlds in which others move too: across the way, along it, out of aisles, and after the robot."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from hybrid_control.signals import Pose
from hybrid_control.sim.worlds.movers import Mover
from hybrid_control.sim.worlds.scatter import scatter
from hybrid_control.sim.worlds.world import World

LENGTH, HALF = 10.0, 3.5  # m of the way from start to goal, and of the ground on either side
BOUNDS = (-1.5, -4.5, LENGTH + 1.5, 4.5)
PERSON = 0.25  # m
NOSE = 0.254  # m from the robot's middle, a Jackal's
SLOWEST = 0.4  # share of the speed asked for


def _world(name: str, rng: Generator, obstacles: int, movers: Sequence[Mover], free: float = 0.0) -> World:
    """The ground, with pillars that keep `free` m off the straight way."""
    pillars: list[tuple[float, float, float]] = []
    while len(pillars) < obstacles:
        drawn = scatter(rng, 1, (1.5, -3.0, LENGTH - 1.5, 3.0), (0.10, 0.20), 0.9, pillars)
        if not drawn:
            raise ValueError(f"{obstacles} obstacles do not fit")
        if abs(drawn[0][1]) >= free:
            pillars += drawn
    return World(name, Pose(), (LENGTH, 0.0), BOUNDS, np.array(pillars), movers=tuple(movers))


def _speed(rng: Generator, fastest: float) -> float:
    return float(rng.uniform(SLOWEST, 1.0) * fastest)


def _across(rng: Generator, x: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Ends of a way across the robot's, which it meets in the middle."""
    lean = rng.uniform(-1.0, 1.0)
    return (float(x - lean), -HALF), (float(x + lean), HALF)


def crossing(rng: Generator, movers: int = 5, speed: float = 1.0, obstacles: int = 12) -> World:
    """Pillars, and `movers` pedestrians who walk across the way at up to `speed` m/s."""
    circles = scatter(rng, obstacles, (1.5, -3.0, 8.5, 3.0), (0.10, 0.20), 0.9)
    walking = []
    for x in np.linspace(2.0, 8.5, movers):
        a, b = _across(rng, x)
        walking.append(Mover(PERSON, a, b, _speed(rng, speed), float(rng.random())))
    return World("crossing", Pose(), (LENGTH, 0.0), BOUNDS, np.array(circles), movers=tuple(walking))


def stopping(rng: Generator, movers: int = 4, speed: float = 1.5, obstacles: int = 8) -> World:
    """Pedestrians who walk across the way and stand still in the middle of it for 1 to 4 s."""
    walking = []
    for x in np.linspace(2.5, 8.5, movers):
        a, b = _across(rng, x)
        pause = float(rng.uniform(1.0, 4.0))
        walking.append(Mover(PERSON, a, b, _speed(rng, speed), float(rng.random()), pause=pause))
    return _world("stopping", rng, obstacles, walking)


def headon(rng: Generator, movers: int = 4, speed: float = 1.5, obstacles: int = 8) -> World:
    """Pedestrians who come along the way from the goal and do not step aside."""
    walking = []
    for k in range(movers):
        y, far = rng.uniform(-0.4, 0.4, 2)
        a, b = (float(LENGTH - 2.0 + 4.0 * k), float(far)), (-4.0 - k, float(y))
        walking.append(Mover(PERSON, a, b, _speed(rng, speed), kind="once"))
    return _world("headon", rng, obstacles, walking, free=1.4)


def chasing(rng: Generator, movers: int = 3, speed: float = 1.5, obstacles: int = 8) -> World:
    """Some who stand beside the way, and come after the robot as it passes, 2 to 4 m far, but not to its goal."""
    after = []
    for k, x in enumerate(np.linspace(3.0, 7.5, movers)):
        a = (float(x + rng.uniform(-0.5, 0.5)), float(rng.uniform(1.5, 2.5) * (1 - 2 * (k % 2))))
        most = math.dist(a, (LENGTH, 0.0)) - 1.0
        turn, leash = rng.uniform(-math.pi, math.pi), min(rng.uniform(2.0, 4.0), most)
        b = (float(a[0] + leash * math.cos(turn)), float(a[1] + leash * math.sin(turn)))
        trigger = float(rng.uniform(1.0, 3.0))
        after.append(Mover(PERSON, a, b, _speed(rng, speed), kind="chase", trigger=trigger))
    return _world("chasing", rng, obstacles, after)


def stepping(
    rng: Generator, movers: int = 3, speed: float = 1.5, nearest: float = 0.8, farthest: float = 2.0
) -> World:
    """A lane between shelves with aisles, out of which somebody steps across when the robot's nose is `nearest` to
    `farthest` m before it."""
    half, deep, aisle = float(rng.uniform(0.9, 1.3)), 0.8, 0.45
    xs = np.linspace(2.5, 8.0, movers) + rng.uniform(-0.4, 0.4, movers)
    edges = [0.8, *(float(x + s * aisle) for x in xs for s in (-1, 1)), LENGTH - 1.0]
    boxes = [
        ((x1 + x2) / 2, side * (half + deep / 2), x2 - x1, deep, 0.0)
        for x1, x2 in zip(edges[::2], edges[1::2], strict=True)
        for side in (-1.0, 1.0)
    ]
    out = []
    for x in xs.tolist():
        end = float(rng.choice((-1.0, 1.0))) * (half + 0.5 * deep)
        ahead = float(rng.uniform(nearest, farthest))
        out.append(
            Mover(PERSON, (x, end), (x, -end), _speed(rng, speed), kind="once", trigger=NOSE + PERSON + ahead)
        )
    return World("stepping", Pose(), (LENGTH, 0.0), BOUNDS, boxes=np.array(boxes), movers=tuple(out))

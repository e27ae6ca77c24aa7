"""Makers of worlds in which the way to the goal is not near the straight line, or as tight as the robot lets it be."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.random import Generator

from hybrid_control.signals import Pose
from hybrid_control.sim.worlds.world import World

Boxes = list[tuple[float, ...]]
Point = tuple[float, float]


def wall(x1: float, y1: float, x2: float, y2: float, thickness: float = 0.1) -> tuple[float, ...]:
    """A box from one point to another, which overlaps with the next one at a corner."""
    length = math.hypot(x2 - x1, y2 - y1) + thickness
    return ((x1 + x2) / 2, (y1 + y2) / 2, length, thickness, math.atan2(y2 - y1, x2 - x1))


def walls(points: list[Point], thickness: float = 0.1) -> Boxes:
    """The walls along a line of points."""
    return [wall(*a, *b, thickness) for a, b in pairwise(points)]


def _hall(low: Point, high: Point) -> Boxes:
    """Four walls around."""
    (x1, y1), (x2, y2) = low, high
    return walls([(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)])


def _bounds(low: Point, high: Point) -> tuple[float, float, float, float]:
    return low[0] - 0.5, low[1] - 0.5, high[0] + 0.5, high[1] + 0.5


def fardoor(rng: Generator, nearest: float = 2.0, farthest: float = 20.0, door: float = 1.3) -> World:
    """A hall parted by a wall across the way, whose one door is `nearest` to `farthest` m to a side."""
    aside = float(rng.uniform(nearest, farthest) * rng.choice((-1.0, 1.0)))
    half = abs(aside) + 3.0
    low, high = (-2.5, -half), (12.5, half)
    x = float(rng.uniform(4.0, 6.0))
    boxes = _hall(low, high)
    boxes += [wall(x, -half, x, aside - door / 2), wall(x, aside + door / 2, x, half)]
    return World("fardoor", Pose(), (10.0, 0.0), _bounds(low, high), boxes=np.array(boxes))


def spiral(rng: Generator, corridor: float = 0.9, turns: int = 2) -> World:
    """A square spiral between walls `corridor` m apart, to its middle or, as often, out of it."""
    pitch, corners = corridor + 0.1, 4 * turns
    points, at, along = [(0.0, 0.0)], (0.0, 0.0), 0
    for k in range(corners + 1):
        length = pitch * (1 + k // 2)
        dx, dy = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[along % 4]
        at, along = (at[0] + length * dx, at[1] + length * dy), along + 1
        points.append(at)
    flip = float(rng.choice((-1.0, 1.0)))
    turn = float(rng.uniform(-math.pi, math.pi))
    c, s = math.cos(turn), math.sin(turn)

    def place(x: float, y: float) -> Point:
        return c * x - s * flip * y, s * x + c * flip * y

    middle = 0.5 * (points[0][0] + points[1][0]), 0.5 * pitch
    (u, v), (p, q) = points[-1], points[-2]
    away = math.hypot(u - p, v - q)
    # the free end of the last wall: outside of it is where the spiral opens
    out = u + 1.5 * (u - p) / away, v + 1.5 * (v - q) / away
    ends = [place(*middle), place(*out)]
    if rng.random() < 0.5:
        ends.reverse()
    xs, ys = zip(*(place(*point) for point in [*points, out]), strict=True)
    low, high = (min(xs) - 2.0, min(ys) - 2.0), (max(xs) + 2.0, max(ys) + 2.0)
    start = Pose(*ends[0], float(rng.uniform(-math.pi, math.pi)))
    boxes = walls([place(*point) for point in points])
    return World("spiral", start, ends[1], _bounds(low, high), boxes=np.array(boxes))


def zigzag(rng: Generator, baffles: int = 6, gap: float = 1.0, width: float = 4.0) -> World:
    """A hall with baffles from either side in turn, each with `gap` m between its end and the other side."""
    first = float(rng.choice((-1.0, 1.0)))
    spacing = rng.uniform(1.2, 1.8, baffles)
    xs = 1.5 + np.cumsum(spacing) - spacing[0]
    end, half = float(xs[-1]) + 2.0, width / 2
    low, high = (-1.5, -half), (end + 1.0, half)
    boxes = _hall(low, high)
    for k, x in enumerate(xs.tolist()):
        side, lean = first * (-1.0) ** k, float(rng.uniform(-0.25, 0.25))
        boxes.append(wall(x, side * half, x + lean, -side * (half - gap)))
    return World("zigzag", Pose(), (end, 0.0), _bounds(low, high), boxes=np.array(boxes))


def gaps(rng: Generator, width: float = 0.43, more: float = 0.10, count: int = 3) -> World:
    """Walls that slant across a hall by up to 40 degrees, each with one gap of the robot's `width` and `more` m."""
    half, length = 2.0, 2.5 + 3.4 * count
    low, high = (-2.0, -half), (length + 1.5, half)
    boxes = _hall(low, high)
    for k in range(count):
        lean = float(rng.uniform(math.radians(10), math.radians(40)) * rng.choice((-1.0, 1.0)))
        x, y = 2.8 + 3.4 * k, float(rng.uniform(-1.0, 1.0))
        c, s = math.sin(lean), math.cos(lean)  # along the wall
        free = 0.5 * (width + more) + 0.05  # a wall's end is rounded off by half its thickness
        for side in (-1.0, 1.0):
            begin = x + side * free * c, y + side * free * s
            rest = (side * half - begin[1]) / s
            boxes.append(wall(*begin, begin[0] + rest * c, begin[1] + rest * s))
    return World("gaps", Pose(), (length, 0.0), _bounds(low, high), boxes=np.array(boxes))


def poles(rng: Generator, count: int = 60, gap: float = 0.75) -> World:
    """Poles of 2 to 6 cm across, at least `gap` m apart."""
    placed: list[tuple[float, float, float]] = []
    for _ in range(200 * count):
        if len(placed) == count:
            break
        r = float(rng.uniform(0.01, 0.03))
        x, y = rng.uniform((1.0, -3.5), (9.0, 3.5)).tolist()
        if all(math.hypot(x - px, y - py) >= r + pr + gap for px, py, pr in placed):
            placed.append((x, y, r))
    return World("poles", Pose(), (10.0, 0.0), (-1.5, -4.5, 11.5, 4.5), np.array(placed))


def pocket(rng: Generator, depth: float = 4.0, count: int = 2) -> World:
    """Dead ends, `depth` m deep, whose mouths are turned to who comes along the way."""
    boxes: Boxes = []
    x = 1.5
    for _ in range(count):
        half, shift, lean = (
            float(rng.uniform(0.9, 1.6)),
            float(rng.uniform(-0.7, 0.7)),
            float(rng.uniform(-0.2, 0.2)),
        )
        c, s = math.cos(lean), math.sin(lean)
        corners = [(0.0, half), (depth, half), (depth, -half), (0.0, -half)]
        boxes += walls([(x + c * u - s * v, shift + s * u + c * v) for u, v in corners])
        x += depth + 2.2
    length = x + 0.8
    return World("pocket", Pose(), (length, 0.0), (-1.5, -6.0, length + 1.5, 6.0), boxes=np.array(boxes))

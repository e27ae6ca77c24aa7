"""Makers of worlds with what a planar lidar does not show: 10 m to go, and something of it across the straight way."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.random import Generator

from hybrid_control.signals import Pose
from hybrid_control.sim.worlds.patch import FORBIDDEN, PERMITTED, Patch
from hybrid_control.sim.worlds.scatter import scatter
from hybrid_control.sim.worlds.thing import DENSEST, FAINTEST, LOOKS, Thing
from hybrid_control.sim.worlds.world import World

LENGTH = 10.0  # m from start to goal
HALF = (3.0, 4.0)  # m of the ground on either side
COUNT, PILLARS = (8, 14), (4, 8)  # of what is hidden, and of what is not
ENDS = ((0.0, 0.0, 0.7), (LENGTH, 0.0, 0.7))  # circles about start and goal that are kept free
GAP = 0.5  # m at least between the circles about two things
BESIDE = 0.7  # m that pillars keep off the straight way, so that a lidar sees no reason to leave it
ASIDE = 0.15  # m at most of the middle of what lies across the straight way from it
WIRE = 0.015  # m, thickness

Circle = tuple[float, float, float]
Rectangle = tuple[float, float, float, float, float]


class WrongOption(ValueError):
    """An option of a world that cannot be."""


def _places(
    rng: Generator, count: int, half: float, size: Callable[[], tuple[float, float]], gap: float, lean: float
) -> list[Rectangle]:
    """Where to put `count` rectangles, the first one or two across the straight way. ValueError where too few fit.

    size: draws a length and a width. gap: m between the circles about them. lean: rad that those which are longer than
    wide are turned at most from square to the way; 0: as they come.
    """
    across = [float(rng.uniform(2.5, 7.5))]
    if rng.random() < 0.5:
        across.append(across[0] + float(rng.uniform(2.5, 3.5)) * (1.0 if across[0] < 5.0 else -1.0))
    placed: list[Rectangle] = []
    circles: list[Circle] = list(ENDS)
    for k in range(count):
        length, width = size()
        radius = math.hypot(length, width) / 2
        yaw = float(rng.uniform(-math.pi / 2, math.pi / 2))
        if k < len(across):
            yaw = math.pi / 2 + float(rng.uniform(-lean, lean)) if lean else yaw
            # so that it lies on the line itself, which robots follow that are slim
            aside = ASIDE if lean else min(ASIDE, 0.45 * min(length, width))
            x, y = across[k], float(rng.uniform(-aside, aside))
        else:
            area = (1.2, 0.4 - half, LENGTH - 1.2, half - 0.4)
            found = scatter(rng, 1, area, (radius, radius), gap, circles)
            if not found:
                continue
            x, y, _ = found[0]
        placed.append((x, y, length, width, yaw))
        circles.append((x, y, radius))
    if len(placed) < min(count, COUNT[0]):
        raise ValueError(f"{count} of them do not fit")
    return placed


def _pillars(rng: Generator, count: int, half: float, taken: Sequence[Rectangle]) -> list[Circle]:
    """Pillars beside the straight way that stand in nothing. ValueError where too few fit."""
    circles = [*ENDS, *((x, y, math.hypot(length, width) / 2) for x, y, length, width, _ in taken)]
    pillars: list[Circle] = []
    for k in range(20 * count):
        if len(pillars) == count:
            break
        side = 1 - 2 * (k % 2)
        low, high = sorted((side * (BESIDE + 0.2), side * (half - 0.2)))
        pillars += scatter(rng, 1, (1.0, low, LENGTH - 1.0, high), (0.10, 0.20), 0.1, [*circles, *pillars])
    if len(pillars) < min(count, PILLARS[0]):
        raise ValueError(f"{count} pillars do not fit")
    return pillars


def _number(rng: Generator, wanted: int, between: tuple[int, int]) -> int:
    if wanted < 0:
        raise WrongOption(f"{wanted} of them, expected 0 (as drawn) or more")
    drawn = int(rng.integers(between[0], between[1] + 1))
    return wanted or drawn


def _world(
    name: str,
    rng: Generator,
    count: int,
    obstacles: int,
    size: Callable[[], tuple[float, float]],
    thing: Callable[[Rectangle], Thing],
    lean: float = 0.0,
) -> World:
    """A world of things; thing: what is put into a rectangle."""
    half = float(rng.uniform(*HALF))
    places = _places(rng, _number(rng, count, COUNT), half, size, GAP, lean)
    things = tuple(thing(place) for place in places)
    pillars = _pillars(rng, _number(rng, obstacles, PILLARS), half, places)
    return World(name, Pose(), (LENGTH, 0.0), _bounds(half), np.array(pillars), things=things)


def _bounds(half: float) -> tuple[float, float, float, float]:
    return -1.5, -half, LENGTH + 1.5, half


def low(rng: Generator, count: int = 0, obstacles: int = 0, look: str = "") -> World:
    """Kerbs, bricks and the like, 3 to 12 cm high; look: of all of them, as a Thing has it."""
    if look not in LOOKS:
        raise WrongOption(f"look {look!r}, expected one of {', '.join(map(repr, LOOKS))}")

    def size() -> tuple[float, float]:
        long, wide = rng.uniform(0.1, 0.6, 2).tolist()
        return long, wide

    def thing(place: Rectangle) -> Thing:
        return Thing("low", *place, 0.0, float(rng.uniform(0.03, 0.12)), look)

    return _world("low", rng, count, obstacles, size, thing)


def overhangs(rng: Generator, count: int = 0, obstacles: int = 0) -> World:
    """Table tops just above a lidar at 0.30 m, and boards just below it, which a Jackal does not get under."""

    def size() -> tuple[float, float]:
        return float(rng.uniform(0.5, 1.2)), float(rng.uniform(0.3, 0.7))

    def thing(place: Rectangle) -> Thing:
        bottom = float(rng.uniform(0.31, 0.33) if rng.random() < 0.6 else rng.uniform(0.10, 0.22))
        return Thing("overhang", *place, bottom, bottom + float(rng.uniform(0.03, 0.06)))

    return _world("overhangs", rng, count, obstacles, size, thing)


def glass(
    rng: Generator, count: int = 0, obstacles: int = 0, opacity: str = "0.15-0.4", thickness: float = 0.02
) -> World:
    """Panes 0.7 to 1.6 m long and 0.7 to 1.5 m high; opacity: of all, a number or LOWEST-HIGHEST."""
    faint, dense = span_of(opacity)

    def size() -> tuple[float, float]:
        return float(rng.uniform(0.7, 1.6)), thickness

    def thing(place: Rectangle) -> Thing:
        bottom = float(rng.choice((0.0, rng.uniform(0.0, 0.08))))
        top, clear = float(rng.uniform(0.7, 1.5)), float(rng.uniform(faint, dense))
        return Thing("pane", *place, bottom, top, opacity=clear)

    return _world("glass", rng, count, obstacles, size, thing, lean=0.6)


def span_of(opacity: str) -> tuple[float, float]:
    """Two opacities of "0.2-0.4", or of "0.3" twice the same. WrongOption where a pane cannot have them."""
    low, _, high = str(opacity).partition("-")
    try:
        faint, dense = float(low), float(high or low)
    except ValueError:
        faint = dense = math.nan
    if not FAINTEST <= faint <= dense <= DENSEST:
        raise WrongOption(f"opacity {opacity!r}, expected such as 0.2-0.4, within {FAINTEST:g} .. {DENSEST:g}")
    return faint, dense


def wires(rng: Generator, count: int = 0, obstacles: int = 0) -> World:
    """Wires 0.8 to 2.2 m long, 3 to 31 cm above the ground."""

    def size() -> tuple[float, float]:
        return float(rng.uniform(0.8, 2.2)), WIRE

    def thing(place: Rectangle) -> Thing:
        bottom = float(rng.uniform(0.03, 0.31))
        return Thing("wire", *place, bottom, bottom + WIRE)

    return _world("wires", rng, count, obstacles, size, thing, lean=0.6)


def holes(rng: Generator, count: int = 0, obstacles: int = 0) -> World:
    """Steps down and pits, 0.3 to 0.9 m across and 8 to 40 cm deep."""

    def size() -> tuple[float, float]:
        long, wide = rng.uniform(0.3, 0.9, 2).tolist()
        return long, wide

    def thing(place: Rectangle) -> Thing:
        return Thing("hole", *place, -float(rng.uniform(0.08, 0.4)), 0.0)

    return _world("holes", rng, count, obstacles, size, thing)


def forbidden(rng: Generator, count: int = 0, obstacles: int = 0, looks: int = 2) -> World:
    """Ground that may not be driven on, of `looks` kinds at most, among as many pieces that may, of as many kinds; one
    that may not lies on the straight way."""
    if not 1 <= looks <= min(len(FORBIDDEN), len(PERMITTED)):
        raise WrongOption(f"looks {looks}, expected 1 .. {min(len(FORBIDDEN), len(PERMITTED))}")
    half = float(rng.uniform(*HALF))
    bad, good = (rng.choice(kinds, looks, replace=False).tolist() for kinds in (FORBIDDEN, PERMITTED))

    def size() -> tuple[float, float]:
        long, wide = rng.uniform(0.5, 1.1, 2).tolist()
        return long, wide

    places = _places(rng, _number(rng, count, COUNT), half, size, GAP, 0.0)
    # the first always lies on the straight way; the second may, too, and is one that may be driven on
    ground = tuple(
        Patch(str(rng.choice((bad, good)[k % 2])), *place, forbidden=k % 2 == 0) for k, place in enumerate(places)
    )
    pillars = _pillars(rng, _number(rng, obstacles, PILLARS), half, places)
    return World("forbidden", Pose(), (LENGTH, 0.0), _bounds(half), np.array(pillars), patches=ground)

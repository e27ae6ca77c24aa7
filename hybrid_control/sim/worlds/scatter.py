"""Circles strewn over an area, none too near to another."""

from __future__ import annotations

import math
from collections.abc import Sequence

from numpy.random import Generator


def scatter(
    rng: Generator,
    count: int,
    area: tuple[float, float, float, float],
    radius: tuple[float, float],
    gap: float,
    taken: Sequence[tuple[float, float, float]] = (),
) -> list[tuple[float, float, float]]:
    """Up to count circles in the area, whose edges keep `gap` from each other and from those taken."""
    placed = list(taken)
    for _ in range(200 * count):
        if len(placed) == count + len(taken):
            break
        r = rng.uniform(*radius)
        x, y = rng.uniform(area[0], area[2]), rng.uniform(area[1], area[3])
        if all(math.hypot(x - px, y - py) >= r + pr + gap for px, py, pr in placed):
            placed.append((x, y, r))
    return placed[len(taken) :]

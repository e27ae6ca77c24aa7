"""Ground that no image has shown: how fast to drive onto it, where a planner tells what no scan shows.

A robot that turns sharply drives where its camera did not look before. What is low there comes into view late, near and
at the edge of the image, where it is seen worst.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.outline import displacement
from hybrid_control.navigation.reflex.guard import REACTION
from hybrid_control.signals import FREE_SIDE, FreeGround

LOOKED = 0.4  # s, for which ground is to be looked at before it is driven on: six images at 15 Hz
STEP = 0.05  # m, between two places of the leading edge
ACROSS = 2  # points of it to each side of its middle

# cells that a planner saw closed and no scan shows, and what it saw free (`signals.FreeGround`): of cells of 0 m
# nothing is known, and it does not matter
DIRECTIONS = np.dtype(
    [
        ("hidden", np.int64),
        ("x", np.float64),
        ("y", np.float64),
        ("cell", np.float64),
        ("nearest", np.float64),
        ("free", np.uint8, (FREE_SIDE, FREE_SIDE)),
    ],
    align=True,
)


def note(record: NDArray[Any], hidden: int, free: FreeGround | None) -> None:
    """Write a DIRECTIONS: so many hidden cells, and what was seen free, None where it does not matter."""
    record["hidden"] = hidden
    if free is not None:
        record["x"], record["y"], record["cell"] = free.x, free.y, free.cell
        record["nearest"], record["free"] = free.nearest, free.free


@numba.njit(cache=True, nogil=True)
def fastest_seen(
    ground: Any, pose: tuple[float, float, float], twist: tuple[float, float, float], least: float, g: Any
) -> float:
    """m/s at which a motion leaves LOOKED s to look at ground before the leading edge is on it, and can be stopped
    before it; inf where all of it was seen to be free.

    ground: a DIRECTIONS; pose: x, y in m and yaw in rad, in the odometry's frame; twist: x and y in m/s, yaw in rad/s;
    least: m/s, which is never too fast; g: a GUARD. v (LOOKED + age + reaction) + v² / (2 a) is the way to the first
    ground that was not seen to be free. Ground so near that the camera does not see it does not count.
    """
    x, y, angular = twist
    speed = math.hypot(x, y)
    if ground.cell <= 0.0 or speed <= least:
        return math.inf
    u, v, a, soon = x / speed, y / speed, g.deceleration, LOOKED + g.age + REACTION
    lead = abs(u) * g.outline.half_length + abs(v) * g.outline.half_width
    side = abs(v) * g.outline.half_length + abs(u) * g.outline.half_width
    for k in range(math.ceil((speed * soon + 0.5 * speed * speed / a) / STEP)):
        dx, dy, turn = displacement(x, y, angular, k * STEP / speed)
        c, s = math.cos(turn), math.sin(turn)
        for i in range(-ACROSS, ACROSS + 1):
            off = side * i / ACROSS
            px, py = g.outline.middle + lead * u - off * v, lead * v + off * u
            there = dx + c * px - s * py, dy + s * px + c * py
            if math.hypot(there[0], there[1]) >= ground.nearest and not _is_free(ground, pose, there):
                return max(a * (math.sqrt(soon * soon + 2.0 * k * STEP / a) - soon), least)
    return math.inf


@numba.njit(cache=True, nogil=True)
def _is_free(ground: Any, pose: tuple[float, float, float], point: tuple[float, float]) -> bool:
    """Whether a point of the body's frame, m, was seen to be free; pose: of the body."""
    c, s = math.cos(pose[2]), math.sin(pose[2])
    i = math.floor((pose[0] + c * point[0] - s * point[1] - ground.x) / ground.cell)
    j = math.floor((pose[1] + s * point[0] + c * point[1] - ground.y) / ground.cell)
    return 0 <= i < FREE_SIDE and 0 <= j < FREE_SIDE and ground.free[i, j] != 0

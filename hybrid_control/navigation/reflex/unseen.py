"""Ground that no image has shown: how fast to drive onto it, where a planner tells what no scan shows.

A robot that turns sharply drives where its camera did not look before. What is low there comes into view late, near and
at the edge of the image, where it is seen worst.
"""

from __future__ import annotations

import math
from typing import Any

import numba

from hybrid_control.geometry.outline import displacement
from hybrid_control.navigation.reflex.guard import REACTION
from hybrid_control.navigation.reflex.percept import pose_after
from hybrid_control.signals import FREE_SIDE

LOOKED = 0.4  # s, for which ground is to be looked at before it is driven on: six images at 15 Hz
STEP = 0.05  # m, between two places of the leading edge
ACROSS = 2  # points of it to each side of its middle


@numba.njit(cache=True, nogil=True)
def fastest_seen(c: Any, x: float, y: float, angular: float, now_ns: int) -> float:
    """m/s at which a motion of x, y m/s and angular rad/s leaves LOOKED s to look at the ground before the leading edge
    is on it, and can be stopped before it; inf where all of it was seen to be free, or nobody looks.

    v (LOOKED + age + reaction) + v² / (2 a) is the way to the first ground that was not seen to be free; never slower
    than the gain unseen_speed. Ground so near that the camera does not see it does not count.
    """
    g, ground, speed = c.guard, c.directions.value, math.hypot(x, y)
    if ground.free_cell <= 0.0 or speed <= c.gains.value.unseen_speed:
        return math.inf
    if now_ns - c.directions.received_ns > c.gains.value.planner_timeout * 1e9:
        return math.inf
    x0, y0, yaw0 = pose_after(c.motion.value, (now_ns - c.motion.received_ns) * 1e-9)
    u, v, a, soon = x / speed, y / speed, g.deceleration, LOOKED + g.age + REACTION
    lead = abs(u) * g.outline.half_length + abs(v) * g.outline.half_width
    side = abs(v) * g.outline.half_length + abs(u) * g.outline.half_width
    for k in range(math.ceil((speed * soon + 0.5 * speed * speed / a) / STEP)):
        dx, dy, turn = displacement(x, y, angular, k * STEP / speed)
        c_, s_ = math.cos(turn), math.sin(turn)
        for i in range(-ACROSS, ACROSS + 1):
            off = side * i / ACROSS
            px, py = g.outline.middle + lead * u - off * v, lead * v + off * u
            bx, by = dx + c_ * px - s_ * py, dy + s_ * px + c_ * py
            if math.hypot(bx, by) >= ground.free_from and not _is_free(ground, x0, y0, yaw0, bx, by):
                most = a * (math.sqrt(soon * soon + 2.0 * k * STEP / a) - soon)
                return max(most, float(c.gains.value.unseen_speed))
    return math.inf


@numba.njit(cache=True, nogil=True)
def _is_free(ground: Any, x: float, y: float, yaw: float, bx: float, by: float) -> bool:
    """Whether a point of the body's frame was seen to be free, by a robot at that place of the odometry's frame."""
    c, s = math.cos(yaw), math.sin(yaw)
    i = math.floor((x + c * bx - s * by - ground.free_x) / ground.free_cell)
    j = math.floor((y + s * bx + c * by - ground.free_y) / ground.free_cell)
    return 0 <= i < FREE_SIDE and 0 <= j < FREE_SIDE and ground.free[i, j] != 0

"""The outline guard: plain geometry behind the spiking network; it lets a motion through or puts another in its place.

A motion passes if the robot, driving on for the scan's age and a reaction time and then braking, keeps its outline off
every point that the scan saw. Where the wished one does not pass, others are tried in turn: slower on the same curve,
then, for a robot that steers, the same on a straighter one, for one that moves in any direction, aside; then the turn
alone; then a stop. None is faster than the wish, but it may point elsewhere. Motion that takes the outline away from
what it is already close to always passes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.outline import OUTLINE, stays_clear

REACTION = 0.1  # s, in which a command takes its way
LONGEST = 2.0  # s, of a way that is checked
WAY_OUT_SPEED, WAY_OUT_TURN = 0.2, 0.5  # m/s, rad/s

GUARD = np.dtype(
    [
        ("outline", OUTLINE),
        ("holonomic", np.int64),  # 1: moves in any direction
        ("stop_distance", np.float64),  # m, free way ahead that is kept
        ("deceleration", np.float64),  # m/s²
        ("response", np.float64),  # s, in which a holonomic vehicle follows a command as a low pass does
        ("age", np.float64),  # s, of the scan
        # m and rad that a holonomic vehicle goes on for: its motion times its response
        ("drift_x", np.float64),
        ("drift_y", np.float64),
        ("drift_yaw", np.float64),
    ],
    align=True,
)

SPEEDS = [1.0 - k / 5 for k in range(5)]
SLIDES = [math.radians(a) for a in (0, 30, -30, 60, -60)]  # off the wished direction


def _ways(slides: Sequence[float], bends: Sequence[float], slower_turns: bool) -> NDArray[np.float64]:
    """Ways to go instead of a command, (bends, slides times speeds, 4): cosine and sine of the slide, shares of speed
    and turn. Of a speed that is turned aside, the share that points there."""
    return np.array(
        [
            [
                (math.cos(slide), math.sin(slide), math.cos(slide) * speed, bend * (speed if slower_turns else 1.0))
                for slide in slides
                for speed in SPEEDS
            ]
            for bend in bends
        ]
    )  # fmt: skip


DIFFERENTIAL = _ways((0.0,), (1.0, 0.5, 0.0), slower_turns=True)
HOLONOMIC = _ways(SLIDES, (1.0, 0.0), slower_turns=False)

# Slow ways out of where the robot is held, the first that is free counts: shares of WAY_OUT_SPEED along x and y, of
# WAY_OUT_TURN, and of the speed. Back, back in a turn, ahead, ahead in a turn; or back, then aside, then ahead.
DIFFERENTIAL_OUT = np.array([(v, 0.0, w, abs(v)) for v in (-1.0, 0.5) for w in (0.0, 1.0, -1.0)])
HOLONOMIC_OUT = np.array(
    [
        (math.cos(a), math.sin(a), 0.0, 1.0)
        for a in (math.pi - (1 - 2 * (k % 2)) * ((k + 1) // 2) * math.pi / 4 for k in range(8))
    ]
)


@numba.njit(cache=True, nogil=True)
def _is_free(
    seen: Any, x: float, y: float, angular: float, horizon: float, ahead: float, g: Any
) -> bool:
    """Whether a motion (m/s, rad/s) stays clear for `horizon` s of all points, and for `ahead` m beyond."""
    if not g.holonomic:  # what is ahead is kept off by a longer nose, on any curve
        nose = ahead if x > 0.0 else 0.0
        return stays_clear(seen.points, seen.count, (x, 0.0, angular), horizon, (0.0, 0.0), nose, g.outline)
    way = math.hypot(x, y) * horizon
    stretch = 1.0 + ahead / way if way > 1e-6 else 1.0
    twist = (x * stretch, y * stretch, angular + g.drift_yaw / horizon)
    return stays_clear(seen.points, seen.count, twist, horizon, (g.drift_x, g.drift_y), 0.0, g.outline)


@numba.njit(cache=True, nogil=True)
def guard(seen: Any, x: float, y: float, angular: float, g: Any) -> tuple[float, float, float, bool]:
    """The motion to let through for a command: (x, y m/s, angular rad/s, whether it is another one).

    seen: a SCAN; g: a GUARD.
    """
    if seen.count == 0 or (x == 0.0 and y == 0.0 and angular == 0.0):
        return x, y, angular, False
    speed = math.hypot(x, y)
    ahead = max(g.stop_distance - g.outline.margin, 0.0)
    soon = g.age + REACTION
    ways = HOLONOMIC if g.holonomic else DIFFERENTIAL
    for bend in range(ways.shape[0]):
        # what it drifts before a command takes effect must be free by itself: the command may come too late
        if g.holonomic and (
            speed == 0.0 or not _is_free(seen, 0.0, 0.0, ways[bend, 0, 3] * angular, soon, 0.0, g)
        ):
            continue
        for k in range(ways.shape[1]):
            c, s, scale = ways[bend, k, 0], ways[bend, k, 1], ways[bend, k, 2]
            vx, vy, w = scale * (c * x - s * y), scale * (s * x + c * y), ways[bend, k, 3] * angular
            horizon = min(soon + 0.5 * speed * scale / g.deceleration, LONGEST)
            if _is_free(seen, vx, vy, w, horizon, ahead, g):
                return vx, vy, w, bend > 0 or k > 0
        if speed == 0.0 or angular == 0.0:
            break  # there is no path to straighten
    for share in (1.0, 0.5):
        w = angular * share
        if w != 0.0 and _is_free(seen, 0.0, 0.0, w, soon, 0.0, g):
            return 0.0, 0.0, w, True
    return 0.0, 0.0, 0.0, True


@numba.njit(cache=True, nogil=True)
def way_out(seen: Any, fastest: float, fastest_turn: float, g: Any) -> tuple[float, float, float]:
    """The first slow motion that is free, from a stand: (x, y m/s, angular rad/s), zero for none."""
    slow, fast = min(WAY_OUT_SPEED, fastest), min(WAY_OUT_TURN, fastest_turn)
    ways = HOLONOMIC_OUT if g.holonomic else DIFFERENTIAL_OUT
    for k in range(ways.shape[0]):
        x, y, w = slow * ways[k, 0], slow * ways[k, 1], fast * ways[k, 2]
        braking = 0.5 * slow * ways[k, 3] / g.deceleration
        horizon = g.age + g.response + braking if g.holonomic else min(g.age + REACTION + braking, LONGEST)
        if stays_clear(seen.points, seen.count, (x, y, w), horizon, (0.0, 0.0), 0.0, g.outline):
            return x, y, w
    return 0.0, 0.0, 0.0

"""The outline guard: plain geometry behind the spiking network; it lets a motion through or puts another in its place.

A motion passes if the robot, driving on for the scan's age and a reaction time and then braking, keeps its outline off
every point that the scan saw. Towards where no sensor looks nothing passes; towards where they look and nothing valid
comes, only what creeps. Where the wished one does not pass, others are tried in turn: slower on the same curve,
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

from hybrid_control.geometry.outline import OUTLINE, displacement, farthest_corner, reach_of, stays_clear
from hybrid_control.navigation.reflex.percept import MAX_POINTS
from hybrid_control.signals.headings import sector_of, wrapped

GUARD_MARGIN = 0.04  # m, what is kept around the outline for the noise of the scan
SLIM_MARGIN, SLIM_STOP = 0.02, 0.05  # m, and of free way ahead, where it goes slowly through a narrow place
REACTION = 0.1  # s, in which a command takes its way
LAG = 0.1  # s of braking, less the age of the scan, by which a base may be behind its command unnoticed
AT_REST = 0.05  # m/s, of a car, below which its steering may be anywhere
NEAR_MORE = 0.2  # m farther than has to be that points are sorted out, so that it has to be done the less often
LEAST_LAG = 0.02  # rad, by which a change of turn puts an arc off that is looked at
WAY_OUT_SPEED, WAY_OUT_TURN = 0.2, 0.5  # m/s, rad/s

KNOWN, DEAD, UNLOOKED = (
    0,
    1,
    2,
)  # of a sector: seen; looked at, and nothing valid comes; no sensor looks there

GUARD = np.dtype(
    [
        ("outline", OUTLINE),
        ("holonomic", np.int64),  # 1: moves in any direction
        ("stop_distance", np.float64),  # m, free way ahead that is kept
        ("deceleration", np.float64),  # m/s²
        ("yaw_acceleration", np.float64),  # rad/s², steepest change of yaw rate commanded
        ("response", np.float64),  # s, in which a holonomic vehicle follows a command as a low pass does
        ("creep", np.float64),  # m/s, towards where nothing valid comes from
        ("scan_age", np.float64),  # s, of the scan
        ("age", np.float64),  # s, of the frame that what it saw was brought into by odometry
        ("speed", np.float64),  # m/s ahead and rad/s, of a wheeled base as it drives
        ("turn", np.float64),
        # m and rad that a holonomic vehicle goes on for: its motion times its response
        ("drift_x", np.float64),
        ("drift_y", np.float64),
        ("drift_yaw", np.float64),
        ("radius", np.float64),  # m, of the tightest circle that a car drives; 0: turns on the spot
        # the points of what is seen within so many m, once for many motions; 0 m: they are not sorted out
        ("near_reach", np.float64),
        ("near_count", np.int64),
        ("near", np.float32, (MAX_POINTS, 2)),
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
def sort_out_near(seen: Any, fastest: float, g: Any) -> None:
    """Note which points motions up to a speed, m/s, may meet, unless that was done since `near_reach` was set to 0."""
    horizon = g.age + REACTION + 0.5 * fastest / g.deceleration
    drift = (g.drift_x, g.drift_y) if g.holonomic else (0.0, 0.0)
    reach = reach_of((fastest, 0.0, 0.0), horizon, drift, max(g.stop_distance, 0.0), g.outline)
    if reach <= g.near_reach:
        return
    reach += NEAR_MORE
    g.near_reach, g.near_count = reach, 0
    for k in range(seen.count):
        x, y = seen.points[k, 0], seen.points[k, 1]
        if x * x + y * y <= reach * reach:
            g.near[g.near_count, 0], g.near[g.near_count, 1] = x, y
            g.near_count += 1


@numba.njit(cache=True, nogil=True)
def _stays_clear(
    seen: Any,
    twist: tuple[float, float, float],
    horizon: float,
    drift: tuple[float, float],
    nose: float,
    g: Any,
) -> bool:
    """`stays_clear` of what is seen, of the points nearby alone where those are sorted out."""
    if reach_of(twist, horizon, drift, nose, g.outline) <= g.near_reach:
        return bool(stays_clear(g.near, g.near_count, twist, horizon, drift, nose, g.outline))
    return bool(stays_clear(seen.points, seen.count, twist, horizon, drift, nose, g.outline))


@numba.njit(cache=True, nogil=True)
def _is_free(seen: Any, x: float, y: float, angular: float, horizon: float, ahead: float, g: Any) -> bool:
    """Whether a motion (m/s, rad/s) stays clear for `horizon` s of all points, and for `ahead` m beyond."""
    if not g.holonomic:  # what is ahead is kept off by a longer nose, on any curve
        nose = ahead if x > 0.0 else 0.0
        if not _stays_clear(seen, (x, 0.0, angular), horizon, (0.0, 0.0), nose, g):
            return False
        turn = _mean_turn(angular, horizon, g)  # a car has a check of its own
        if x == 0.0 or g.radius > 0.0 or abs(turn - angular) * horizon < LEAST_LAG:
            return True
        return _stays_clear(seen, (x, 0.0, turn), horizon, (0.0, 0.0), nose, g)
    way = math.hypot(x, y) * horizon
    stretch = 1.0 + ahead / way if way > 1e-6 else 1.0
    twist = (x * stretch, y * stretch, angular + g.drift_yaw / horizon)
    return _stays_clear(seen, twist, horizon, (g.drift_x, g.drift_y), 0.0, g)


@numba.njit(cache=True, nogil=True)
def _mean_turn(angular: float, horizon: float, g: Any) -> float:
    """rad/s of the arc with the heading at its end that the base has when it changes to a turn as fast as it can.

    While the turn goes from w0 to w1 at a rad/s², the heading falls behind that of w1 by (w0 - w1) |w0 - w1| / (2 a).
    """
    change = g.turn - angular
    lag = 0.5 * change * abs(change) / g.yaw_acceleration
    return angular + (lag / horizon if abs(lag) < abs(change) * horizon else change)


@numba.njit(cache=True, nogil=True)
def _towards_unlooked(seen: Any, x: float, y: float, angular: float, horizon: float) -> bool:
    """Whether a motion leads to where no sensor looks: at its beginning, half-way or at its end."""
    if sector_state(seen, x, y) == UNLOOKED:
        return True
    for k in range(1, 3):
        dx, dy, _ = displacement(x, y, angular, 0.5 * horizon * k)
        if sector_state(seen, dx, dy) == UNLOOKED:
            return True
    return False


@numba.njit(cache=True, nogil=True)
def sector_state(seen: Any, x: float, y: float) -> int:
    """What is known of the direction of a point in the body frame."""
    return int(seen.states[sector_of(wrapped(math.atan2(y, x) + seen.turned))])


@numba.njit(cache=True, nogil=True)
def _share_towards_unknown(
    seen: Any, twist: tuple[float, float, float], horizon: float, ahead: float, g: Any
) -> float:
    """The share of a motion that may be had as to what is not seen: 1, less for one that is to creep, 0 for none."""
    x, y, angular = twist
    speed = math.hypot(x, y)
    if speed == 0.0 or seen.unlooked + seen.dead == 0:
        return 1.0
    if seen.unlooked > 0 and _towards_unlooked(seen, x, y, angular, horizon):
        return 0.0
    if speed <= g.creep or seen.dead == 0:
        return 1.0
    nose = ahead if x > 0.0 and not g.holonomic else 0.0
    free = stays_clear(seen.hidden, seen.dead, twist, horizon, (0.0, 0.0), nose, g.outline)
    return 1.0 if free else g.creep / speed


@numba.njit(cache=True, nogil=True)
def within_sight(seen: Any, x: float, y: float, g: Any) -> tuple[float, float]:
    """A motion no faster than the robot can stop from within what its sensors see at most."""
    return no_faster(x, y, fastest_within(seen.sight, g.scan_age, g))


@numba.njit(cache=True, nogil=True)
def no_faster(x: float, y: float, fastest: float) -> tuple[float, float]:
    """A motion in m/s, the same way, at most so fast."""
    speed = math.hypot(x, y)
    if speed <= fastest:
        return x, y
    return x * fastest / speed, y * fastest / speed


@numba.njit(cache=True, nogil=True)
def fastest_within(sight: float, age: float, g: Any) -> float:
    """m/s: v (age + reaction) + v² / (2 a) is the way from the outline to the end of sight; inf if not known."""
    if sight <= 0.0:
        return math.inf
    ahead = g.outline.half_length + abs(g.outline.middle)
    room = max(sight - ahead - max(g.stop_distance, g.outline.margin), 0.0)
    a, soon = g.deceleration, age + REACTION + (g.response if g.holonomic else 0.0)
    return a * (math.sqrt(soon * soon + 2.0 * room / a) - soon)


@numba.njit(cache=True, nogil=True)
def _turning_on(angular: float, g: Any) -> float:
    """s that a turn goes on for beyond the reaction, as far as the margin does not cover the way of the corners."""
    radius = farthest_corner(g.outline)
    beyond = 0.5 * angular * angular / g.yaw_acceleration - REACTION * abs(angular)
    uncovered = radius * beyond - g.outline.margin
    return uncovered / (radius * abs(angular)) if uncovered > 0.0 else 0.0


@numba.njit(cache=True, nogil=True)
def _turns_clear(seen: Any, x: float, angular: float, soon: float, g: Any) -> bool:
    """Whether a base that is slower than a command keeps clear on that command's turn, which comes before its speed:
    it drives a tighter arc than the command's, and swings its corners farther out."""
    slack = max(LAG - g.age, 0.0) * g.deceleration
    if g.holonomic or g.radius > 0.0 or angular == 0.0 or abs(g.speed) + slack >= abs(x) or x * g.speed < 0.0:
        return True
    v = math.copysign(g.speed, x)
    horizon = soon + max(0.5 * abs(v) / g.deceleration, _turning_on(angular, g))
    return _is_free(seen, v, 0.0, angular, horizon, 0.0, g)


@numba.njit(cache=True, nogil=True)
def _brakes_in_time(seen: Any, x: float, angular: float, soon: float, ahead: float, g: Any) -> bool:
    """Whether a base that still drives faster than a command, or the other way, keeps clear while it brakes on that
    command's turn."""
    speed = abs(g.speed) - max(LAG - g.age, 0.0) * g.deceleration
    if g.radius > 0.0 and not _stops_on_its_curve(seen, x, speed, soon, ahead, g):
        return False
    if g.holonomic or speed <= 0.0 or (x * g.speed > 0.0 and speed <= abs(x)):
        return True
    v = math.copysign(speed, g.speed)
    if g.radius > 0.0:  # the command's curve
        angular = angular * v / x if x * v > 0.0 else g.turn * v / g.speed
    return _is_free(seen, v, 0.0, angular, soon + 0.5 * speed / g.deceleration, ahead, g)


@numba.njit(cache=True, nogil=True)
def _stops_on_its_curve(seen: Any, x: float, speed: float, soon: float, ahead: float, g: Any) -> bool:
    """Whether a car that drives keeps clear on the curve that it is on, for the steering takes its time to another.

    x: m/s, of a command; speed: m/s that it still has, whatever the command.
    """
    if abs(g.speed) < AT_REST:
        return True
    v = math.copysign(max(speed, min(abs(x), abs(g.speed))), g.speed)
    return _is_free(seen, v, 0.0, g.turn * v / g.speed, soon + 0.5 * abs(v) / g.deceleration, ahead, g)


@numba.njit(cache=True, nogil=True)
def _braking_turn(seen: Any, soon: float, g: Any) -> float:
    """rad/s on which a wheeled base that can't stop straight ahead in time brakes: on the curve that it is on, or a
    wider one, whichever keeps clear; or where none does, for the longest."""
    if g.holonomic or g.radius > 0.0 or _brakes_in_time(seen, 0.0, 0.0, soon, 0.0, g):
        return 0.0  # a car that stops keeps its curve anyway
    for part in (1.0, 0.75, 0.5, 0.25):
        for share in (1.0, 0.7, 0.4, 0.0):
            turn = share * g.turn
            if _is_free(
                seen, g.speed, 0.0, turn, part * (soon + 0.5 * abs(g.speed) / g.deceleration), 0.0, g
            ):
                return turn
    return 0.0


@numba.njit(cache=True, nogil=True)
def guard(seen: Any, x: float, y: float, angular: float, g: Any) -> tuple[float, float, float, bool]:
    """The motion to let through for a command: (x, y m/s, angular rad/s, whether it is another one).

    seen: a SCAN; g: a GUARD.
    """
    nothing = seen.count + seen.unlooked + seen.dead == 0
    if nothing or (x == 0.0 and y == 0.0 and angular == 0.0):
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
            horizon = soon + 0.5 * speed * scale / g.deceleration
            share = _share_towards_unknown(seen, (vx, vy, w), horizon, ahead, g)
            if share == 0.0:
                continue
            if share < 1.0:
                vx, vy, w = vx * share, vy * share, w if g.holonomic else w * share
                horizon = soon + 0.5 * g.creep / g.deceleration
            if (
                _is_free(seen, vx, vy, w, horizon, ahead, g)
                and _brakes_in_time(seen, vx, w, soon, ahead, g)
                and _turns_clear(seen, vx, w, soon, g)
            ):
                return vx, vy, w, bend > 0 or k > 0 or share < 1.0
        if speed == 0.0 or angular == 0.0:
            break  # there is no path to straighten
    if g.radius > 0.0:
        return 0.0, 0.0, 0.0, True  # no turn on the spot, and a stop keeps the curve
    for share in (1.0, 0.5):
        w = angular * share
        if (
            w != 0.0
            and _is_free(seen, 0.0, 0.0, w, soon + _turning_on(w, g), 0.0, g)
            and _brakes_in_time(seen, 0.0, w, soon, 0.0, g)
        ):
            return 0.0, 0.0, w, True
    return 0.0, 0.0, _braking_turn(seen, soon, g), True


@numba.njit(cache=True, nogil=True)
def share_on_arc(seen: Any, x: float, angular: float, g: Any) -> float:
    """The share of an arc's speed (m/s, rad/s) at which a car may drive it from a stand; 0 for none."""
    ahead, soon = max(g.stop_distance - g.outline.margin, 0.0), g.age + REACTION
    for part in (1.0, 0.5, 0.25):
        v, w = part * x, part * angular
        horizon = soon + 0.5 * abs(v) / g.deceleration
        share = _share_towards_unknown(seen, (v, 0.0, w), horizon, ahead, g)
        v, w = share * v, share * w
        if (
            share > 0.0
            and _is_free(seen, v, 0.0, w, horizon, ahead, g)
            and _brakes_in_time(seen, v, w, soon, ahead, g)
        ):
            return part * share
    return 0.0


@numba.njit(cache=True, nogil=True)
def is_clear_for(seen: Any, x: float, angular: float, horizon: float, g: Any) -> bool:
    """Whether an arc (m/s, rad/s) is seen to be clear for `horizon` s, and ahead as far beyond as is kept."""
    ahead = max(g.stop_distance - g.outline.margin, 0.0)
    if _share_towards_unknown(seen, (x, 0.0, angular), horizon, ahead, g) < 1.0:
        return False
    return bool(_is_free(seen, x, 0.0, angular, horizon, ahead, g))


@numba.njit(cache=True, nogil=True)
def way_out(seen: Any, fastest: float, fastest_turn: float, g: Any) -> tuple[float, float, float]:
    """The first slow motion that is free, from a stand: (x, y m/s, angular rad/s), zero for none."""
    slow, fast = min(WAY_OUT_SPEED, fastest), min(WAY_OUT_TURN, fastest_turn)
    ways = HOLONOMIC_OUT if g.holonomic else DIFFERENTIAL_OUT
    for k in range(ways.shape[0]):
        x, y, w = slow * ways[k, 0], slow * ways[k, 1], fast * ways[k, 2]
        braking = 0.5 * slow * ways[k, 3] / g.deceleration
        horizon = g.age + (g.response if g.holonomic else REACTION) + braking
        share = _share_towards_unknown(seen, (x, y, w), horizon, 0.0, g)
        x, y, w = x * share, y * share, w * share
        if share > 0.0 and _stays_clear(seen, (x, y, w), horizon, (0.0, 0.0), 0.0, g):
            return x, y, w
    return 0.0, 0.0, 0.0

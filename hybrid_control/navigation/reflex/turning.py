"""A base that can't turn on the spot, as a car can't: its wishes are arcs, and where no arc ahead will do it turns in
legs, back and ahead by turns with the steering reversed (a three-point turn).

No network here: the ring says where to, and each leg passes the outline guard as every other motion does.
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from hybrid_control.navigation.reflex.guard import is_clear_for, share_on_arc

SLOW = 0.4  # m/s, of a leg, and of an arc that stands for a turn on the spot
STEERING_TIME = 0.3  # s in which the steering goes from straight ahead to its end
HELD_AFTER = 0.3  # s of being held by the guard, after which a turn in legs begins
REST = 1.0  # s until it is tried again where neither way was free
LEAST_WAY, MOST_WAY = 0.2, 1.5  # m back, before and after which a leg ends for no obstacle
NO_WAY, NO_MORE = 0.03, 4  # m, of a leg that went nowhere; how many of them in a row are enough
NO_TURN = 0.1  # rad that two legs turn at least, or the other side is tried
IN_VAIN = 2  # such pairs of legs, after which it leaves the place where it can't turn, by the way that is longest clear
LOOKS, LOOK = 5, 0.1  # how often that way is looked at, and how far at first, m, each time twice as far
LOOK_EVERY = 50  # ticks
FREE_WAY = 1.0  # m driven without being held, after which earlier legs are forgotten
NO_WISH = 0.2  # how fast a wish to stand counts as being held, against one that is
SIDEWAYS = 1.0  # rad off, from which on a heading is one to turn to
ALIGNED = 0.5  # rad off, within which it is one to drive to
FARTHEST = 2.0  # m of an arc ahead that are looked at
STANDS, LEAST_SPEED = 0.05, 0.02  # m/s


@njit(cache=True, nogil=True)
def as_arc(linear: float, angular: float, fastest: float, radius: float) -> tuple[float, float]:
    """The arc (m/s, rad/s) for a wish: of one that turns more tightly than the base can, the tightest, driven slowly
    where the wish was to stand. fastest: m/s; radius: m, of the tightest circle."""
    turn = abs(angular) * radius
    if turn > linear >= 0.0:
        linear = max(linear, min(turn, SLOW, fastest))
    most = abs(linear) / radius
    return linear, min(max(angular, -most), most)


@njit(cache=True, nogil=True)
def steer(c: Any, x: float, angular: float) -> float:
    """Turn the steering towards an arc (m/s, rad/s), as fast as it can; the speed (m/s) to drive at meanwhile.

    Braking to a stand or to the other direction keeps the curve.
    """
    radius = c.guard.radius
    now = c.command.linear_x
    wanted = c.curvature
    if x * now < 0.0:
        x = 0.0
    elif x != 0.0:
        wanted = min(max(angular / x, -1.0 / radius), 1.0 / radius)
    elif abs(now) < 1e-3:
        wanted = 0.0  # it stands: firmware_bridge lets go of the steering
    step = c.dt / (STEERING_TIME * radius)
    c.curvature += min(max(wanted - c.curvature, -step), step)
    return x * min(max(1.5 - abs(wanted - c.curvature) * radius, 0.1), 1.0)


@njit(cache=True, nogil=True)
def in_legs(c: Any, x: float, angular: float, guarded: bool) -> tuple[float, float, bool]:
    """The motion (m/s, rad/s, whether it is another than the wish) for what the guard let through of a wish."""
    if c.fastest < LEAST_SPEED:
        return x, angular, guarded
    heading = c.command.heading if not math.isnan(c.command.heading) else c.goal_bearing
    if c.leg == 0:
        held = _held(c, x, angular, guarded, heading)
        c.stuck = c.stuck + held * c.dt if held > 0.0 else max(c.stuck - c.dt, 0.0)
        if c.stuck < HELD_AFTER:
            _free_way(c, held)
            return x, angular, guarded
        c.side = 1.0 if heading > 0.0 else -1.0
        c.legs_failed, c.turned = min(c.legs_failed, NO_MORE - 2), NO_TURN
        _begin(c, -1)
    c.leg_way += abs(c.command.linear_x) * c.dt
    c.turned += c.side * c.command.angular_z * c.dt
    return _leg(c, heading)


@njit(cache=True, nogil=True)
def _held(c: Any, x: float, angular: float, guarded: bool, heading: float) -> float:
    """How far an arc ahead won't do: 1 where the guard holds it, or lets through only what turns less, or the goal lies
    within the circle that it would drive; NO_WISH where no heading is left that the network wishes to drive to; else
    0."""
    if abs(x) < LEAST_SPEED:
        return 1.0 if guarded else NO_WISH
    if abs(heading) < SIDEWAYS:
        return 0.0
    straighter = guarded and abs(angular) * c.guard.radius < 0.8 * abs(x)
    return 1.0 if straighter or _goal_within_circle(c, 0.0) else 0.0


@njit(cache=True, nogil=True)
def _free_way(c: Any, held: float) -> None:
    """Forget earlier legs after some way without being held."""
    if held > 0.0:
        c.leg_way = 0.0
        return
    c.legs_failed = 0
    c.leg_way += abs(c.command.linear_x) * c.dt
    if c.leg_way > FREE_WAY:
        c.vain = 0


@njit(cache=True, nogil=True)
def _goal_within_circle(c: Any, more: float) -> bool:
    """Whether the goal is so near beside the robot that it would only be driven around; more: m of hysteresis."""
    if not c.goal_known:
        return False
    radius = c.guard.radius
    gx, gy = c.goal_distance * math.cos(c.goal_bearing), c.goal_distance * math.sin(c.goal_bearing)
    return math.hypot(gx, abs(gy) - radius) < radius - 0.5 * c.goal_tolerance + more


@njit(cache=True, nogil=True)
def _begin(c: Any, leg: int) -> None:
    c.leg, c.leg_way = leg, 0.0


@njit(cache=True, nogil=True)
def _other_leg(c: Any) -> None:
    """End this leg and begin the next, in the other direction; or rest where neither went anywhere."""
    c.legs_failed = c.legs_failed + 1 if c.leg_way < NO_WAY else 0
    if c.leg == 1:
        if c.turned < NO_TURN:
            c.vain += 1
            if c.vain % 4 == 2:
                c.side = -c.side
        c.turned = 0.0
    _begin(c, -c.leg)
    if c.legs_failed >= NO_MORE:
        c.leg, c.stuck = 0, -REST


@njit(cache=True, nogil=True)
def _leg(c: Any, heading: float) -> tuple[float, float, bool]:
    """The motion of the leg at hand, and the end of it."""
    slow = min(SLOW, c.fastest)
    if c.leg * c.guard.speed < -STANDS:
        return 0.0, 0.0, True  # it still drives the other way
    if _ends(c, slow, heading):
        return 0.0, 0.0, True
    if _tight(c):
        if c.tick % LOOK_EVERY == 0 or c.leg_way == 0.0:
            c.bend = _longest_clear(c, slow)
        first, bends = c.bend, (0.0, 0.0, 0.0, 0.0)
    elif c.leg < 0:
        first, bends = 1.0, (0.5, 0.0, -0.5, -1.0)
    else:
        first, bends = 1.0, (0.7, 0.4, 0.4, 0.4)
    share, bend = _share_on_bend(c, slow, first), first
    for k in range(4):
        if share > 0.0:
            break
        bend = bends[k]
        share = _share_on_bend(c, slow, bend)
    if share == 0.0:
        _other_leg(c)
        return 0.0, 0.0, True
    return c.leg * share * slow, bend * c.side * share * slow / c.guard.radius, True


@njit(cache=True, nogil=True)
def _tight(c: Any) -> bool:
    """Whether it is no use to turn here: legs turned too little, or the last one went nowhere."""
    return bool(c.vain >= IN_VAIN or c.legs_failed > 0)


@njit(cache=True, nogil=True)
def _ends(c: Any, slow: float, heading: float) -> bool:
    """Whether the leg at hand ends for no obstacle, and the turn with it or the next leg begins."""
    if c.leg > 0:
        if abs(heading) < ALIGNED or (c.side * heading < 0.0 and abs(heading) < 2.0):
            _begin(c, 0)
            c.stuck = 0.0
            return True
        if _tight(c) and c.leg_way > LEAST_WAY:
            _other_leg(c)
            return True
        return False
    if c.leg_way < LEAST_WAY:
        return False
    goes_ahead = _goes_ahead(c, slow, heading)
    if goes_ahead:
        c.vain = 0
    if goes_ahead or c.leg_way > MOST_WAY * max(c.vain, 1):
        _other_leg(c)
        return True
    return False


@njit(cache=True, nogil=True)
def _share_on_bend(c: Any, slow: float, bend: float) -> float:
    """`share_on_arc` of the leg at hand; bend: of the tightest curve, the share that turns to the wished side."""
    turn = bend * c.side * slow / c.guard.radius
    return float(share_on_arc(c.scan.value, c.leg * slow, turn, c.guard))


@njit(cache=True, nogil=True)
def _longest_clear(c: Any, slow: float) -> float:
    """The bend, as in `_share_on_bend`, on which the leg at hand is clear farthest; of several the one that turns most
    to the wished side."""
    best, longest = 0.0, -1
    for bend in (1.0, 0.5, 0.0, -0.5, -1.0):
        turn, clear = bend * c.side * slow / c.guard.radius, 0
        while clear < LOOKS and is_clear_for(
            c.scan.value, c.leg * slow, turn, LOOK * 2**clear / slow, c.guard
        ):
            clear += 1
        if clear > longest:
            best, longest = bend, clear
    return best


@njit(cache=True, nogil=True)
def _goes_ahead(c: Any, slow: float, heading: float) -> bool:
    """Whether an arc ahead leads all the way to the heading, or, where that is ahead already, some way to it."""
    radius = c.guard.radius
    if abs(heading) > ALIGNED and _goal_within_circle(c, 0.2 * radius):
        return False
    bend = min(max(heading / ALIGNED, -1.0), 1.0)
    way = min(max(radius * abs(heading), 0.5), FARTHEST)
    return bool(is_clear_for(c.scan.value, slow, bend * slow / radius, way / slow, c.guard))

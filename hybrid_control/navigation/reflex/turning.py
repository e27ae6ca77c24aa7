"""A base that can't turn on the spot, as a car can't: its wishes are arcs, and where no arc ahead will do it turns in
legs, back and ahead by turns with the steering reversed (a three-point turn).

No network here: the ring says where to, and each leg passes the outline guard as every other motion does.
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from hybrid_control.navigation.reflex.guard import is_clear_ahead, share_on_arc

SLOW = 0.4  # m/s, of a leg, and of an arc that stands for a turn on the spot
STEERING_TIME = 0.3  # s in which the steering goes from straight ahead to its end
HELD_AFTER = 0.3  # s of being held by the guard, after which a turn in legs begins
REST = 1.0  # s until it is tried again where neither way was free
LEAST_WAY, MOST_WAY = 0.2, 1.5  # m back, before and after which a leg ends for no obstacle
NO_WAY, NO_MORE = 0.03, 4  # m, of a leg that went nowhere; how many of them in a row are enough
NO_TURN = 0.1  # rad that two legs turn at least, or the other side is tried
SIDEWAYS = 1.0  # rad off, from which on a heading is one to turn to
ALIGNED = 0.5  # rad off, within which it is one to drive to
FARTHEST = 2.0  # m of an arc ahead that are looked at
STANDS = 0.05  # m/s


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
    heading = c.command.heading if not math.isnan(c.command.heading) else c.goal_bearing
    if c.leg == 0:
        if not _held(c, x, angular, guarded, heading):
            c.stuck, c.legs_failed = max(c.stuck - c.dt, 0.0), 0
            return x, angular, guarded
        c.stuck += c.dt
        if c.stuck < HELD_AFTER:
            return x, angular, guarded
        c.side = 1.0 if heading > 0.0 else -1.0
        c.legs_failed, c.turned = min(c.legs_failed, NO_MORE - 2), NO_TURN
        _begin(c, -1)
    c.leg_way += abs(c.command.linear_x) * c.dt
    c.turned += c.side * c.command.angular_z * c.dt
    return _leg(c, heading)


@njit(cache=True, nogil=True)
def _held(c: Any, x: float, angular: float, guarded: bool, heading: float) -> bool:
    """Whether an arc ahead won't do: the guard holds it, or lets through only what turns less, or the goal lies within
    the circle that it would drive."""
    radius = c.guard.radius
    if guarded and abs(x) < 0.02:
        return True
    if abs(heading) < SIDEWAYS:
        return False
    return (guarded and abs(angular) * radius < 0.8 * abs(x)) or _goal_within_circle(c, 0.0)


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
    if c.leg < 0 and c.leg_way > LEAST_WAY and (c.leg_way > MOST_WAY or _goes_ahead(c, slow, heading)):
        _other_leg(c)
        return 0.0, 0.0, True
    if c.leg > 0 and (abs(heading) < ALIGNED or (c.side * heading < 0.0 and abs(heading) < 2.0)):
        c.leg, c.stuck = 0, 0.0
        return 0.0, 0.0, True
    for bend in (1.0, 0.5, 0.0, -0.5, -1.0) if c.leg < 0 else (1.0, 0.7, 0.4, 0.4, 0.4):
        x, angular = c.leg * slow, bend * c.side * slow / c.guard.radius
        share = share_on_arc(c.scan.value, x, angular, c.guard)
        if share > 0.0:
            return x * share, angular * share, True
    _other_leg(c)
    return 0.0, 0.0, True


@njit(cache=True, nogil=True)
def _goes_ahead(c: Any, slow: float, heading: float) -> bool:
    """Whether an arc ahead leads all the way to the heading, or, where that is ahead already, some way to it."""
    radius = c.guard.radius
    if abs(heading) > ALIGNED and _goal_within_circle(c, 0.2 * radius):
        return False
    bend = min(max(heading / ALIGNED, -1.0), 1.0)
    way = min(max(radius * abs(heading), 0.5), FARTHEST)
    return bool(is_clear_ahead(c.scan.value, slow, bend * slow / radius, way / slow, c.guard))

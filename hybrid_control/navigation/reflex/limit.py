"""What becomes of a wished motion before it leaves: evasion, guard, the way out, and how fast speeds may change."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from hybrid_control.navigation.reflex.corners import fastest_past
from hybrid_control.navigation.reflex.evasion import evade, on_a_circle
from hybrid_control.navigation.reflex.guard import (
    GUARD_MARGIN,
    SLIM_MARGIN,
    SLIM_STOP,
    guard,
    no_faster,
    sort_out_near,
    way_out,
    within_sight,
)
from hybrid_control.navigation.reflex.percept import pose_after
from hybrid_control.navigation.reflex.turning import in_legs, steer
from hybrid_control.navigation.reflex.unseen import fastest_seen

SLOWLY = 0.2  # m/s, fastest where the way between two things is as narrow as can be driven
ALIGN_GAIN, MOST_OFF = 2.0, 0.25  # 1/s and rad, by which a robot turns onto the line through such a way
STUCK_AFTER = 0.6  # s of being held by the guard, after which the robot backs off
BACK_OFF = 0.8  # s
TURNS_AWAY = 0.25  # rad to one side, turned while it is held
HEIGHT_GAIN = 1.0  # 1/s, climb for a metre that is missing


@njit(cache=True, nogil=True)
def limit(c: Any, now_ns: int) -> None:
    """Let through of the wish what is safe, and ramp the command towards it."""
    g, command, seen = c.gains.value, c.command, c.scan.value
    x, y, w = command.wish_x, command.wish_y, command.wish_yaw
    car, evading = c.guard.radius > 0.0, False
    _prepare(c, now_ns)
    if seen.hiding > 0 and g.hidden_speed > 0.0:
        x, y = no_faster(x, y, fastest_past(seen.corners, seen.hiding, g.hidden_speed, c.guard))
        if car and x != command.wish_x:
            w *= x / command.wish_x
    looked_for = c.directions.sequence > 0 and now_ns - c.directions.received_ns <= g.planner_timeout * 1e9
    if looked_for and g.unseen_speed > 0.0:
        here = pose_after(c.motion.value, max(now_ns - c.motion.received_ns, 0) * 1e-9)
        fastest = fastest_seen(c.directions.value, here, (x, y, w), g.unseen_speed, c.guard)
        if car and fastest < abs(x):
            w *= fastest / abs(x)
        x, y = no_faster(x, y, fastest)
    if seen.moving > 0:
        before = (c.evaded_x, c.evaded_yaw, c.evaded > 0)
        x, w, evading = evade(seen.times, x, w, seen.fastest, seen.fastest_turn, before)
        c.evaded_x, c.evaded_yaw = x, w
        y = 0.0  # the table has no motions sideways
        if car:
            w = on_a_circle(w, x, c.guard.radius)
    c.evaded = evading
    wished = x
    if c.narrow > 0.0:
        x = min(x, c.narrow * SLOWLY + (1.0 - c.narrow) * max(g.max_speed, SLOWLY))
        if not car and not c.guard.holonomic and x > 0.0:  # finer than the ring's sectors are
            w += c.narrow * ALIGN_GAIN * min(max(c.gap_bearing, -MOST_OFF), MOST_OFF)
    x, y = within_sight(seen, x, y, c.guard)
    if car and x != wished:
        w *= x / wished  # on the same curve
    sort_out_near(seen, max(math.sqrt(x * x + y * y), abs(c.guard.speed)), c.guard)
    x, y, w, guarded = guard(seen, x, y, w, c.guard)
    if car and evading:
        c.leg = 0  # what moves has the say
    elif car:
        x, w, guarded = in_legs(c, x, w, guarded)
    # backing off, the network may wish nothing, for what is near behind holds it from going back
    if c.back_off > 0.0 and max(abs(x), abs(y)) < 0.02:
        if c.guard.holonomic:
            x, y, _ = way_out(seen, c.fastest, g.max_yaw_rate, c.guard)
        elif abs(w) < 0.1:
            x, y, w = way_out(seen, c.fastest, g.max_yaw_rate, c.guard)
    command.guarded = guarded
    command.allowed_x, command.allowed_y, command.allowed_yaw = x, y, w
    command.ticks_driven += 1
    if x != command.wish_x or y != command.wish_y or w != command.wish_yaw:
        command.ticks_limited += 1

    if not car:
        _count_held(c, guarded and max(abs(x), abs(y)) < 0.02, w)
    c.back_off = max(0.0, c.back_off - c.dt)
    if c.stuck >= STUCK_AFTER and not car:
        c.stuck = 0.0
        c.back_off = BACK_OFF
    vertical = 0.0
    if c.hover_height > 0.0:
        v = c.vertical.value
        vertical = climb(v.up, v.down, c.hover_height, c.vertical_clearance, c.max_climb)
    slew = g.max_acceleration * c.dt
    if car:
        x = steer(c, x, w)
    command.linear_x = _towards(command.linear_x, x, slew)
    command.linear_y = _towards(command.linear_y, y, slew)
    command.linear_z = _towards(command.linear_z, vertical, slew)
    if car:  # whatever the speed, on the curve of the steering
        command.angular_z = c.curvature * command.linear_x
    else:
        command.angular_z = _towards(command.angular_z, w, c.guard.yaw_acceleration * c.dt)


@njit(cache=True, nogil=True)
def _count_held(c: Any, held: bool, turn: float) -> None:
    """Note for how long the guard has held the robot; one that sways to and fro is held, one that turns away is not."""
    c.held_turn = c.held_turn + turn * c.dt if held else 0.0
    if abs(c.held_turn) > TURNS_AWAY:
        c.stuck = c.held_turn = 0.0
    rise = c.dt if abs(turn) < 0.1 else 0.5 * c.dt
    c.stuck = min(STUCK_AFTER, c.stuck + rise) if held else max(0.0, c.stuck - c.dt)


@njit(cache=True, nogil=True)
def stand(c: Any) -> None:
    """No motion, at once."""
    command = c.command
    command.linear_x = command.linear_y = command.linear_z = command.angular_z = 0.0
    command.wish_x = command.wish_y = command.wish_yaw = 0.0
    command.allowed_x = command.allowed_y = command.allowed_yaw = 0.0
    command.guarded = 0
    c.stuck = c.back_off = c.curvature = 0.0
    c.leg = c.legs_failed = c.vain = c.evaded = 0
    c.leg_way = 0.0


@njit(cache=True, nogil=True)
def _prepare(c: Any, now_ns: int) -> None:
    """Write the age of what is seen, and how far a holonomic vehicle drifts, into the guard's record."""
    c.guard.scan_age = max(now_ns - c.scan.received_ns, 0) * 1e-9 + c.scan.value.lag
    c.guard.age = max(now_ns - c.seen_ns, 0) * 1e-9 + c.scan.value.lag
    m, response = c.motion.value, c.guard.response
    x, y, w = m.linear_x, m.linear_y, m.angular_z
    if c.motion.sequence == 0 or now_ns - c.motion.received_ns > c.gains.value.odometry_timeout * 1e9:
        x, y, w = c.command.linear_x, c.command.linear_y, c.command.angular_z
    c.guard.speed, c.guard.turn = x, w
    stop = c.gains.value.stop_distance
    c.guard.outline.margin = GUARD_MARGIN - c.narrow * (GUARD_MARGIN - SLIM_MARGIN)
    c.guard.stop_distance = stop - c.narrow * max(stop - SLIM_STOP, 0.0)
    if not c.guard.holonomic:
        return
    c.guard.drift_x, c.guard.drift_y, c.guard.drift_yaw = x * response, y * response, w * response


@njit(cache=True, nogil=True)
def _towards(value: float, target: float, rise: float) -> float:
    """Move a speed to its target: away from zero by at most `rise`, towards zero by at most three times that."""
    fall = 3.0 * rise
    if abs(target) <= abs(value) or target * value < 0.0:
        return max(target, value - fall) if value > 0.0 else min(target, value + fall)
    return min(target, value + rise) if target > value else max(target, value - rise)


@njit(cache=True, nogil=True)
def climb(up: float, down: float, height: float, clearance: float, fastest: float) -> float:
    """Vertical speed in m/s, up positive, that brings the range to the ground to `height` m.

    up, down: ranges in m from the vehicle's middle, inf for nothing in range; clearance: m that neither is to fall
    short of. Where there is not room for both, and the vehicle is between the two, it stays where it is.
    """
    wished = HEIGHT_GAIN * (height - down) if down < np.inf else -fastest
    most = HEIGHT_GAIN * (up - clearance)
    least = HEIGHT_GAIN * (clearance - down)
    if least > most:
        return 0.0
    return min(max(min(max(wished, least), most), -fastest), fastest)

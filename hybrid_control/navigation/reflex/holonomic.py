"""What the tick does differently for a vehicle that moves in any direction: its guard, its way out, its height.

The network is the same. The populations that turn a rover push such a vehicle sideways as well, and range sensors up
and down bound how it climbs and sinks.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from hybrid_control.navigation.reflex.guard import SCALES, STEPS, Float32Array, outline_distance

SLIDES = (
    0.0,
    math.radians(30),
    math.radians(-30),
    math.radians(60),
    math.radians(-60),
)  # off the wished direction
HEIGHT_GAIN = 1.0  # 1/s, climb for a metre that is missing
WAY_OUT_SPEED = 0.2  # m/s
REACTION = 0.1  # s, in which a command takes its way


@numba.njit(cache=True, nogil=True)
def displacement(x: float, y: float, angular: float, time: float) -> tuple[float, float, float]:
    """Where a body is after a time with a constant twist (x, y m/s, angular rad/s): (x, y, yaw) in its first frame.

    The integral of R(angular t) (x, y): with s = sin(yaw) / angular and c = (1 - cos(yaw)) / angular it is
    (s x - c y, c x + s y); near angular = 0 the series of both.
    """
    yaw = angular * time
    if abs(yaw) < 1e-6:
        s, c = time, 0.5 * time * yaw
    else:
        s, c = math.sin(yaw) / angular, (1.0 - math.cos(yaw)) / angular
    return s * x - c * y, c * x + s * y, yaw


@numba.njit(cache=True, nogil=True)
def is_free(
    points: Float32Array,
    count: int,
    x: float,
    y: float,
    angular: float,
    horizon: float,
    drift_x: float,
    drift_y: float,
    drift_yaw: float,
    half_length: float,
    half_width: float,
    margin: float,
    ahead: float,
) -> bool:
    """Whether the outline stays `margin` m off all points for `horizon` s, and for `ahead` m more on the same way.

    x, y: m/s and angular: rad/s in the body frame; drift_x, drift_y: m, and drift_yaw: rad, that the body
    moves besides.
    A point that is nearer than that at the start is no reason to refuse motion that does not bring it nearer.
    """
    way = math.hypot(x, y) * horizon
    stretch = 1.0 + ahead / way if way > 1e-6 else 1.0
    turning = angular + drift_yaw / horizon
    reach = math.hypot(half_length, half_width) + margin + way * stretch + math.hypot(drift_x, drift_y)
    for k in range(1, STEPS + 1):
        px, py, yaw = displacement(x * stretch, y * stretch, turning, horizon * k / STEPS)
        px += drift_x * k / STEPS
        py += drift_y * k / STEPS
        c = math.cos(yaw)
        s = math.sin(yaw)
        for i in range(count):
            qx = points[i, 0]
            qy = points[i, 1]
            if qx * qx + qy * qy > reach * reach:
                continue
            dx = qx - px
            dy = qy - py
            bx, by = c * dx + s * dy, c * dy - s * dx
            if abs(bx) - half_length >= margin or abs(by) - half_width >= margin:
                continue
            distance = outline_distance(bx, by, half_length, half_width)
            if distance < margin and distance < outline_distance(qx, qy, half_length, half_width) - 1e-4:
                return False
    return True


@numba.njit(cache=True, nogil=True)
def guard(
    points: Float32Array,
    count: int,
    x: float,
    y: float,
    angular: float,
    moving_x: float,
    moving_y: float,
    moving_yaw: float,
    age: float,
    response: float,
    deceleration: float,
    half_length: float,
    half_width: float,
    margin: float,
    front: float,
) -> tuple[float, float, float, bool]:
    """The command as far as it is safe: (x, y m/s, angular rad/s, whether it was changed).

    points: (n, 2) m in the body frame at the time of the scan, the first `count` of them valid; age: s since then.
    moving_x, moving_y: m/s and moving_yaw: rad/s, how it moves now. It follows a command as a low pass of time
    constant `response` does: told to stop, it goes on for its speed times that. On top of this it is taken to move as
    commanded for the scan's age and a reaction time, and to brake. Tried in turn:
    less and less speed, the share of it that points 30° and 60° to either side, the same without the turn, the turn
    alone, a stop. No answer is faster than the command.
    """
    if count == 0 or (x == 0.0 and y == 0.0 and angular == 0.0):
        return x, y, angular, False
    speed = math.hypot(x, y)
    ahead = max(front - margin, 0.0)
    dx, dy, dyaw = moving_x * response, moving_y * response, moving_yaw * response
    if speed > 0.0:
        for turn in (angular, 0.0):
            # what it drifts before a command takes effect must be free by itself: the command may come too late
            drifts = is_free(
                points,
                count,
                0.0,
                0.0,
                turn,
                age + REACTION,
                dx,
                dy,
                dyaw,
                half_length,
                half_width,
                margin,
                0.0,
            )
            if not drifts:
                continue
            for slide in SLIDES:
                share = math.cos(slide)
                sx, sy = share * x - math.sin(slide) * y, math.sin(slide) * x + share * y
                for k in range(SCALES):
                    scale = share * (1.0 - k / SCALES)
                    horizon = min(age + REACTION + 0.5 * speed * scale / deceleration, 2.0)
                    vx, vy = scale * sx, scale * sy
                    if is_free(
                        points,
                        count,
                        vx,
                        vy,
                        turn,
                        horizon,
                        dx,
                        dy,
                        dyaw,
                        half_length,
                        half_width,
                        margin,
                        ahead,
                    ):
                        return vx, vy, turn, k > 0 or slide != 0.0 or turn != angular
            if angular == 0.0:
                break
    for part in (1.0, 0.5):
        turn = angular * part
        if turn != 0.0 and is_free(
            points, count, 0.0, 0.0, turn, age + REACTION, dx, dy, dyaw, half_length, half_width, margin, 0.0
        ):
            return 0.0, 0.0, turn, True
    return 0.0, 0.0, 0.0, True


@numba.njit(cache=True, nogil=True)
def way_out(
    points: Float32Array,
    count: int,
    fastest: float,
    age: float,
    response: float,
    deceleration: float,
    half_length: float,
    half_width: float,
    margin: float,
) -> tuple[float, float]:
    """The first slow motion, backwards before sideways before ahead, that is free; (x, y) m/s, zero for none."""
    slow = min(WAY_OUT_SPEED, fastest)
    horizon = age + response + 0.5 * slow / deceleration
    for k in range(8):
        direction = math.pi - (1 - 2 * (k % 2)) * ((k + 1) // 2) * math.pi / 4
        x, y = slow * math.cos(direction), slow * math.sin(direction)
        if is_free(points, count, x, y, 0.0, horizon, 0.0, 0.0, 0.0, half_length, half_width, margin, 0.0):
            return x, y
    return 0.0, 0.0


@numba.njit(cache=True, nogil=True)
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

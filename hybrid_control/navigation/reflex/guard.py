"""The outline guard: the last word before the motors, plain geometry behind the spiking network.

It slows a velocity command until the robot, braking as it can, would come to rest before its outline meets a point
that the scan saw. Motion that takes the outline away from what it is already close to always stays allowed.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]

STEPS = 6  # poses checked along the way
SCALES = 5  # speeds tried, from the whole command down to a stop


@numba.njit(cache=True, nogil=True)
def outline_distance(x: float, y: float, half_length: float, half_width: float) -> float:
    """Signed distance in m from a point in the body frame to the rectangular outline; negative inside."""
    dx = abs(x) - half_length
    dy = abs(y) - half_width
    outside = math.hypot(max(dx, 0.0), max(dy, 0.0))
    return outside + min(max(dx, dy), 0.0)


@numba.njit(cache=True, nogil=True)
def nearest_distance(points: Float32Array, count: int, half_length: float, half_width: float) -> float:
    """Signed distance in m from the outline to the nearest of the first `count` points, (n, 2) m; inf for none."""
    nearest = np.inf
    for i in range(count):
        nearest = min(nearest, outline_distance(points[i, 0], points[i, 1], half_length, half_width))
    return nearest


@numba.njit(cache=True, nogil=True)
def displacement(linear: float, angular: float, time: float) -> tuple[float, float, float]:
    """Where a body that moves with a constant twist is after a time: (x, y, yaw) in its first frame.

    x = v/w sin(wt), y = v/w (1 - cos(wt)); near w = 0 the series of both.
    """
    yaw = angular * time
    if abs(yaw) < 1e-6:
        return linear * time, 0.5 * linear * time * yaw, yaw
    radius = linear / angular
    return radius * math.sin(yaw), radius * (1.0 - math.cos(yaw)), yaw


@numba.njit(cache=True, nogil=True)
def _pose(linear: float, angular: float, time: float) -> tuple[float, float, float, float]:
    x, y, yaw = displacement(linear, angular, time)
    return x, y, math.cos(yaw), math.sin(yaw)


@numba.njit(cache=True, nogil=True)
def is_free(
    points: Float32Array,
    count: int,
    linear: float,
    angular: float,
    horizon: float,
    half_length: float,
    half_width: float,
    margin: float,
    front: float,
) -> bool:
    """Whether the outline stays `margin` (and `front` in the direction of travel) off all points for `horizon` s.

    A point that is nearer than that at the start is no reason to refuse motion that does not bring it nearer.
    """
    ahead = 0.5 * max(front - margin, 0.0)
    shift = ahead if linear > 0.0 else 0.0
    length = half_length + shift
    # what the outline cannot come near on this way need not be looked at closer
    reach = math.hypot(half_length + 2.0 * shift, half_width) + margin + abs(linear) * horizon
    poses = (  # STEPS of them; a tuple, which needs no memory
        _pose(linear, angular, horizon * 1 / STEPS), _pose(linear, angular, horizon * 2 / STEPS),
        _pose(linear, angular, horizon * 3 / STEPS), _pose(linear, angular, horizon * 4 / STEPS),
        _pose(linear, angular, horizon * 5 / STEPS), _pose(linear, angular, horizon * 6 / STEPS),
    )  # fmt: skip
    for i in range(count):
        x = points[i, 0]
        y = points[i, 1]
        if x * x + y * y > reach * reach:
            continue
        for px, py, c, s in poses:
            dx = x - px
            dy = y - py
            bx, by = c * dx + s * dy - shift, c * dy - s * dx
            # most points are beside, where no root is needed to see that they are farther than the margin
            if abs(bx) - length >= margin or abs(by) - half_width >= margin:
                continue
            distance = outline_distance(bx, by, length, half_width)
            if distance < margin:
                now = outline_distance(x - shift, y, length, half_width)
                if distance < now - 1e-4:
                    return False
    return True


@numba.njit(cache=True, nogil=True)
def guard(
    points: Float32Array,
    count: int,
    linear: float,
    angular: float,
    age: float,
    deceleration: float,
    half_length: float,
    half_width: float,
    margin: float,
    front: float,
) -> tuple[float, float, bool]:
    """The command as far as it is safe: (linear m/s, angular rad/s, whether it was changed).

    points: (n, 2) m in the body frame at the time of the scan, the first `count` of them valid; age: s since then.
    The robot is taken to drive the command for the scan's age and a reaction time, then to brake. Along the way its
    outline must stay `margin` m off every point. Tried in turn: less and less speed on the same path, the same with
    half the turn and with none, then the turn alone, then a stop.
    """
    if count == 0 or (linear == 0.0 and angular == 0.0):
        return linear, angular, False
    for bend in (1.0, 0.5, 0.0):
        for k in range(SCALES):
            scale = 1.0 - k / SCALES
            v = linear * scale
            w = angular * scale * bend
            horizon = min(age + 0.1 + 0.5 * abs(v) / deceleration, 2.0)
            if is_free(points, count, v, w, horizon, half_length, half_width, margin, front):
                return v, w, k > 0 or bend < 1.0
        if linear == 0.0 or angular == 0.0:
            break  # there is no path to straighten
    for share in (1.0, 0.5):
        w = angular * share
        if w != 0.0 and is_free(points, count, 0.0, w, age + 0.1, half_length, half_width, margin, margin):
            return 0.0, w, True
    return 0.0, 0.0, True

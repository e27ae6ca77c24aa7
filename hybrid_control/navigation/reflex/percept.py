"""What a range scan means to the reflex: points near the robot, the free range of each sector, and how fast it shrinks.

Called once a scan, from the callback that received it, with the interpreter released; the loop reads the result.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.signals.headings import HEADINGS, sector_of

MAX_BEAMS = 4096
MAX_POINTS = 512
MAX_APPROACH = 5.0  # m/s, faster is taken for an artefact of the scan
NEAR = 2.5  # m from the robot's centre: points beyond can't concern the outline guard

Float32Array = NDArray[np.float32]


def sector_directions() -> Float32Array:
    """`HEADINGS`, (72,) rad, in the precision of a scan."""
    return HEADINGS.astype(np.float32)


@numba.njit(cache=True, nogil=True)
def _place(r: float, angle: float, range_min: float, range_max: float, mount_x: float) -> tuple[float, float]:
    """Where a reading lies in the body frame, m; inf for none."""
    if r == -np.inf:
        r = range_min
    elif not range_min <= r <= range_max:
        return np.inf, np.inf
    return mount_x + r * math.cos(angle), r * math.sin(angle)


@numba.njit(cache=True, nogil=True)
def perceive(
    ranges: Float32Array,
    angle_min: float,
    angle_increment: float,
    range_min: float,
    range_max: float,
    mount_x: float,
    mount_yaw: float,
    points: Float32Array,
    sectors: Float32Array,
) -> int:
    """Fill `points` and `sectors` from one sweep; returns the number of points.

    ranges: (n,) m, free of NaN and of negative values other than -inf (which means: too close to measure).
    mount_x, mount_yaw: the sensor's place ahead of the robot's centre (m) and its turn (rad).
    points: (MAX_POINTS, 2) out, obstacles within NEAR of the robot's centre, body frame, m; where there are more,
    they are thinned evenly over the sweep so that no side goes unseen.
    sectors: (SECTORS,) out, distance from the robot's centre to the nearest obstacle of each sector, m, inf for none.
    """
    sectors[:] = np.inf
    near = 0
    for i in range(ranges.shape[0]):
        x, y = _place(ranges[i], angle_min + i * angle_increment + mount_yaw, range_min, range_max, mount_x)
        distance = math.hypot(x, y)
        if not distance < np.inf:
            continue
        sector = sector_of(math.atan2(y, x))
        sectors[sector] = min(sectors[sector], distance)
        if distance <= NEAR:
            if near < points.shape[0]:
                points[near, 0], points[near, 1] = x, y
            near += 1
    if near <= points.shape[0]:
        return near
    stride = (near + points.shape[0] - 1) // points.shape[0]
    count = seen = 0
    for i in range(ranges.shape[0]):
        x, y = _place(ranges[i], angle_min + i * angle_increment + mount_yaw, range_min, range_max, mount_x)
        if math.hypot(x, y) <= NEAR:
            if seen % stride == 0:
                points[count, 0], points[count, 1] = x, y
                count += 1
            seen += 1
    return count


@numba.njit(cache=True, nogil=True)
def approach_speeds(
    sectors: Float32Array, before: Float32Array, interval: float, smoothing: float, speeds: Float32Array
) -> None:
    """Update `speeds`, how fast the free range of each sector shrinks, in m/s and >= 0.

    The range before is the least of the sector and its two neighbours, so that a turn of the robot by one sector
    between two scans is not taken for an approach. smoothing: weight of the new value, 0 .. 1.
    """
    n = sectors.shape[0]
    for i in range(n):
        previous = min(before[i - 1], before[i], before[(i + 1) % n])
        speed = 0.0
        if interval > 0.0 and previous < np.inf and sectors[i] < np.inf:
            speed = (previous - sectors[i]) / interval
            if speed > MAX_APPROACH:
                speed = 0.0
            speed = max(speed, 0.0)
        speeds[i] += np.float32(smoothing) * (np.float32(speed) - speeds[i])

"""What a range scan means to the reflex: points near the robot, the free range of each sector, and how fast it shrinks.

Called once a scan, from the callback that received it, with the interpreter released; the loop reads the result.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

SECTORS = 72
MAX_BEAMS = 4096
MAX_POINTS = 512
APPROACH_SMOOTHING = 0.4
MAX_APPROACH = 5.0  # m/s, faster is taken for an artefact of the scan
NEAR = 2.5  # m from the robot's centre: points beyond can't concern the outline guard

RINGS = 25  # of even width up to NEAR, by which the points near the robot are ordered

SWEEP = np.dtype(
    [
        ("angle_min", np.float64),  # rad, of the first beam, and from one to the next
        ("angle_increment", np.float64),
        ("range_min", np.float64),  # m
        ("range_max", np.float64),
        ("mount_x", np.float64),  # m, the sensor's place ahead of the robot's centre
        ("mount_yaw", np.float64),  # rad, its turn
        ("interval", np.float64),  # s since the sweep before; 0 where none was
        (
            "motion_age",
            np.float64,
        ),  # s from the newest odometry to the sweep; negative where none is to be used
    ],
    align=True,
)

Float32Array = NDArray[np.float32]


def sector_directions() -> Float32Array:
    """Preferred direction of each sector, (72,) radians in the body frame: -pi + (i + 0.5) 2 pi / 72."""
    return (-np.pi + (np.arange(SECTORS) + 0.5) * (2 * np.pi / SECTORS)).astype(np.float32)


@numba.njit(cache=True, nogil=True)
def _place(r: float, k: int, sweep: Any) -> tuple[float, float]:
    """Where the reading of beam k lies in the body frame, m; inf for none."""
    if r == -np.inf:
        r = sweep.range_min
    elif not sweep.range_min <= r <= sweep.range_max:
        return np.inf, np.inf
    angle = sweep.angle_min + k * sweep.angle_increment + sweep.mount_yaw
    return sweep.mount_x + r * math.cos(angle), r * math.sin(angle)


@numba.njit(cache=True, nogil=True)
def perceive(ranges: Float32Array, sweep: Any, points: Float32Array, sectors: Float32Array) -> int:
    """Fill `points` and `sectors` from one sweep; returns the number of points.

    ranges: (n,) m, free of NaN and of negative values other than -inf (which means: too close to measure); sweep: a
    SWEEP. points: (MAX_POINTS, 2) out, obstacles within NEAR of the robot's centre, body frame, m; where there are
    more, they are thinned evenly over the sweep so that no side goes unseen.
    sectors: (SECTORS,) out, distance from the robot's centre to the nearest obstacle of each sector, m, inf for none.
    """
    sectors[:] = np.inf
    near = 0
    for i in range(ranges.shape[0]):
        x, y = _place(ranges[i], i, sweep)
        distance = math.hypot(x, y)
        if not distance < np.inf:
            continue
        bearing = math.atan2(y, x)
        sector = int((bearing + math.pi) * (SECTORS / (2.0 * math.pi))) % SECTORS
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
        x, y = _place(ranges[i], i, sweep)
        if math.hypot(x, y) <= NEAR:
            if seen % stride == 0:
                points[count, 0], points[count, 1] = x, y
                count += 1
            seen += 1
    return count


@numba.njit(cache=True, nogil=True)
def order_points(scan: Any) -> None:
    """Bring the points of a SCAN in order of the ring in which they lie, and count those within each."""
    points, count, within = scan.points, scan.count, scan.within
    ring = np.empty(count, np.int64)
    within[:] = 0
    for i in range(count):
        distance = math.sqrt(points[i, 0] * points[i, 0] + points[i, 1] * points[i, 1])
        ring[i] = min(int(distance * (RINGS / NEAR)), RINGS - 1)
        within[ring[i] + 1] += 1
    for k in range(RINGS):
        within[k + 1] += within[k]
    unordered = points[:count].copy()
    after = within.copy()
    for i in range(count):
        k = after[ring[i]]
        points[k, 0], points[k, 1] = unordered[i, 0], unordered[i, 1]
        after[ring[i]] += 1


@numba.njit(cache=True, nogil=True)
def points_within(scan: Any, distance: float) -> int:
    """How many of the first points of a SCAN need be looked at for all that lie within `distance` m."""
    return scan.within[min(int(distance * (RINGS / NEAR) + 0.01) + 1, RINGS)]


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

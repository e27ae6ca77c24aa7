"""What a range scan means to the reflex: points near the robot, the free range of each sector, and how fast it shrinks.

Called once a scan, from the callback that received it, with the interpreter released; the loop reads the result.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.outline import carried_on
from hybrid_control.geometry.shapes import rough_bearing
from hybrid_control.signals.headings import HEADINGS, SECTORS, sector_of

MAX_BEAMS = 4096
MAX_POINTS = 512
APPROACH_SMOOTHING = 0.4
WIDEST_BEAM = math.radians(5.0)  # to either side, that a beam stands for
MAX_APPROACH = 5.0  # m/s, faster is taken for an artefact of the scan
NEAR = 2.5  # m from the robot's centre within which points are kept for the guard, and farther for a robot that is fast

SWEEP = np.dtype(
    [
        ("angle_min", np.float64),  # rad, of the first beam, and from one to the next
        ("angle_increment", np.float64),
        ("range_min", np.float64),  # m
        ("range_max", np.float64),
        ("mount_x", np.float64),  # m, the sensor's place ahead and to the left of the robot's centre
        ("mount_y", np.float64),
        ("mount_yaw", np.float64),  # rad, its turn
        ("interval", np.float64),  # s since the sweep before; 0 where none was
        ("motion_age", np.float64),  # s from the newest odometry to the sweep; negative for none
    ],
    align=True,
)

# The directions of a sweep's beams, for as long as it keeps its shape.
BEAMS = np.dtype(
    [
        ("count", np.int64),
        ("angle_min", np.float64),
        ("angle_increment", np.float64),
        ("mount_yaw", np.float64),
        ("sensor", np.float64, (MAX_BEAMS, 2)),  # cosine and sine in the sensor's frame
        ("body", np.float64, (MAX_BEAMS, 2)),  # and in the robot's
        ("rays", np.int16, (MAX_BEAMS,)),  # the sector that each points to from where the sensor is
        ("firsts", np.int16, (MAX_BEAMS,)),  # the first of the sectors that it covers, and how many
        ("spans", np.int16, (MAX_BEAMS,)),
    ],
    align=True,
)

Float32Array = NDArray[np.float32]


def sector_directions() -> Float32Array:
    """`HEADINGS`, (72,) rad, in the precision of a scan."""
    return HEADINGS.astype(np.float32)


_EDGE_ANGLES = -np.pi + np.arange(SECTORS + 1) * (2 * np.pi / SECTORS)
EDGES = np.stack((np.cos(_EDGE_ANGLES), np.sin(_EDGE_ANGLES)), 1)  # of the sectors, as directions


@numba.njit(cache=True, nogil=True)
def goes_round(count: int, angle_increment: float) -> bool:
    """Whether so many beams, rad apart, go all the way round, so that the last lies beside the first."""
    return abs(angle_increment) * count > 2.0 * math.pi - 1.5 * abs(angle_increment)


@numba.njit(cache=True, nogil=True)
def pose_after(motion: Any, age: float) -> tuple[float, float, float]:
    """Where a MOTION leads in so many s: x, y in m, yaw in rad."""
    pose = motion.x, motion.y, motion.yaw
    return carried_on(pose, (motion.linear_x, motion.linear_y, motion.angular_z), age)


@numba.njit(cache=True, nogil=True)
def lay_out(beams: Any, count: int, sweep: Any) -> None:
    """Work out the directions of a sweep's beams, unless it is shaped as the one before."""
    first, step, turn = sweep.angle_min, sweep.angle_increment, sweep.mount_yaw
    if (beams.count, beams.angle_min, beams.angle_increment, beams.mount_yaw) == (count, first, step, turn):
        return
    beams.count, beams.angle_min, beams.angle_increment, beams.mount_yaw = count, first, step, turn
    for k in range(count):
        angle = first + k * step
        beams.sensor[k, 0], beams.sensor[k, 1] = math.cos(angle), math.sin(angle)
        beams.body[k, 0], beams.body[k, 1] = math.cos(angle + turn), math.sin(angle + turn)
    # a beam covers its sector, and those whose middle lies within half a step of it
    half = min(0.5 * abs(step), WIDEST_BEAM) if count > 1 else 0.0
    for k in range(count):
        place = (first + k * step + turn + math.pi) * (SECTORS / (2.0 * math.pi))
        own, reach = math.floor(place), half * (SECTORS / (2.0 * math.pi))
        low, high = min(own, math.ceil(place - reach - 0.5)), max(own, math.floor(place + reach - 0.5))
        beams.rays[k], beams.firsts[k], beams.spans[k] = own % SECTORS, low % SECTORS, high - low + 1


@numba.njit(cache=True, nogil=True)
def _place(r: float, k: int, sweep: Any, beams: Any) -> tuple[float, float]:
    """Where the reading of beam k lies in the body frame, m; inf for none."""
    if r == -np.inf:
        r = sweep.range_min
    elif not sweep.range_min <= r <= sweep.range_max:
        return np.inf, np.inf
    return sweep.mount_x + r * beams.body[k, 0], sweep.mount_y + r * beams.body[k, 1]


@numba.njit(cache=True, nogil=True)
def _surely_in(sector: int, x: float, y: float, square: float) -> bool:
    """Whether a point lies in a sector, and not so close to its edges that rounding might place it beside."""
    after = y * EDGES[sector, 0] - x * EDGES[sector, 1]
    before = x * EDGES[sector + 1, 1] - y * EDGES[sector + 1, 0]
    return after > 0.0 and before > 0.0 and min(after, before) ** 2 > 1e-18 * square


@numba.njit(cache=True, nogil=True)
def _sector_at(x: float, y: float, square: float) -> int:
    """The sector that a point lies in; its bearing is worked out to the end only beside an edge."""
    if square > 0.0:
        sector = sector_of(rough_bearing(x, y))
        if _surely_in(sector, x, y, square):
            return sector
    return sector_of(math.atan2(y, x))


@numba.njit(cache=True, nogil=True)
def _length(x: float, y: float, square: float) -> np.float32:
    """hypot(x, y) in the precision of a scan, by the root of the square unless that might round another way."""
    root = math.sqrt(square)
    low, high = np.float32(root * (1.0 - 1e-15)), np.float32(root * (1.0 + 1e-15))
    return low if low == high else np.float32(math.hypot(x, y))


@numba.njit(cache=True, nogil=True)
def _is_near(x: float, y: float, square: float, reach: float) -> bool:
    """Whether a point lies within reach; its root is taken only where the square leaves a doubt."""
    if abs(square - reach * reach) > 1e-9:
        return square < reach * reach
    return math.hypot(x, y) <= reach


@numba.njit(cache=True, nogil=True)
def perceive(ranges: Float32Array, sweep: Any, beams: Any, reach: float, most: int, scan: Any) -> int:
    """Fill `points`, `rays` and `sectors` of a SCAN from one sweep; returns the number of points.

    ranges: (n,) m; what lies outside range_min .. range_max gives no point, but -inf does, which means too close to
    measure. sweep: a SWEEP; beams: its BEAMS; reach: m from the robot's centre within which points are kept, body
    frame, m; where there are more than `most`, the nearest of each of as many equal parts of them. sectors: distance
    from the robot's centre to the nearest obstacle of each sector, m, inf for none.
    """
    points, rays, sectors = scan.points, scan.rays, scan.sectors
    sectors[:] = np.inf
    near = sector = 0
    for i in range(ranges.shape[0]):
        x, y = _place(ranges[i], i, sweep, beams)
        square = x * x + y * y
        if not square < np.inf:
            continue
        # beams follow one another: most lie in the sector of the one before, and few are the nearest of theirs
        if not _surely_in(sector, x, y, square):
            sector = _sector_at(x, y, square)
        least = float(sectors[sector])
        if square < least * least * (1.0 + 1e-6):
            sectors[sector] = min(sectors[sector], _length(x, y, square))
        if _is_near(x, y, square, reach):
            if near < most:
                points[near, 0], points[near, 1], rays[near] = x, y, beams.rays[i]
            near += 1
    if near <= most:
        return near
    seen, count, best = 0, -1, 0.0
    for i in range(ranges.shape[0]):
        x, y = _place(ranges[i], i, sweep, beams)
        if _is_near(x, y, x * x + y * y, reach):
            part = seen * most // near
            if part > count or ranges[i] < best:
                count, best = part, ranges[i]
                points[count, 0], points[count, 1], rays[count] = x, y, beams.rays[i]
            seen += 1
    return count + 1


@numba.njit(cache=True, nogil=True)
def approach_speed(
    sectors: Float32Array, before: Float32Array, sector: int, interval: float, speed_before: np.float32,
    smoothing: float = APPROACH_SMOOTHING,
) -> np.float32:  # fmt: skip
    """How fast the free range of a sector shrinks, in m/s and >= 0, smoothed; see `approach_speeds`."""
    previous = min(before[sector - 1], before[sector], before[(sector + 1) % sectors.shape[0]])
    speed = 0.0
    if interval > 0.0 and previous < np.inf and sectors[sector] < np.inf:
        speed = (previous - sectors[sector]) / interval
        if speed > MAX_APPROACH:
            speed = 0.0
        speed = max(speed, 0.0)
    return speed_before + np.float32(smoothing) * (np.float32(speed) - speed_before)


@numba.njit(cache=True, nogil=True)
def approach_speeds(
    sectors: Float32Array, before: Float32Array, interval: float, smoothing: float, speeds: Float32Array
) -> None:
    """Update `speeds`, how fast the free range of each sector shrinks, in m/s and >= 0.

    The range before is the least of the sector and its two neighbours, so that a turn of the robot by one sector
    between two scans is not taken for an approach. smoothing: weight of the new value, 0 .. 1.
    """
    for i in range(sectors.shape[0]):
        speeds[i] = approach_speed(sectors, before, i, interval, speeds[i], smoothing)

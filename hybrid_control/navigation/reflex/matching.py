"""How far the robot has turned beside what its odometry says: a scan laid over the one before.

Wheels slip where a robot turns, and what stands then seems to walk: 3 degrees are 0.16 m at 3 m. Each reading is
compared with the surface that the scan before saw in its direction, along that surface's normal (point to line, with
projective association, as in Censi, "An ICP variant using a point-to-line metric", ICRA 2008, for the turn alone).
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.shapes import ROUGH, FloatArray, rough_bearing
from hybrid_control.navigation.reflex.percept import MAX_BEAMS, goes_round
from hybrid_control.signals.headings import wrapped

MOST = 240  # readings that are compared, of a scan that has more every so many
FARTHEST = 8.0  # m
SURFACE = 0.3  # m between two readings beside one another, at most, that are of one surface
GATES = 0.25, 0.08  # m from it, at most, of a reading that counts: at first, and once most of the turn is known
READING_SD, SLIP, TURN_SD = 0.03, 0.2, 0.0005  # m; share of a turn; rad
LEAST_TURN = 0.002  # rad from scan to scan, below which odometry has it right
LEAST = 30  # readings that count, or nothing is said

# The scan before.
SWEPT = np.dtype(
    [
        ("count", np.int64),  # of its beams; 0 for none
        *((n, np.float64) for n in ("angle_min", "angle_increment", "mount_x", "mount_y", "mount_yaw")),
        *((n, np.float64) for n in ("x", "y", "yaw")),  # where the sensor was, m and rad
        ("ranges", np.float32, (MAX_BEAMS,)),
    ],
    align=True,
)

Place = tuple[float, float, float]


@numba.njit(cache=True, nogil=True)
def keep_sweep(swept: Any, ranges: NDArray[np.float32], sweep: Any, place: Place) -> None:
    """Keep a scan for the next; place: of the sensor, m and rad."""
    swept.count = ranges.shape[0]
    swept.angle_min, swept.angle_increment = sweep.angle_min, sweep.angle_increment
    swept.mount_x, swept.mount_y, swept.mount_yaw = sweep.mount_x, sweep.mount_y, sweep.mount_yaw
    swept.x, swept.y, swept.yaw = place
    swept.ranges[: swept.count] = ranges


@numba.njit(cache=True, nogil=True)
def _is_like(swept: Any, count: int, sweep: Any) -> bool:
    """Whether a sweep is of the same sensor as the one before."""
    return bool(
        swept.count == count
        and swept.angle_min == sweep.angle_min
        and swept.angle_increment == sweep.angle_increment
        and swept.mount_x == sweep.mount_x
        and swept.mount_y == sweep.mount_y
        and swept.mount_yaw == sweep.mount_yaw
    )


@numba.njit(cache=True, nogil=True)
def missed_turn(swept: Any, ranges: NDArray[np.float32], sweep: Any, beams: Any, place: Place) -> float:
    """rad that a scan is to be turned by about its sensor to lie over the scan before; 0 where that is not sure.

    swept: a SWEPT; ranges: (n,) m; sweep: a SWEEP; beams: its BEAMS; place: where the sensor is by odometry, in the
    frame of the scan before.
    """
    n = ranges.shape[0]
    if n < LEAST or sweep.angle_increment == 0.0 or not _is_like(swept, n, sweep) or sweep.interval <= 0.0:
        return 0.0
    c, s = math.cos(swept.yaw), math.sin(swept.yaw)
    dx, dy = place[0] - swept.x, place[1] - swept.y
    x, y, turn = c * dx + s * dy, c * dy - s * dx, wrapped(place[2] - swept.yaw)
    if abs(turn) < LEAST_TURN:
        return 0.0
    sd = SLIP * abs(turn) + TURN_SD
    missed = 0.0
    surfaces = np.empty((4, n + 1))
    _surfaces(swept.ranges, n, sweep, beams, surfaces)
    for gate in GATES:
        count, square, product = _compare(surfaces, ranges, sweep, beams, (x, y, turn + missed), gate)
        if count < LEAST:
            return 0.0
        prior = (READING_SD / sd) ** 2
        missed -= (product + prior * missed) / (square + prior)
    return missed


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _surfaces(before: NDArray[np.float32], n: int, sweep: Any, beams: Any, surfaces: FloatArray) -> None:
    """Fill `surfaces`, (4, n + 1), with that between each beam of the scan before and the next: a point of it, m, and
    its normal, NaN where there is none; of the last beam to the first where they go all the way round."""
    least, most = sweep.range_min, min(sweep.range_max, FARTHEST)
    surfaces[:, n - 1 :] = math.nan
    full = goes_round(n, sweep.angle_increment)
    for i in range(n if full else n - 1):
        j = i + 1 if i + 1 < n else 0
        p, q = before[i], before[j]
        bx, by = p * beams.sensor[i, 0], p * beams.sensor[i, 1]
        tx, ty = q * beams.sensor[j, 0] - bx, q * beams.sensor[j, 1] - by
        length = math.sqrt(tx * tx + ty * ty)
        known = (least <= p) & (p <= most) & (least <= q) & (q <= most) & (abs(p - q) <= SURFACE) & (length > 0.0)
        surfaces[0, i], surfaces[1, i] = bx, by
        surfaces[2, i] = -ty / length if known else math.nan
        surfaces[3, i] = tx / length if known else math.nan


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _towards(ranges: NDArray[np.float32], sweep: Any, beams: Any, place: Place, readings: FloatArray) -> None:
    """Fill `readings`, (5, m), with one in so many of a scan: as seen from where the sensor is, and from where it was
    before, m, and its bearing from there in beams, roughly, from 0 on."""
    x, y, turn = place
    c, s = math.cos(turn), math.sin(turn)
    step, per_beam = max(1, ranges.shape[0] // MOST), 1.0 / sweep.angle_increment
    round_ = 2.0 * math.pi * abs(per_beam)
    for m in range(readings.shape[1]):
        k = m * step
        r, u, v = ranges[k], beams.sensor[k, 0], beams.sensor[k, 1]
        ax, ay = r * (c * u - s * v), r * (s * u + c * v)
        px, py = x + ax, y + ay
        at = (rough_bearing(px, py) - sweep.angle_min) * per_beam
        readings[0, m], readings[1, m], readings[2, m], readings[3, m] = ax, ay, px, py
        readings[4, m] = at - np.floor(at / round_) * round_


@numba.njit(cache=True, nogil=True)
def _beam_of(px: float, py: float, rough: float, sweep: Any) -> int:
    """The beam before the bearing of a point, m; rough: that bearing in beams, which does but right beside a beam."""
    per_beam = 1.0 / sweep.angle_increment
    round_ = 2.0 * math.pi * abs(per_beam)
    i = int(rough)
    doubt = ROUGH * abs(per_beam)
    if doubt < rough - i < 1.0 - doubt and rough < round_ - doubt:
        return i
    at = (math.atan2(py, px) - sweep.angle_min) * per_beam
    return int(at - math.floor(at / round_) * round_)


@numba.njit(cache=True, nogil=True)
def _compare(
    surfaces: FloatArray, ranges: NDArray[np.float32], sweep: Any, beams: Any, place: Place, gate: float
) -> tuple[int, float, float]:
    """How many readings count, the sum of the squares of what each moves off its surface in a rad, and that of what it
    moves times how far off it is, m²; place: of the sensor in the frame of the sensor before."""
    n = ranges.shape[0]
    step = max(1, n // MOST)
    readings = np.empty((5, (n + step - 1) // step))
    _towards(ranges, sweep, beams, place, readings)
    count, square, product = 0, 0.0, 0.0
    least, most = sweep.range_min, min(sweep.range_max, FARTHEST)
    for m in range(readings.shape[1]):
        if not least <= ranges[m * step] <= most:
            continue
        ax, ay, px, py = readings[0, m], readings[1, m], readings[2, m], readings[3, m]
        i = min(_beam_of(px, py, readings[4, m], sweep), n)
        nx, ny = surfaces[2, i], surfaces[3, i]
        off = nx * (px - surfaces[0, i]) + ny * (py - surfaces[1, i])
        if not abs(off) <= gate:  # NaN where there is no surface
            continue
        moved = ny * ax - nx * ay
        count += 1
        square += moved * moved
        product += moved * off
    return count, square, product

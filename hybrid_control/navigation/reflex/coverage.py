"""Which directions the robot sees in: each sector is known, dead (looked at, nothing valid comes) or not looked at.

A sweep refreshes the sectors that its valid beams cover; the others keep what they have, points moved along by the
odometry, until `scan_timeout`. So one turn that comes in segments is one view, and what is not seen is not free.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.outline import farthest_corner
from hybrid_control.navigation.reflex.guard import DEAD, KNOWN, UNLOOKED
from hybrid_control.navigation.reflex.percept import MAX_POINTS, approach_speed, pose_after
from hybrid_control.signals.headings import HEADINGS, SECTORS

SEES, NOTHING_VALID, NOTHING_IN_RANGE = 0, 1, 2  # what a view as a whole amounts to
BEYOND_OUTLINE = 0.06  # m beyond the circle around the outline at which what is not seen begins

# What earlier scans leave of each sector, by the direction of the rays: s since something valid came from there, s
# since beams looked there, whether the newest was a hit; and the points that they saw.
COVERAGE = np.dtype(
    [
        ("unseen", np.float64, (SECTORS,)),
        ("unlooked", np.float64, (SECTORS,)),
        ("hit", np.int8, (SECTORS,)),
        ("fresh", np.int8, (SECTORS,)),  # whether the newest sweep refreshed it
        ("count", np.int64),
        ("points", np.float32, (MAX_POINTS, 2)),  # m, body frame of the newest sweep
        ("rays", np.int16, (MAX_POINTS,)),  # sector of the ray of each
        ("posed", np.int64),  # whether the pose is known
        ("x", np.float64),  # m and rad by odometry at the newest sweep
        ("y", np.float64),
        ("yaw", np.float64),
    ],
    align=True,
)

_COSINES, _SINES = np.cos(HEADINGS), np.sin(HEADINGS)
Float32Array = NDArray[np.float32]


@numba.njit(cache=True, nogil=True)
def forget(coverage: Any) -> None:
    """As if nothing had been seen so far."""
    coverage.unseen[:] = math.inf
    coverage.unlooked[:] = math.inf
    coverage.hit[:] = 0
    coverage.count = coverage.posed = 0


@numba.njit(cache=True, nogil=True)
def cover(
    coverage: Any, ranges: Float32Array, sweep: Any, beams: Any, robot: Any, since: NDArray[np.float64]
) -> int:
    """Take in which sectors a sweep looks at and refreshes; returns how many it refreshes.

    since: (SECTORS,) out, s since the view of a refreshed sector that this one replaces. A beam without an echo is
    free only while something in range is seen somewhere: in this sweep, or in the segments before it.
    """
    if sweep.interval < 0.0:
        forget(coverage)
    looked, valid, hits = np.zeros(SECTORS, np.int8), np.zeros(SECTORS, np.int8), np.zeros(SECTORS, np.int8)
    some = False
    for k in range(ranges.shape[0]):
        r = ranges[k]
        hit = r == -np.inf or sweep.range_min <= r <= sweep.range_max
        some = some or hit
        for j in range(beams.spans[k]):
            s = (beams.firsts[k] + j) % SECTORS
            looked[s] = 1
            if hit:
                hits[s] = 1
            if hit or r > sweep.range_max:
                valid[s] = 1
    refreshed = 0
    for s in range(SECTORS):
        coverage.unseen[s] += sweep.interval
        coverage.unlooked[s] += sweep.interval
        if not looked[s] and coverage.hit[s] and coverage.unseen[s] <= robot.scan_timeout:
            some = True
    some = some or robot.open_space != 0
    for s in range(SECTORS):
        since[s] = coverage.unseen[s]
        coverage.fresh[s] = some and valid[s]
        if looked[s]:
            coverage.unlooked[s] = 0.0
        if coverage.fresh[s]:
            coverage.unseen[s] = 0.0
            coverage.hit[s] = hits[s]
            refreshed += 1
    return refreshed


@numba.njit(cache=True, nogil=True)
def keep(coverage: Any, points: Float32Array, rays: NDArray[np.int16], count: int, timeout: float) -> int:
    """Add to the `count` points of a sweep those of sectors that it did not refresh; returns how many there are then.

    And remember them all for the next sweep.
    """
    for k in range(coverage.count):
        s = coverage.rays[k]
        if not coverage.fresh[s] and coverage.unseen[s] <= timeout and count < points.shape[0]:
            points[count, 0], points[count, 1] = coverage.points[k, 0], coverage.points[k, 1]
            rays[count] = s
            count += 1
    coverage.count = count
    coverage.points[:count] = points[:count]
    coverage.rays[:count] = rays[:count]
    return count


@numba.njit(cache=True, nogil=True)
def move_along(coverage: Any, sweep: Any, motion: Any, longest: float) -> None:
    """Bring the points of earlier sweeps into the body frame at this one, where odometry tells how it moved since.

    longest: s, age of the odometry beyond which it tells nothing.
    """
    age = sweep.motion_age
    posed = coverage.posed
    coverage.posed = 0.0 <= age < longest
    if not coverage.posed:
        return
    x, y, yaw = pose_after(motion, age)
    if posed:
        c, s = math.cos(coverage.yaw - yaw), math.sin(coverage.yaw - yaw)
        dx, dy = coverage.x - x, coverage.y - y
        tx, ty = math.cos(yaw) * dx + math.sin(yaw) * dy, math.cos(yaw) * dy - math.sin(yaw) * dx
        for k in range(coverage.count):
            u, v = coverage.points[k, 0], coverage.points[k, 1]
            coverage.points[k, 0], coverage.points[k, 1] = tx + c * u - s * v, ty + s * u + c * v
    coverage.x, coverage.y, coverage.yaw = x, y, yaw


@numba.njit(cache=True, nogil=True)
def merge_sectors(
    coverage: Any, before: Any, since: NDArray[np.float64], sectors: Float32Array, robot: Any, longest: float
) -> None:
    """Complete the free ranges of a sweep's sectors by those that still count, and how fast they shrink.

    before: the VIEW, whose sectors and approach become the new ones; longest: s between two views of a sector beyond
    which nothing is said of speeds.
    """
    for s in range(SECTORS):
        if coverage.fresh[s]:
            known = since[s] if 0.0 < since[s] < longest else 0.0
            if known == 0.0:
                before.approach[s] = 0.0
            before.approach[s] = approach_speed(sectors, before.sectors, s, known, before.approach[s])
        elif coverage.unseen[s] <= robot.scan_timeout:
            sectors[s] = min(sectors[s], before.sectors[s])
        else:
            before.approach[s] = 0.0
    before.sectors[:] = sectors


@numba.njit(cache=True, nogil=True)
def judge(scan: Any, states: NDArray[np.int8], robot: Any) -> None:
    """Write into a SCAN what is not seen. states: (SECTORS,) of KNOWN, DEAD and UNLOOKED."""
    scan.unlooked = scan.dead = 0
    scan.states[:] = states
    outline = robot.outline
    radius = farthest_corner(outline) + BEYOND_OUTLINE
    for s in range(SECTORS):
        if states[s] == UNLOOKED:
            scan.unlooked += 1
        elif states[s] == DEAD:
            scan.hidden[scan.dead, 0], scan.hidden[scan.dead, 1] = radius * _COSINES[s], radius * _SINES[s]
            scan.dead += 1
    looked = SECTORS - scan.unlooked
    scan.unknown = scan.dead / looked if looked > 0 else 1.0
    scan.verdict = NOTHING_VALID if scan.unknown > robot.max_unknown else SEES


@numba.njit(cache=True, nogil=True)
def state_of(coverage: Any, timeout: float, states: NDArray[np.int8]) -> float:
    """Fill `states`, (SECTORS,); returns the age in s, against the newest sweep, of the oldest that is known."""
    oldest = 0.0
    for s in range(SECTORS):
        if coverage.unseen[s] <= timeout:
            states[s] = KNOWN
            oldest = max(oldest, coverage.unseen[s])
        else:
            states[s] = DEAD if coverage.unlooked[s] <= timeout else UNLOOKED
    return oldest

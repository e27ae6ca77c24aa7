"""From the ranges of a scan to the record that the tick reads: points, sectors, approach, and what moves.

Called once a scan, from the callback that received it, with the interpreter released.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.reflex.corners import CORNERS, find_corners
from hybrid_control.navigation.reflex.coverage import (
    COVERAGE,
    NOTHING_IN_RANGE,
    SEES,
    cover,
    forget,
    judge,
    keep,
    merge_sectors,
    move_along,
    state_of,
)
from hybrid_control.navigation.reflex.evasion import SPEEDS, TURNS
from hybrid_control.navigation.reflex.movers import WATCHED, watch
from hybrid_control.navigation.reflex.percept import BEAMS, MAX_BEAMS, MAX_POINTS, lay_out, perceive
from hybrid_control.signals.headings import SECTORS, wrapped

LONGEST_INTERVAL = 0.5  # s between two scans beyond which nothing is said of speeds
BEYOND_SPEED, BEYOND_TURN = 1.5, 3.0  # m/s and rad/s over what odometry says of its speed that its pose may move at
ROUNDING = 0.02  # m and rad
WATCH_AGE = 0.2  # s, age of the odometry, against the scan, from which on nothing that moves is followed

SCAN = np.dtype(
    [
        ("count", np.int64),
        ("points", np.float32, (MAX_POINTS, 2)),
        ("rays", np.int16, (MAX_POINTS,)),  # sector of the ray of each
        ("sectors", np.float32, (SECTORS,)),
        ("approach", np.float32, (SECTORS,)),
        ("lag", np.float64),  # s by which the oldest part that counts is older than the newest
        ("posed", np.int64),  # whether odometry tells where it was taken
        ("x", np.float64),  # m and rad by odometry: the frame of all that is here
        ("y", np.float64),
        ("yaw", np.float64),
        ("turned", np.float64),  # rad by which that frame was turned since the scan, for the states
        ("sight", np.float64),  # m that the sensor sees at most from the robot's centre
        ("states", np.int8, (SECTORS,)),  # of each sector, as `coverage` has it
        ("unlooked", np.int64),  # how many sectors no sensor looks at
        ("dead", np.int64),  # how many are looked at and give nothing valid
        ("hidden", np.float32, (SECTORS, 2)),  # m, where the unseen begins in each of those
        ("unknown", np.float64),  # the share of them among those looked at
        ("verdict", np.int64),  # SEES, or why it is no view to drive by
        ("hiding", np.int64),  # blind corners, where somebody may step out, and where they are, m
        ("corners", np.float32, (CORNERS, 2)),
        ("moving", np.int64),  # things that move nearby; the rest only where there are some
        ("fastest", np.float64),  # ends of the table of motions, m/s and rad/s
        ("fastest_turn", np.float64),
        ("times", np.float32, (SPEEDS, TURNS)),  # s that each stays clear of what moves
    ],
    align=True,
)
MOTION = np.dtype(
    [(n, np.float64) for n in ("x", "y", "yaw", "linear_x", "linear_y", "angular_z")], align=True
)
# What earlier scans leave for the next: their sectors, how fast those shrank, and what moves.
VIEW = np.dtype(
    [
        ("sectors", np.float32, (SECTORS,)),
        ("approach", np.float32, (SECTORS,)),
        ("coverage", COVERAGE),
        ("watched", WATCHED),
        ("beams", BEAMS),
    ],
    align=True,
)


def new_view() -> NDArray[Any]:
    """A VIEW, (1,), of a robot that has seen nothing yet."""
    view = np.zeros(1, VIEW)
    view["sectors"] = np.inf
    forget(view[0]["coverage"])
    return view


@numba.njit(cache=True, nogil=True)
def take_scan(
    before: Any, ranges: NDArray[np.float32], sweep: Any, motion: Any, robot: Any, scan: Any
) -> bool:
    """Fill a SCAN from the ranges of a sweep; whether `mark_passed` is to follow before the next one.

    before: the VIEW of the sweeps before; ranges: (n,) m, a hit within the sweep's limits, above them (+inf too) for no
    echo, -inf for too close, NaN for nothing valid; sweep: a SWEEP; motion: a MOTION; robot: a ROBOT.
    """
    ranges = ranges[:MAX_BEAMS]
    lay_out(before.beams, ranges.shape[0], sweep)
    coverage, timeout = before.coverage, robot.scan_timeout
    since, states = np.empty(SECTORS), np.empty(SECTORS, np.int8)
    refreshed = cover(coverage, ranges, sweep, before.beams, robot, since)
    if not 0.0 < sweep.interval < LONGEST_INTERVAL:
        sweep.interval = 0.0
    move_along(coverage, sweep, motion, WATCH_AGE)
    scan.posed, scan.x, scan.y, scan.yaw = coverage.posed, coverage.x, coverage.y, coverage.yaw
    scan.turned = 0.0
    # what other sweeps saw beside it keeps its room
    scan.count = perceive(ranges, sweep, before.beams, robot.reach, MAX_POINTS * refreshed // SECTORS, scan)
    scan.count = keep(coverage, scan.points, scan.rays, scan.count, timeout)
    merge_sectors(coverage, before, since, scan.sectors, robot, LONGEST_INTERVAL)
    scan.approach[:] = before.approach
    scan.lag = state_of(coverage, timeout, states)
    scan.sight = sweep.range_max - math.hypot(sweep.mount_x, sweep.mount_y)
    judge(scan, states, robot)
    if scan.verdict != SEES and not np.any(ranges <= sweep.range_max) and np.any(ranges > sweep.range_max):
        scan.verdict = NOTHING_IN_RANGE
    scan.hiding = find_corners(ranges, sweep, before.beams, scan.corners) if robot.hidden_speed > 0.0 else 0
    scan.moving = 0
    if not 0.0 <= sweep.motion_age < WATCH_AGE:
        return False
    watch(before.watched, ranges, sweep, before.beams, motion, robot, scan)
    return True


@numba.njit(cache=True, nogil=True)
def bring_along(scan: Any, motion: Any, dt: float) -> None:
    """Bring what a posed SCAN saw into the body frame of a MOTION that is dt s younger.

    Where the pose leaps farther than its speed can be wrong, odometry began anew: the scan is posed no more.
    """
    turn = wrapped(motion.yaw - scan.yaw)
    c, s = math.cos(scan.yaw), math.sin(scan.yaw)
    dx, dy = motion.x - scan.x, motion.y - scan.y
    way = (math.hypot(motion.linear_x, motion.linear_y) + BEYOND_SPEED) * dt + ROUNDING
    if math.hypot(dx, dy) > way or abs(turn) > (abs(motion.angular_z) + BEYOND_TURN) * dt + ROUNDING:
        scan.posed = 0
        return
    ahead, aside = c * dx + s * dy, c * dy - s * dx  # in the scan's frame
    c, s = math.cos(turn), math.sin(turn)
    _into(scan.points, scan.count, ahead, aside, c, s)
    _into(scan.hidden, scan.dead, ahead, aside, c, s)
    _into(scan.corners, scan.hiding, ahead, aside, c, s)
    scan.x, scan.y, scan.yaw = motion.x, motion.y, motion.yaw
    scan.turned = wrapped(scan.turned + turn)


@numba.njit(cache=True, nogil=True)
def _into(points: NDArray[np.float32], count: int, x: float, y: float, c: float, s: float) -> None:
    """Into the frame at (x, y) m, turned by an angle of which c and s are cosine and sine."""
    for k in range(count):
        u, v = points[k, 0] - x, points[k, 1] - y
        points[k, 0], points[k, 1] = c * u + s * v, c * v - s * u


@numba.njit(cache=True, nogil=True)
def take_points(
    points: NDArray[np.float32],
    sectors: NDArray[np.float32],
    approach: NDArray[np.float32],
    states: NDArray[np.int8],
    sight: float,
    robot: Any,
    scan: Any,
) -> None:
    """Fill a SCAN with what several sensors see together: (n, 2) m in order of bearing, (SECTORS,) m, m/s and states
    as in `coverage`, and m that they see at most. None of it moves."""
    square = points[:, 0] ** 2 + points[:, 1] ** 2
    near = np.flatnonzero(square <= robot.reach**2)
    most = min(near.size, MAX_POINTS)
    part = -1
    best = np.float32(0.0)
    for k in range(near.size):  # thinned to the nearest of each part, so that no side goes unseen
        i, place = near[k], k * most // near.size
        if place > part or square[i] < best:
            part, best = place, square[i]
            scan.points[part, 0], scan.points[part, 1] = points[i, 0], points[i, 1]
    scan.count = part + 1
    scan.sectors[:] = sectors
    scan.approach[:] = approach
    scan.lag, scan.sight, scan.moving, scan.posed, scan.turned = 0.0, sight, 0, 0, 0.0
    scan.hiding = 0
    judge(scan, states, robot)

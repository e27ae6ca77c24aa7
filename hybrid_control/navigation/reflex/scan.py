"""From the ranges of a scan to the record that the tick reads: points, sectors, approach, and what moves.

Called once a scan, from the callback that received it, with the interpreter released.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.reflex.evasion import SPEEDS, TURNS
from hybrid_control.navigation.reflex.movers import WATCHED, watch
from hybrid_control.navigation.reflex.percept import (
    APPROACH_SMOOTHING,
    BEAMS,
    MAX_BEAMS,
    MAX_POINTS,
    NEAR,
    approach_speeds,
    lay_out,
    perceive,
)
from hybrid_control.signals.headings import SECTORS

LONGEST_INTERVAL = 0.5  # s between two scans beyond which nothing is said of speeds
WATCH_AGE = 0.2  # s, age of the odometry, against the scan, from which on nothing that moves is followed

SCAN = np.dtype(
    [
        ("count", np.int64),
        ("points", np.float32, (MAX_POINTS, 2)),
        ("sectors", np.float32, (SECTORS,)),
        ("approach", np.float32, (SECTORS,)),
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
        ("watched", WATCHED),
        ("beams", BEAMS),
    ],
    align=True,
)


@numba.njit(cache=True, nogil=True)
def take_scan(
    before: Any, ranges: NDArray[np.float32], sweep: Any, motion: Any, robot: Any, scan: Any
) -> bool:
    """Fill a SCAN from the ranges of a sweep; whether `mark_passed` is to follow before the next one.

    before: the VIEW of the sweeps before; ranges: (n,) m, as `perceive` has them; sweep: a SWEEP; motion: a MOTION;
    robot: a ROBOT.
    """
    ranges = ranges[:MAX_BEAMS]
    lay_out(before.beams, ranges.shape[0], sweep)
    scan.count = perceive(ranges, sweep, before.beams, scan.points, scan.sectors)
    if not 0.0 < sweep.interval < LONGEST_INTERVAL:
        before.approach[:] = 0.0
        sweep.interval = 0.0
    approach_speeds(scan.sectors, before.sectors, sweep.interval, APPROACH_SMOOTHING, before.approach)
    before.sectors[:] = scan.sectors
    scan.approach[:] = before.approach
    scan.moving = 0
    if not 0.0 <= sweep.motion_age < WATCH_AGE:
        return False
    watch(before.watched, ranges, sweep, before.beams, motion, robot, scan)
    return True


@numba.njit(cache=True, nogil=True)
def take_points(
    points: NDArray[np.float32], sectors: NDArray[np.float32], approach: NDArray[np.float32], scan: Any
) -> None:
    """Fill a SCAN with what several sensors see together: (n, 2) m, and (SECTORS,) m and m/s. None of it moves."""
    near = np.flatnonzero(np.hypot(points[:, 0], points[:, 1]) <= NEAR)
    stride = max(1, -(-near.size // MAX_POINTS))  # thinned evenly, so that no side goes unseen
    scan.count = 0
    for k in range(0, near.size, stride):
        scan.points[scan.count, 0], scan.points[scan.count, 1] = points[near[k], 0], points[near[k], 1]
        scan.count += 1
    scan.sectors[:] = sectors
    scan.approach[:] = approach
    scan.moving = 0

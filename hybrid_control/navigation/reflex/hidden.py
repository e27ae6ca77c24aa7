"""What no scan shows, laid into what a scan saw: cells of the odometry's frame as points, sectors and approach.

Called once a scan, from the callback that received it, with the interpreter released.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.outline import outline_distance
from hybrid_control.navigation.reflex.percept import MAX_POINTS
from hybrid_control.signals.headings import sector_of

UNDER = 0.05  # m around the outline, half a cell: on a cell whose middle lies there the robot stands already
FARTHEST = 6.4  # m, beyond which cells are not looked at

FloatArray = NDArray[np.float64]


@numba.njit(cache=True, nogil=True)
def lay_in(cells: FloatArray, pose: tuple[float, float, float], motion: Any, robot: Any, scan: Any) -> None:
    """Add cells to a SCAN; nothing in it comes to lie farther away.

    cells: (n, 4, 2) m, the corners of each in turn, in the odometry's frame; pose: x, y in m and yaw in rad by odometry
    of the frame that the scan is in; motion: the newest MOTION, whose speed is that at which what stands comes nearer;
    robot: a ROBOT. Cells on which the robot stands do not count: it must be able to leave them. Of all points the
    nearest of each of MAX_POINTS bearings is kept.
    """
    nearest = np.full(MAX_POINTS, np.inf)
    kept = np.empty((MAX_POINTS, 2), np.float32)
    laid = False
    outline = robot.outline
    x0, y0, yaw = pose
    c, s = math.cos(yaw), math.sin(yaw)
    for k in range(cells.shape[0]):
        dx, dy = 0.5 * (cells[k, 0, 0] + cells[k, 2, 0]) - x0, 0.5 * (cells[k, 0, 1] + cells[k, 2, 1]) - y0
        if max(abs(dx), abs(dy)) > FARTHEST:
            continue
        ahead, aside = c * dx + s * dy - outline.middle, c * dy - s * dx
        if outline_distance(ahead, aside, outline.half_length, outline.half_width) < UNDER:
            continue
        for i in range(4):
            dx, dy = cells[k, i, 0] - x0, cells[k, i, 1] - y0
            x, y = c * dx + s * dy, c * dy - s * dx
            if outline_distance(x - outline.middle, y, outline.half_length, outline.half_width) < 0.0:
                continue
            away = math.hypot(x, y)
            sector = sector_of(math.atan2(y, x))
            if away > 0.0:
                nearer = (motion.linear_x * x + motion.linear_y * y) / away  # m/s; a turn brings nothing nearer
                scan.approach[sector] = max(scan.approach[sector], np.float32(nearer))
            scan.sectors[sector] = min(scan.sectors[sector], np.float32(away))
            if away <= robot.reach:
                laid = True
                _keep(x, y, nearest, kept)
    if not laid:
        return
    for k in range(scan.count):
        _keep(scan.points[k, 0], scan.points[k, 1], nearest, kept)
    scan.count = 0
    for k in range(MAX_POINTS):
        if nearest[k] < np.inf:
            scan.points[scan.count, 0], scan.points[scan.count, 1] = kept[k, 0], kept[k, 1]
            scan.count += 1


@numba.njit(cache=True, nogil=True)
def _keep(x: float, y: float, nearest: FloatArray, kept: NDArray[np.float32]) -> None:
    """Keep a point, body frame, m, if it is the nearest of its bearing."""
    place = int((math.atan2(y, x) + math.pi) * (MAX_POINTS / (2.0 * math.pi))) % MAX_POINTS
    square = x * x + y * y
    if square < nearest[place]:
        nearest[place], kept[place, 0], kept[place, 1] = square, x, y

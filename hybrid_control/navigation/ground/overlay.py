"""A scan with what the camera saw on the ground in it, as if it stood there."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.outline import Outline
from hybrid_control.navigation.ground.memory import CELL
from hybrid_control.signals import RangeScan

FloatArray = NDArray[np.float64]

EDGE = 0.1  # m, by which taught ground is taken for wider on each side: at its edges it is seen late, if at all


def outside(points: FloatArray, outline: Outline) -> FloatArray:
    """Those of the middles of cells, (n, 2) m in the body's frame, that lie outside the robot's outline. On what lies
    within the robot stands already, and must be able to leave it."""
    return points[~outline.holds(points[:, 0], points[:, 1], CELL / 2)]


def corners(points: FloatArray, yaw: float, edge: float = EDGE) -> FloatArray:
    """The corners, (4 n, 2) m in the body's frame, of the cells with these middles, (n, 2) m, and `edge` m around; yaw:
    rad, of the body in the odometry's frame, along whose axes cells lie."""
    c, s = math.cos(yaw), math.sin(yaw)
    square = (CELL / 2 + edge) * np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0], [-1.0, 1.0]])
    turned = square @ np.array([[c, -s], [s, c]])
    return (points[:, None, :] + turned).reshape(-1, 2)


def overlay(
    scan: RangeScan, points: FloatArray, lidar: tuple[float, float, float], outline: Outline
) -> RangeScan:
    """The scan whose beams end at the nearest of the points that they meet; none becomes longer.

    points: (n, 2) m in the body's frame, middles of cells of CELL m; lidar: x and y in m and yaw in rad of the range
    sensor in the body; outline: the robot's.
    """
    points = outside(points, outline)
    x, y = points[:, 0] - lidar[0], points[:, 1] - lidar[1]
    away = np.hypot(x, y)
    kept = away > max(scan.range_min, CELL)
    x, y, away = x[kept], y[kept], away[kept]
    if not away.size or not scan.angle_increment:
        return scan
    # each cell fills the beams that its circle covers
    bearing, width = np.arctan2(y, x) - lidar[2], np.arcsin(np.minimum(CELL / 2 / away, 1.0))
    step, count = scan.angle_increment, scan.ranges.size
    reach = math.ceil(float(width.max()) / abs(step))
    first = np.remainder(bearing - scan.angle_min, math.copysign(math.tau, step)) / step
    beams = np.rint(first)[:, None].astype(np.int64) + np.arange(-reach, reach + 1)
    near = np.abs(beams - first[:, None]) * abs(step) <= np.maximum(width[:, None], abs(step) / 2)
    turn = round(math.tau / abs(step))
    beams = np.where(beams < 0, beams + turn, np.where(beams >= turn, beams - turn, beams))
    chosen = near & (beams < count)
    distances = np.broadcast_to(away.astype(np.float32)[:, None], beams.shape)
    shown = scan.ranges.copy()
    with np.errstate(invalid="ignore"):
        np.minimum.at(shown, beams[chosen], distances[chosen])
        judged = scan.ranges >= scan.range_min  # what is NaN or too near the reflex has to see
    return replace(scan, ranges=np.where(judged, shown, scan.ranges), given=scan.own)

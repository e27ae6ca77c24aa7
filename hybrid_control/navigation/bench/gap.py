"""Widest gap: the follow-the-gap method of Sezer and Gokasan (Robotics and Autonomous Systems 60, 2012)."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.shapes import FloatArray
from hybrid_control.navigation.bench.scan_driver import ScanDriver, View, turn_to

BINS = 360
ANGLES: NDArray[Any] = -math.pi + (np.arange(BINS) + 0.5) * (2.0 * math.pi / BINS)
FIELD = math.radians(110.0)  # gaps are sought within this of straight ahead
GOAL_WEIGHT = 0.8  # the paper's alpha: how much the nearest obstacle turns the robot from the goal to the gap


def free_ranges(points: FloatArray, inflation: float) -> FloatArray:
    """Distance in m to the first obstacle in each of BINS directions, obstacles grown to discs of `inflation` m.

    points: (n, 2) m, body frame. An obstacle at distance d closes the directions within asin(inflation / d).
    """
    return _closed(np.ascontiguousarray(points, dtype=np.float64).reshape(-1, 2), inflation)


@numba.njit(cache=True, nogil=True)
def _closed(points: FloatArray, inflation: float) -> FloatArray:
    ranges = np.full(BINS, np.inf)
    for i in range(points.shape[0]):
        distance = max(math.hypot(points[i, 0], points[i, 1]), 1e-6)
        half = math.asin(min(inflation / distance, 1.0))
        bearing = math.atan2(points[i, 1], points[i, 0])
        for k in range(BINS):
            if abs((ANGLES[k] - bearing + math.pi) % (2.0 * math.pi) - math.pi) <= half:
                ranges[k] = min(ranges[k], distance)
    return ranges


def gaps(open_bins: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs of true values as (first, last) index, in order."""
    edges = np.diff(np.concatenate(([0], open_bins.astype(np.int8), [0])))
    return list(zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1, strict=True))


def gap_centre(first: float, last: float, near_first: float, near_last: float) -> float:
    """The angle in rad from the robot to the middle between a gap's two corners (the paper's equation 13).

    first, last: rad, bearings of the corners; near_first, near_last: m, their distances. The median of the
    triangle robot, corner, corner.
    """
    x = 0.5 * (near_first * math.cos(first) + near_last * math.cos(last))
    y = 0.5 * (near_first * math.sin(first) + near_last * math.sin(last))
    if math.hypot(x, y) < 1e-9 or last - first >= math.pi:
        return 0.5 * (first + last)
    return math.atan2(y, x)


def final_heading(gap: float, goal: float, nearest: float, alpha: float = GOAL_WEIGHT) -> float:
    """The paper's equation for the final angle: (alpha / d · gap + goal) / (alpha / d + 1), d the nearest obstacle."""
    weight = alpha / max(nearest, 1e-3)
    return (weight * gap + goal) / (weight + 1.0)


class WidestGap(ScanDriver):
    """To the middle of the widest gap, the more so the nearer the nearest obstacle is, else to the goal.

    reach: m, an obstacle beyond does not close a direction; inflation: m beside the robot's half width; weight: the
    paper's alpha.
    """

    def __init__(self, reach: float = 1.6, inflation: float = 0.10, weight: float = GOAL_WEIGHT) -> None:
        self.reach, self.inflation, self.weight = reach, inflation, weight

    def steer(self, view: View) -> tuple[float, float]:
        """One decision of the method."""
        radius = 0.5 * self.robot.width + self.inflation
        ranges = free_ranges(view.points, radius)
        ahead = np.abs(ANGLES) <= FIELD
        found = gaps((ranges > min(self.reach, max(view.distance, 0.3))) & ahead)
        if not found:
            return 0.0, math.copysign(1.0, view.bearing)
        first, last = max(found, key=lambda g: g[1] - g[0])
        corner_first = min(ranges[first - 1], self.reach) if first > 0 else self.reach
        corner_last = min(ranges[(last + 1) % BINS], self.reach)
        gap = gap_centre(ANGLES[first], ANGLES[last], corner_first, corner_last)
        nearest = (
            float(np.hypot(view.points[:, 0], view.points[:, 1]).min()) if len(view.points) else math.inf
        )
        clear = max(nearest - radius, 0.02)
        heading = final_heading(gap, view.bearing, clear, self.weight)
        ray = int((heading + math.pi) / (2.0 * math.pi) * BINS) % BINS
        speed = math.sqrt(2.0 * 0.5 * self.robot.deceleration * max(min(ranges[ray], 10.0) - radius, 0.05))
        return turn_to(heading, min(self.robot.max_speed, speed, 0.3 + 2.0 * clear), self.robot)

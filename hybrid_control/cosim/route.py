"""A memory of what the lidar has seen, and the way to the goal through it: what leads out of a dead end.

An occupancy grid in the odometry's frame is filled scan by scan; what has not been seen counts as free. From time to
time the eikonal equation is solved on it (`sim.grid`), and the planner and the reflex are given a point on the way in
place of the goal. It knows scans and odometry and nothing else.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.messages import Goal, Odometry, Pose, RangeScan
from hybrid_control.sim.geometry import FloatArray
from hybrid_control.sim.grid import GeodesicField, _march

CELL = 0.1  # m
MARGIN = 6.0  # m of grid around start and goal
SEEN_TO = 5.0  # m, readings beyond are not used
HIT, SURE, MOST = 3, 3, 9  # what a reading adds, from where on a cell is taken for occupied, and the most
PERIOD_NS = 200_000_000  # between two solutions
RADII = (
    0.30,
    0.24,
)  # m, of the disc that has to get through; the next where there is no way for the one before
WIDE = 0.60  # m of clearance from which a way costs its length and no more
TIGHT_COST = 3.0  # cost of a metre with the least clearance
LOOKAHEAD = 1.5  # m
AHEAD = 3.0  # m, how far away the point is put


@numba.njit(cache=True, nogil=True)
def see(
    grid: NDArray[np.int16],
    x0: float,
    y0: float,
    x: float,
    y: float,
    ranges: FloatArray,
    angles: FloatArray,
    range_min: float,
    limit: float,
) -> None:
    """Enters one scan, taken at (x, y), into the grid: rays clear cells by 1, their ends add HIT.

    angles: (n,) rad in the grid's frame; ranges: (n,) m, inf for none. A cell that this scan hit is not cleared by it.
    """
    rows, columns = grid.shape
    hit = np.zeros((rows, columns), np.bool_)
    for k in range(ranges.size):
        if range_min <= ranges[k] <= limit:
            j = math.floor((x + ranges[k] * math.cos(angles[k]) - x0) / CELL)
            i = math.floor((y + ranges[k] * math.sin(angles[k]) - y0) / CELL)
            if 0 <= i < rows and 0 <= j < columns:
                hit[i, j] = True
    for k in range(ranges.size):
        if ranges[k] < range_min:
            continue
        c, s = math.cos(angles[k]), math.sin(angles[k])
        last_i, last_j = -1, -1
        for m in range(int(min(ranges[k], limit) / CELL)):
            j = math.floor((x + m * CELL * c - x0) / CELL)
            i = math.floor((y + m * CELL * s - y0) / CELL)
            if not (0 <= i < rows and 0 <= j < columns):
                break
            if (i != last_i or j != last_j) and not hit[i, j] and grid[i, j] > 0:
                grid[i, j] -= 1
            last_i, last_j = i, j
    for i in range(rows):
        for j in range(columns):
            if hit[i, j]:
                grid[i, j] = min(grid[i, j] + HIT, MOST)


@numba.njit(cache=True, nogil=True)
def clearances(grid: NDArray[np.int16], limit: float) -> FloatArray:
    """Distance in m of each cell's middle to that of the nearest occupied cell, at most `limit`."""
    rows, columns = grid.shape
    clear = np.full((rows, columns), limit)
    span = int(limit / CELL)
    for i in range(rows):
        for j in range(columns):
            if grid[i, j] < SURE:
                continue
            for p in range(max(0, i - span), min(rows, i + span + 1)):
                for q in range(max(0, j - span), min(columns, j + span + 1)):
                    clear[p, q] = min(clear[p, q], CELL * math.sqrt((p - i) ** 2 + (q - j) ** 2))
    return clear


class RouteMemory:
    """The grid of one episode and the point on the way to the goal.

    start: where the robot begins, by odometry; goal: where it is to go. Grid and solution are in the odometry's
    frame, so its drift moves old readings and goal alike.
    """

    def __init__(self, start: Pose, goal: Goal) -> None:
        self.goal = goal
        self.x0, self.y0 = min(start.x, goal.x) - MARGIN, min(start.y, goal.y) - MARGIN
        width, height = abs(start.x - goal.x) + 2 * MARGIN, abs(start.y - goal.y) + 2 * MARGIN
        self.grid = np.zeros((math.ceil(height / CELL), math.ceil(width / CELL)), np.int16)
        self._due = 0

    def remember(self, scan: RangeScan, odometry: Odometry) -> None:
        """Enter a scan; the odometry may be a little older than it."""
        age = (scan.stamp_ns - odometry.stamp_ns) * 1e-9
        pose, twist = odometry.pose, odometry.twist
        yaw = pose.yaw + twist.angular_z * age
        x = pose.x + twist.linear_x * age * math.cos(yaw)
        y = pose.y + twist.linear_x * age * math.sin(yaw)
        ranges = np.where(np.isnan(scan.ranges), 0.0, scan.ranges).astype(np.float64)
        angles = (yaw + scan.angle_min + scan.angle_increment * np.arange(ranges.size)).astype(np.float64)
        see(self.grid, self.x0, self.y0, x, y, ranges, angles, scan.range_min, SEEN_TO)

    def due(self, now_ns: int) -> bool:
        """Whether it is time for a new point."""
        if now_ns < self._due:
            return False
        self._due = now_ns + PERIOD_NS
        return True

    def point(self, pose: Pose, stamp_ns: int) -> Goal:
        """The point to drive to: AHEAD m from the pose in the direction of the way, or the goal itself.

        The goal where it is nearer than that, where it lies straight ahead on the way, or where there is no way.
        """
        distance, _ = pose.to_body(self.goal.x, self.goal.y)
        if distance < LOOKAHEAD:
            return self.goal
        clear = clearances(self.grid, WIDE + CELL)
        for radius in RADII:
            field = self._solve(clear, radius)
            heading = field.heading(pose.x, pose.y, LOOKAHEAD)
            if math.isfinite(heading):
                ahead = min(AHEAD, distance)
                return Goal(stamp_ns, pose.x + ahead * math.cos(heading), pose.y + ahead * math.sin(heading))
        return self.goal

    def _solve(self, clear: FloatArray, radius: float) -> GeodesicField:
        free = clear >= radius
        field = np.full(clear.shape, math.inf)
        x0, y0 = self.x0 + CELL / 2, self.y0 + CELL / 2  # the first cell's middle
        i, j = round((self.goal.y - y0) / CELL), round((self.goal.x - x0) / CELL)
        field[i, j] = 0.0
        tight = 1.0 + (TIGHT_COST - 1.0) * np.clip((WIDE - clear) / (WIDE - radius), 0.0, 1.0)
        _march(field, np.where(free, tight, math.inf), CELL)
        # from where the disc does not fit, the way leads out first
        _march(field, np.where(free, math.inf, np.where(clear > 0.0, 5.0, math.inf)), CELL)
        return GeodesicField(x0, y0, CELL, radius, (self.goal.x, self.goal.y), field, clear, free)

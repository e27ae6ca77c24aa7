"""A memory of what the lidar has seen, and the way to the goal through it: what leads out of a dead end.

An occupancy grid is filled scan by scan, each laid over the earlier ones (`route.align`), for the odometry drifts;
what has not been seen counts as free. From time to time the eikonal equation is solved on it (`geometry.eikonal`), and
planner and reflex are given a point on the way in place of the goal. It knows scans and odometry and nothing else.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.eikonal import FloatArray, GeodesicField, march
from hybrid_control.navigation.route.align import align, foreseen, normals, settle
from hybrid_control.signals import Goal, Odometry, Pose, RangeScan, Twist

CELL = 0.1  # m
MARGIN = 6.0  # m of grid around start and goal
SEEN_TO = 5.0  # m, readings beyond are not used
HIT, SURE, MOST = 3, 3, 9  # what a reading adds, from where on a cell is taken for occupied, and the most
ALIGN_NS = 90_000_000  # least time between two scans that are laid over the grid
RADII = (0.30, 0.24)  # m, of the disc that has to get through; the second where there is no way for the first
WIDE = 0.60  # m of clearance from which a way costs its length and no more
TIGHT_COST = 3.0  # cost of a metre with the least clearance
LOOKAHEAD = 1.5  # m
AROUND = 28  # cells to each side of the robot that the way ahead depends on: LOOKAHEAD, and 1.3 m beside it
AHEAD = 3.0  # m, how far away the point is put


@numba.njit(cache=True, nogil=True)
def see(
    grid: NDArray[np.int16],
    surfaces: FloatArray,
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
                if grid[i, j] == 0:
                    surfaces[i, j, :] = 0.0
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
    """The grid of one drive and the point on the way to the goal.

    start: where the robot begins, by odometry; goal: where it is to go. The grid's frame is that of the odometry at
    the start; `correction` (x, y, yaw) leads from the odometry's frame to the grid's as it drifts. lidar_x, lidar_yaw:
    the range sensor's place ahead of the robot's centre in m, and its turn against it in rad.
    """

    def __init__(self, start: Pose, goal: Goal, lidar_x: float = 0.0, lidar_yaw: float = 0.0) -> None:
        self.goal = goal
        self._lidar_x, self._lidar_yaw = lidar_x, lidar_yaw
        self.x0, self.y0 = min(start.x, goal.x) - MARGIN, min(start.y, goal.y) - MARGIN
        width, height = abs(start.x - goal.x) + 2 * MARGIN, abs(start.y - goal.y) + 2 * MARGIN
        self.grid = np.zeros((math.ceil(height / CELL), math.ceil(width / CELL)), np.int16)
        self.surfaces = np.zeros((*self.grid.shape, 6))
        self.correction = Pose()
        self._spread = np.zeros((3, 3))
        self._aligned: Pose | None = (
            None  # where odometry had the robot when a scan was last laid over the grid
        )
        self._next_align = 0

    def place(self, pose: Pose) -> Pose:
        """A pose of the odometry on the grid."""
        t = self.correction
        c, s = math.cos(t.yaw), math.sin(t.yaw)
        return Pose(t.x + c * pose.x - s * pose.y, t.y + s * pose.x + c * pose.y, pose.yaw + t.yaw)

    def _to_odometry(self, x: float, y: float) -> tuple[float, float]:
        """A point of the grid in the odometry's frame."""
        t = self.correction
        c, s = math.cos(t.yaw), math.sin(t.yaw)
        dx, dy = x - t.x, y - t.y
        return c * dx + s * dy, c * dy - s * dx

    def remember(self, scan: RangeScan, odometry: Odometry) -> None:
        """Enter a scan; the odometry may be a little older than it."""
        age = (scan.stamp_ns - odometry.stamp_ns) * 1e-9
        pose, twist = odometry.pose, odometry.twist
        yaw = pose.yaw + twist.angular_z * age
        x = pose.x + twist.linear_x * age * math.cos(yaw)
        y = pose.y + twist.linear_x * age * math.sin(yaw)
        ranges = np.where(np.isnan(scan.ranges), 0.0, scan.ranges).astype(np.float64)
        beams: FloatArray = np.arange(ranges.size, dtype=np.float64)
        beams = scan.angle_min + scan.angle_increment * beams + self._lidar_yaw
        place = self.place(Pose(x, y, yaw))
        seen = (ranges >= scan.range_min) & (ranges <= SEEN_TO)
        points = ranges[seen, None] * np.column_stack((np.cos(beams[seen]), np.sin(beams[seen])))
        points[:, 0] += self._lidar_x
        facing, time = normals(points), scan.stamp_ns * 1e-9
        if scan.stamp_ns >= self._next_align:
            self._next_align = scan.stamp_ns + ALIGN_NS
            place = self._align(Pose(x, y, yaw), place, points, facing, time)
        lidar = place.x + self._lidar_x * math.cos(place.yaw), place.y + self._lidar_x * math.sin(place.yaw)
        see(
            self.grid, self.surfaces, self.x0, self.y0, *lidar, ranges, place.yaw + beams, scan.range_min, SEEN_TO
        )  # fmt: skip
        settle(self.surfaces, self._frame, (place.x, place.y, place.yaw), points, facing, time)

    @property
    def _frame(self) -> tuple[float, float, float]:
        """Of the grid: its corner and the side of its cells, m."""
        return self.x0, self.y0, CELL

    def _align(
        self, odometry: Pose, place: Pose, points: FloatArray, facing: FloatArray, time: float
    ) -> Pose:
        """The place on the grid where the points (n, 2) of the body frame fit best; the correction follows it."""
        before, self._aligned = self._aligned or odometry, odometry
        dx, dy = odometry.x - before.x, odometry.y - before.y
        turned = self.correction.yaw
        c, s = math.cos(turned), math.sin(turned)
        spread = foreseen(self._spread, c * dx - s * dy, s * dx + c * dy, odometry.yaw - before.yaw)
        (x, y, yaw), self._spread = align(
            self.surfaces, self._frame, (place.x, place.y, place.yaw), spread, points, facing, time
        )
        turn = yaw - odometry.yaw
        c, s = math.cos(turn), math.sin(turn)
        self.correction = Pose(x - c * odometry.x + s * odometry.y, y - s * odometry.x - c * odometry.y, turn)
        return Pose(x, y, yaw)

    def distance(self, pose: Pose) -> float:
        """Metres in a straight line from a pose of the odometry to the goal."""
        place = self.place(pose)
        return math.hypot(self.goal.x - place.x, self.goal.y - place.y)

    def point(self, pose: Pose, stamp_ns: int) -> Goal:
        """The point to drive to, in the odometry's frame: AHEAD m from the pose on the way's direction, or the goal.

        The goal where it is nearer than that, where it lies straight ahead on the way, or where there is no way.
        """
        place = self.place(pose)
        goal = Goal(stamp_ns, *self._to_odometry(self.goal.x, self.goal.y))
        distance = self.distance(pose)
        if distance < LOOKAHEAD:
            return goal
        clear = clearances(self.grid, WIDE + CELL)
        for radius in RADII:
            field = self._solve(clear, radius, place)
            heading = field.heading(place.x, place.y, LOOKAHEAD)
            if math.isfinite(heading):
                heading -= self.correction.yaw
                ahead = min(AHEAD, distance)
                return Goal(stamp_ns, pose.x + ahead * math.cos(heading), pose.y + ahead * math.sin(heading))
        return goal

    def _solve(self, clear: FloatArray, radius: float, place: Pose) -> GeodesicField:
        """The field as far as the way ahead of a place asks for it."""
        free = clear >= radius
        field = np.full(clear.shape, math.inf)
        x0, y0 = self.x0 + CELL / 2, self.y0 + CELL / 2  # the first cell's middle
        i, j = round((self.goal.y - y0) / CELL), round((self.goal.x - x0) / CELL)
        field[i, j] = 0.0
        row, column = round((place.y - y0) / CELL), round((place.x - x0) / CELL)
        box = (
            max(row - AROUND, 0), min(row + AROUND + 1, clear.shape[0]),
            max(column - AROUND, 0), min(column + AROUND + 1, clear.shape[1]),
        )  # fmt: skip
        tight = 1.0 + (TIGHT_COST - 1.0) * np.clip((WIDE - clear) / (WIDE - radius), 0.0, 1.0)
        march(field, np.where(free, tight, math.inf), CELL, box)
        # from where the disc does not fit, the way leads out first
        march(field, np.where(free, math.inf, np.where(clear > 0.0, 5.0, math.inf)), CELL, box)
        return GeodesicField(x0, y0, CELL, radius, (self.goal.x, self.goal.y), field, clear, free)


def warm() -> None:
    """Compile what a memory calls, so that the first scan of a drive does not wait for it."""
    memory = RouteMemory(Pose(), Goal(0, 4.0, 0.0))
    for stamp_ns in (0, 2 * ALIGN_NS):
        ranges = np.full(360, np.inf, np.float32)
        ranges[120:240] = 2.0  # the way leads round something
        scan = RangeScan(stamp_ns, -math.pi, math.tau / 360, 0.05, 10.0, ranges)
        memory.remember(scan, Odometry(stamp_ns, Pose(), Twist(stamp_ns)))
    memory.point(Pose(), 0)

"""A memory of what the lidar has seen, and the way to the goal through it: what leads out of a dead end.

An occupancy grid (`route.grid`) is filled scan by scan, each laid over the earlier ones (`route.align`), for the
odometry drifts; what has not been seen counts as free. From time to time the way is sought on it (`route.way`), and
planner and reflex are given a point on the way in place of the goal. It knows scans and odometry and nothing else.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.eikonal import FloatArray, GeodesicField, line_free
from hybrid_control.geometry.outline import carried_on
from hybrid_control.navigation.route.align import align, foreseen, normals, settle
from hybrid_control.navigation.route.front import Disc
from hybrid_control.navigation.route.grid import Grid
from hybrid_control.navigation.route.held import Held
from hybrid_control.navigation.route.way import Found, Way, aim, point_ahead, room_at
from hybrid_control.signals import Goal, Odometry, Pose, RangeScan, Twist
from hybrid_control.signals.headings import wrapped

SEEN_TO = 5.0  # m, readings beyond are not used
ALIGN_NS = 90_000_000  # least time between two scans that are laid over the grid
LOOKAHEAD = 1.5  # m
AHEAD = 3.0  # m, how far away the point is put at most
AROUND = 1.0  # m around that in which the way is known
AT = 0.15  # m from its end where a way ends beside the goal
NEAREST = 0.4  # m, and at least: a point that is reached is stopped at
BARS = 0.35, 1.5  # m of the way ahead, from and to where what holds the robot is taken to be
CELLS = 5.0  # on half the robot's width
FINEST, COARSEST = 0.035, 0.10  # m, their sides at least and at most
LEAST, EASY, WIDE = 0.02, 0.085, 0.385  # m beside half the robot's width, of the discs of `route.way`
SLIM = 0.0  # m in place of LEAST where nothing else leads on: what is remembered is some cm too thick
SLIM_AFTER, SLIM_FOR = 5_000_000_000, 20_000_000_000  # ns without a way from which on, and for how long


def disc(half_width: float) -> Disc:
    """The room that a robot asks for whose width is twice as much, m."""
    return Disc(half_width + LEAST, half_width + EASY, half_width + WIDE)


class RouteMemory:
    """The grid of one drive and the point on the way to the goal.

    start: where the robot begins, by odometry; goal: where it is to go. The grid's frame is that of the odometry at
    the start; `correction` (x, y, yaw) leads from the odometry's frame to the grid's as it drifts. lidar: the range
    sensor's place ahead and to the left of the robot's centre in m, and its turn against it in rad. half_width: of the
    robot, m.
    """

    def __init__(
        self, start: Pose, goal: Goal, lidar: Pose = Pose(), half_width: float = 0.215
    ) -> None:
        self.goal = goal
        self._lidar = lidar
        self._half_width, self._disc = half_width, disc(half_width)
        self._since_ns: int | None = None  # since when there has been no way, or a slim one is sought
        cell = min(max(half_width / CELLS, FINEST), COARSEST)
        self.grid = Grid(start.x, start.y, cell, self._disc.wide + cell)
        self.correction = Pose()
        self._spread = np.zeros((3, 3))
        self._aligned: Pose | None = (
            None  # where odometry had the robot when a scan was last laid over the grid
        )
        self._next_align = 0
        self._begun: float | None = None  # s, of the first scan; the grid's times count from there
        self._way: Way | None = None  # that is being sought
        self._field: GeodesicField | None = None  # of the way that was found last
        self._held = Held()
        self.blocked = False  # whether there is no way to the goal

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
        """Enter a scan; the odometry may be a little older than it.

        Where the robot is follows from what the sensor itself gave: what a camera saw lies where odometry had it.
        """
        age = (scan.stamp_ns - odometry.stamp_ns) * 1e-9
        pose, twist = odometry.pose, odometry.twist
        motion = twist.linear_x, twist.linear_y, twist.angular_z
        x, y, yaw = carried_on((pose.x, pose.y, pose.yaw), motion, age)
        ranges, given = (np.where(np.isnan(r), 0.0, r).astype(np.float64) for r in (scan.ranges, scan.own))
        beams: FloatArray = np.arange(ranges.size, dtype=np.float64)
        beams = scan.angle_min + scan.angle_increment * beams + self._lidar.yaw
        place = self.place(Pose(x, y, yaw))
        seen = (given >= scan.range_min) & (given <= SEEN_TO)
        points = given[seen, None] * np.column_stack((np.cos(beams[seen]), np.sin(beams[seen])))
        points += (self._lidar.x, self._lidar.y)
        self._begun = scan.stamp_ns * 1e-9 if self._begun is None else self._begun
        facing, time = normals(points), scan.stamp_ns * 1e-9 - self._begun
        if scan.stamp_ns >= self._next_align:
            self._next_align = scan.stamp_ns + ALIGN_NS
            place = self._align(Pose(x, y, yaw), place, points, facing, time)
        c, s, mount = math.cos(place.yaw), math.sin(place.yaw), self._lidar
        lidar = place.x + mount.x * c - mount.y * s, place.y + mount.x * s + mount.y * c
        begin = place.yaw + mount.yaw + scan.angle_min
        self.grid.enter(*lidar, ranges, begin, scan.angle_increment, scan.range_min, SEEN_TO, time)
        here = place.x, place.y, place.yaw
        self.grid.touch(settle(self.grid.cells, self.grid.frame, here, points, facing, time))

    def _align(
        self, odometry: Pose, place: Pose, points: FloatArray, facing: FloatArray, time: float
    ) -> Pose:
        """The place on the grid where the points (n, 2) of the body frame fit best; the correction follows it."""
        before, self._aligned = self._aligned or odometry, odometry
        dx, dy = odometry.x - before.x, odometry.y - before.y
        turned = self.correction.yaw
        c, s = math.cos(turned), math.sin(turned)
        turn = wrapped(odometry.yaw - before.yaw)
        spread = foreseen(self._spread, c * dx - s * dy, s * dx + c * dy, turn)
        (x, y, yaw), self._spread = align(
            self.grid.cells, self.grid.frame, (place.x, place.y, place.yaw), spread, points, facing, time
        )
        turn = yaw - odometry.yaw
        c, s = math.cos(turn), math.sin(turn)
        self.correction = Pose(x - c * odometry.x + s * odometry.y, y - s * odometry.x - c * odometry.y, turn)
        return Pose(x, y, yaw)

    def forget(self) -> None:
        """Nothing has been seen yet; where the robot is stays known."""
        self.grid.forget()
        self._way = self._field = None
        self.blocked = False

    def distance(self, pose: Pose) -> float:
        """Metres in a straight line from a pose of the odometry to the goal."""
        place = self.place(pose)
        return math.hypot(self.goal.x - place.x, self.goal.y - place.y)

    def point(self, pose: Pose, stamp_ns: int) -> Goal | None:
        """The point to drive to, in the odometry's frame: the farthest within AHEAD m of the way that lies in
        sight, with as much room beside the straight line as beside the way, and NEAREST m at least, or the goal.

        The goal where it is nearer than LOOKAHEAD with nothing between; where something stands on it, the way ends at
        the nearest place beside it. None where there is no way, or it ends here, which `blocked` says, and until the
        first way is found.
        """
        place = self.place(pose)
        distance = self.distance(pose)
        field = self._seek(place, stamp_ns)
        if field is None:
            return None
        if distance < LOOKAHEAD and self._in_sight(field, place):
            return Goal(stamp_ns, *self._to_odometry(self.goal.x, self.goal.y))
        ends = self._way.goal if self._way is not None else (self.goal.x, self.goal.y)
        if ends != (self.goal.x, self.goal.y) and math.dist(ends, (place.x, place.y)) < AT:
            self.blocked = True  # no nearer to it
            return None
        path = field.path(place.x, place.y, AHEAD)
        if len(path) < 2:
            return None
        origin = field.x0, field.y0
        cells = (path - origin) / field.resolution
        if self._held.look(pose, stamp_ns * 1e-9):
            self._bar(path, cells, field)
        point = point_ahead(cells, field.clear, self._disc, NEAREST / field.resolution)
        x, y = origin + field.resolution * np.array(point)
        return Goal(stamp_ns, *self._to_odometry(x, y))

    def _bar(self, path: FloatArray, cells: FloatArray, field: GeodesicField) -> None:
        """Close the narrowest place of the way ahead (k, 2), m and cells: the robot was held there for long."""
        away = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))))
        ahead = np.nonzero((away >= BARS[0]) & (away <= BARS[1]))[0]
        if ahead.size:
            room = [room_at(field.clear, *cells[k]) for k in ahead]
            self.grid.bar(*path[ahead[int(np.argmin(room))]])

    def _seek(self, place: Pose, stamp_ns: int) -> GeodesicField | None:
        """The distances of the way that was found last, after the search has gone on; None where there is none."""
        room = self.grid.clear()
        goal = self.goal.x, self.goal.y
        before = self._way.goal if self._way is not None else goal
        end = aim(room, self.grid.frame, self._disc.least, goal, before)
        if self._way is None or self._way.clear is not room or end != before:
            self._way = Way(room, self.grid.frame, end, self._disc, self.grid.take_field())
        self._way.touch(*self.grid.changes())
        found = self._way.go_on(place.x, place.y)
        if found is not Found.NOT_YET:
            self.blocked = found is Found.NO_WAY and not self.grid.unbar()
            self._field = self._way.field(AHEAD + AROUND) if found is Found.WAY else None
            self._slim(stamp_ns)
        return self._field

    def _slim(self, stamp_ns: int) -> None:
        """Where there has been no way for SLIM_AFTER, seek for SLIM_FOR what the robot, without a margin, just fits."""
        usual = disc(self._half_width)
        slim = self._disc.least < usual.least
        if not (slim or self.blocked):
            self._since_ns = None
        elif self._since_ns is None:
            self._since_ns = stamp_ns
        elif stamp_ns - self._since_ns >= (SLIM_FOR if slim else SLIM_AFTER):
            self._disc = usual if slim else usual._replace(least=self._half_width + SLIM)
            self._since_ns, self._way = None if slim else stamp_ns, None

    def _in_sight(self, field: GeodesicField, place: Pose) -> bool:
        """Whether nothing that has been seen stands on the line to the goal."""
        ends = [((x - field.x0) / field.resolution, (y - field.y0) / field.resolution)
                for x, y in ((place.x, place.y), (self.goal.x, self.goal.y))]  # fmt: skip
        open_: NDArray[np.bool_] = field.clear > 0.0
        return line_free(open_, *ends[0], *ends[1])


def warm() -> None:
    """Compile what a memory calls, so that the first scan of a drive does not wait for it."""
    memory = RouteMemory(Pose(), Goal(0, 4.0, 0.0))
    for k, near in enumerate((2.0, 2.0, 0.15)):  # the way leads round something, and out from where it does not fit
        stamp_ns = 2 * k * ALIGN_NS
        ranges = np.full(360, np.inf, np.float32)
        ranges[120:240] = near
        scan = RangeScan(stamp_ns, -math.pi, math.tau / 360, 0.05, 10.0, ranges)
        memory.remember(scan, Odometry(stamp_ns, Pose(), Twist(stamp_ns)))
        memory.point(Pose(3.0 if k == 1 else 0.0, 0.0, 0.0), stamp_ns)  # once with the goal close by

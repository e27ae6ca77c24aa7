"""What leads planner and reflex to a goal: a route memory for the drive at hand, and when its next point is due.

The planner node and the lock step both hold one, so what is measured is what runs on the robot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hybrid_control.navigation.route.memory import RouteMemory
from hybrid_control.parameters import Value
from hybrid_control.signals import Goal, NoWay, Odometry, Pose, RangeScan

PERIOD_NS = 200_000_000  # between two points
EXPLORE_NS = 10_000_000_000  # least time between two beginnings anew
PASSES_NS = 3_000_000_000  # for which what bars the way may be somebody who walks on


def guide_of(settings: Mapping[str, Value], explores: bool = False) -> Guide:
    """The Guide of a robot with these settings of its reflex."""
    lidar = Pose(*(float(settings[name]) for name in ("lidar_x", "lidar_y", "lidar_yaw")))
    return Guide(lidar, 0.5 * float(settings["robot_width"]), explores)


class Guide:
    """Scans, odometry and a goal in, points on the way out.

    lidar: the range sensor's place ahead and to the left of the robot's centre in m, and its turn against it in rad.
    half_width: of the robot, m. explores: where there is no way, all that was seen is forgotten, and what leads to the
    goal as if nothing stood there is looked at again; else the robot is told that there is none.
    """

    def __init__(
        self, lidar: Pose = Pose(), half_width: float = 0.215, explores: bool = False
    ) -> None:
        self._robot = lidar, half_width
        self._explores = explores
        self._goal: Goal | None = None
        self._odometry: Odometry | None = None
        self._due = self._newest_ns = 0
        self._explore_ns: int | None = None  # when it began anew
        self._way_ns: int | None = None  # when there was a way last, or the first scan
        self._point: Goal | None = None  # that was given last
        self.memory: RouteMemory | None = None

    @property
    def blocked(self) -> bool:
        """Whether there is no way to the goal, by what was seen so far."""
        return self.memory is not None and self.memory.blocked

    def put_goal(self, goal: Goal) -> None:
        """Where to go, in the odometry's frame. The same goal again changes nothing, another one begins anew."""
        if self._goal is None or (goal.x, goal.y) != (self._goal.x, self._goal.y):
            self._goal, self.memory, self._due = goal, None, 0
            self._way_ns = self._point = None

    def put_odometry(self, odometry: Odometry) -> None:
        """Where the robot believes it is."""
        self._odometry = odometry

    def put_scan(self, scan: RangeScan) -> None:
        """A sweep of the range sensor, about as old as the newest odometry."""
        if self._odometry is None or self._goal is None:
            return
        if scan.stamp_ns < self._newest_ns:  # the clock was set back: a simulation began anew
            self.memory = self._explore_ns = self._way_ns = None
        self._newest_ns = scan.stamp_ns
        if self.memory is None:
            self.memory = RouteMemory(self._odometry.pose, self._goal, *self._robot)
        self.memory.remember(scan, self._odometry)

    def point(self, now_ns: int) -> Goal | NoWay | None:
        """The point to drive to in place of the goal, PERIOD_NS after the one before, or that there is none.

        None until it is due, and while the first way is sought.
        """
        if self.memory is None or self._goal is None or self._odometry is None:
            return None
        if 0 <= self._due - now_ns <= PERIOD_NS and now_ns < self._due:
            return None
        self._due = now_ns + PERIOD_NS
        point = self.memory.point(self._odometry.pose, now_ns)
        if not self.memory.blocked:
            self._way_ns, self._point = now_ns, point
            return point
        if self._point is not None and self._way_ns is not None and now_ns - self._way_ns < PASSES_NS:
            return replace(self._point, stamp_ns=now_ns)
        if self._explores and (self._explore_ns is None or now_ns - self._explore_ns >= EXPLORE_NS):
            self._explore_ns = now_ns
            self.memory.forget()
        return NoWay(now_ns)

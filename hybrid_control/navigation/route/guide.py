"""What leads planner and reflex to a goal: a route memory for the drive at hand, and when its next point is due.

The planner node and the lock step both hold one, so what is measured is what runs on the robot.
"""

from __future__ import annotations

from hybrid_control.navigation.route.memory import RouteMemory
from hybrid_control.signals import Goal, Odometry, Pose, RangeScan

PERIOD_NS = 200_000_000  # between two points
FARTHEST = 40.0  # m to a goal that the grid reaches; one further away is approached in legs


class Guide:
    """Scans, odometry and a goal in, points on the way out.

    lidar_x, lidar_yaw: the range sensor's place ahead of the robot's centre in m, and its turn against it in rad.
    """

    def __init__(self, lidar_x: float = 0.0, lidar_yaw: float = 0.0) -> None:
        self._mount = lidar_x, lidar_yaw
        self._goal: Goal | None = None
        self._odometry: Odometry | None = None
        self._due = self._newest_ns = 0
        self.memory: RouteMemory | None = None

    def put_goal(self, goal: Goal) -> None:
        """Where to go, in the odometry's frame. The same goal again changes nothing, another one begins anew."""
        if self._goal is None or (goal.x, goal.y) != (self._goal.x, self._goal.y):
            self._goal, self.memory, self._due = goal, None, 0

    def put_odometry(self, odometry: Odometry) -> None:
        """Where the robot believes it is."""
        self._odometry = odometry

    def put_scan(self, scan: RangeScan) -> None:
        """A sweep of the range sensor, about as old as the newest odometry."""
        if self._odometry is None or self._goal is None:
            return
        if scan.stamp_ns < self._newest_ns:  # the clock was set back: a simulation began anew
            self.memory = None
        self._newest_ns = scan.stamp_ns
        if self.memory is None:
            self._begin(self._odometry.pose, self._goal)
        assert self.memory is not None
        self.memory.remember(scan, self._odometry)

    def point(self, now_ns: int) -> Goal | None:
        """The point to drive to in place of the goal, PERIOD_NS after the one before; None until then."""
        if self.memory is None or self._goal is None or self._odometry is None:
            return None
        if 0 <= self._due - now_ns <= PERIOD_NS and now_ns < self._due:
            return None
        self._due = now_ns + PERIOD_NS
        pose = self._odometry.pose
        if self.memory.goal is not self._goal and self.memory.distance(pose) < 0.5 * FARTHEST:
            self._begin(pose, self._goal)
        return self.memory.point(pose, now_ns)

    def _begin(self, pose: Pose, goal: Goal) -> None:
        """A new memory from here; its goal lies at most FARTHEST m away, on the straight line to that of the drive."""
        distance, _ = pose.to_body(goal.x, goal.y)
        if distance > FARTHEST:
            share = FARTHEST / distance
            goal = Goal(goal.stamp_ns, pose.x + share * (goal.x - pose.x), pose.y + share * (goal.y - pose.y))
        self.memory = RouteMemory(pose, goal, *self._mount)

"""What every baseline shares: it sees the newest scan and odometry and nothing else, and decides 20 times a second."""

from __future__ import annotations

import abc
import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybrid_control.cosim import Hybrid, Message, MessagePart, Port
from hybrid_control.geometry.shapes import FloatArray
from hybrid_control.navigation.drive import WINDOW, add_planner
from hybrid_control.navigation.parts import MESSAGES, Command
from hybrid_control.navigation.reflex import Mode
from hybrid_control.navigation.route import Guide
from hybrid_control.signals import Goal, NoWay, Odometry, Pose, RangeScan, Twist
from hybrid_control.sim.robots.vehicle import Vehicle

PERIOD_NS = 50_000_000
STOPPED, DRIVING = Mode.STOPPED.name, "DRIVING"  # the modes of what drives without the reflex


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What a baseline knows when it decides.

    points: (n, 2) m, what the scan met, in the body frame; distance, bearing: m and rad, of the goal by odometry;
    linear, angular: m/s and rad/s, the robot's speeds by odometry.
    """

    points: FloatArray
    distance: float
    bearing: float
    linear: float
    angular: float


def points_of(scan: RangeScan, lidar: Pose = Pose()) -> FloatArray:
    """The scan's readings as points (n, 2) m in the body frame; lidar: its place in that frame."""
    ranges = scan.ranges.astype(np.float64)
    valid = (ranges >= scan.range_min) & (ranges <= scan.range_max)
    angles = lidar.yaw + scan.angle_min + scan.angle_increment * np.flatnonzero(valid)
    return np.column_stack((lidar.x + ranges[valid] * np.cos(angles), lidar.y + ranges[valid] * np.sin(angles)))


def driving(now_ns: int, command: tuple[float, float]) -> Command:
    """A speed in m/s and a yaw rate in rad/s as a command."""
    linear, angular = command
    return Command(Twist(now_ns, linear_x=linear, angular_z=angular), DRIVING)


class ScanDriver(MessagePart):
    """A Driver, and a part, that steers by scan, odometry and goal alone; a baseline says how in `steer`.

    led: it is given the hybrid's points on the way in place of the goal, by the same memory of what was seen.
    """

    planner = reflex = None
    led = False
    inputs: Mapping[str, Port] = {"scan": MESSAGES, "odometry": MESSAGES}
    outputs: Mapping[str, Port] = {"command": MESSAGES}

    def join(self, hybrid: Hybrid, robot: Vehicle, goal: Goal, seed: int) -> str:
        """Itself, and what leads it."""
        self.robot, self.goal, self._seed = robot, goal, seed
        if self.led:
            self.inputs = {**self.inputs, "waypoint": MESSAGES}
        hybrid.add("driver", self, WINDOW)
        hybrid.link("world.scan", "driver.scan")
        hybrid.link("world.odometry", "driver.odometry")
        if self.led:
            add_planner(hybrid, None, goal, Guide(robot.lidar, 0.5 * robot.width))
            hybrid.link("guide.waypoint", "driver.waypoint")
        return "driver.command"

    def reset(self, seed: int) -> None:
        """Forget the episode before; what it draws follows from the episode's seed."""
        self._scan: RangeScan | None = None
        self._odometry: Odometry | None = None
        self._command = (0.0, 0.0)
        self._due = 0
        self._aim: Goal | NoWay = self.goal
        self.prepare(self._seed)

    def prepare(self, seed: int) -> None:
        """What a baseline has to forget or to draw anew at the start of an episode."""

    @abc.abstractmethod
    def steer(self, view: View) -> tuple[float, float]:
        """The command in m/s and rad/s."""

    def step(self, now_ns: int, inputs: Mapping[str, Sequence[Message]]) -> Mapping[str, Sequence[Message]]:
        """A command by the newest scan and odometry, once time has passed."""
        if inputs["scan"]:
            self._scan = inputs["scan"][-1].value
        if inputs["odometry"]:
            self._odometry = inputs["odometry"][-1].value
        if inputs.get("waypoint"):
            self._aim = inputs["waypoint"][-1].value
        return {"command": (Message(now_ns, self.command(now_ns)),)} if now_ns else {}

    def state(self) -> Any:
        """Its attributes."""
        return copy.deepcopy(vars(self))

    def set_state(self, state: Any) -> None:
        """Its attributes as they were."""
        vars(self).update(copy.deepcopy(state))

    def command(self, now_ns: int) -> Command:
        """The newest decision; it stands until there are a scan, odometry and a way."""
        if self._scan is None or self._odometry is None or isinstance(self._aim, NoWay):
            return Command(Twist(now_ns), STOPPED)
        if now_ns >= self._due:
            self._due = now_ns + PERIOD_NS
            distance, bearing = self._odometry.pose.to_body(self._aim.x, self._aim.y)
            twist = self._odometry.twist
            view = View(points_of(self._scan, self.robot.lidar), distance, bearing, twist.linear_x, twist.angular_z)
            self._command = self.steer(view)
        return driving(now_ns, self._command)


def turn_to(heading: float, speed: float, robot: Vehicle) -> tuple[float, float]:
    """A command towards a body-frame heading in rad: proportional turn, slower the further off, on the spot behind."""
    angular = min(max(3.0 * heading, -robot.max_yaw_rate), robot.max_yaw_rate)
    return speed * max(math.cos(heading), 0.0) ** 2, angular


class Straight(ScanDriver):
    """Straight to the goal, whatever stands there: what a world is worth."""

    def steer(self, view: View) -> tuple[float, float]:
        """Towards the goal's bearing, slower in the last metre."""
        return turn_to(view.bearing, min(self.robot.max_speed, 0.2 + view.distance), self.robot)

"""How a run goes in a simulator that is not ours: from the robot's true poses and what it touches.

The embedded simulator knows the same of itself.
"""

from __future__ import annotations

import math

import numpy as np

from hybrid_control.geometry.shapes import footprint_distance
from hybrid_control.signals import Pose
from hybrid_control.sim.robots import Vehicle
from hybrid_control.sim.simulator import CONTACT_GAP_NS
from hybrid_control.sim.worlds import World

TOUCHING = 0.003  # m; bodies that a simulator holds apart count as touching from here on


class Score:
    """One robot in one world. Times are simulated ones; poses are the world's.

    feels: whether `touch` is told what the robot touches. Where it is not, the gap between outline and obstacles says
    it, as often as a pose comes. contacts: touches so far, as (time_ns, obstacle); the same obstacle within 0.2 s is
    the same contact.
    """

    def __init__(self, world: World, robot: Vehicle, feels: bool = True) -> None:
        self._world, self._robot, self._feels = world, robot, feels
        self.contacts: list[tuple[int, str]] = []
        self.pose: Pose | None = None
        self.goal_distance = self.minimum_distance = math.inf
        self.path_length = 0.0
        self._touched: dict[str, int] = {}

    def see(self, time_ns: int, pose: Pose) -> None:
        """Take in where the robot truly is."""
        if self.pose is not None:
            self.path_length += math.dist((pose.x, pose.y), (self.pose.x, self.pose.y))
        self.pose = pose
        self.goal_distance = math.dist((pose.x, pose.y), self._world.goal)
        self.minimum_distance = self._gap(time_ns, pose)
        if not self._feels and self.minimum_distance < TOUCHING:
            self._note(time_ns, "an obstacle")

    def touch(self, time_ns: int, obstacle: str) -> None:
        """Take in that it touches something."""
        if self._feels:
            self._note(time_ns, obstacle)

    def _note(self, time_ns: int, obstacle: str) -> None:
        last = self._touched.get(obstacle)
        self._touched[obstacle] = time_ns
        if last is None or time_ns - last > CONTACT_GAP_NS:
            self.contacts.append((time_ns, obstacle))

    def _gap(self, time_ns: int, pose: Pose) -> float:
        """Metres from the outline to the nearest obstacle, inf in an empty world."""
        movers = [(*m.at(time_ns * 1e-9), m.radius) for m in self._world.movers]
        cylinders = np.concatenate((self._world.cylinders, np.array(movers).reshape(-1, 3)))
        robot = self._robot
        outline = (robot.length, robot.width)
        return footprint_distance(pose.x, pose.y, pose.yaw, *outline, cylinders, self._world.boxes)

"""How a run goes: what a robot touched, how far it came and how near to obstacles, from its true poses.

What it is not to get onto, forbidden ground and things, counts as touched by this geometry, whatever a simulator feels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hybrid_control.geometry.shapes import FloatArray, footprint_distance
from hybrid_control.signals import Pose
from hybrid_control.sim.robots.vehicle import Vehicle
from hybrid_control.sim.worlds import Walk, World

CONTACT_GAP_NS = 200_000_000  # a touch of the same obstacle within this of the last one is the same contact
GOAL_RADIUS = 0.5  # m from the robot's middle within which a goal is reached
TOUCHING = 0.003  # m; bodies that a simulator holds apart count as touching from here on


@dataclass(frozen=True, slots=True)
class Contact:
    """The robot at (x, y) touched an obstacle ('cylinder3', 'box0', 'mover1', 'patch2', 'thing4'), driving or not."""

    time_ns: int
    obstacle: str
    x: float
    y: float
    standing: bool


def walk_among(world: World, robot: Vehicle, pose: Pose) -> Walk:
    """Where the world's movers go from time 0 on, with the robot at a pose in it."""
    return Walk(world.movers, robot.outline.reach, pose.x, pose.y)


def met_things(world: World, robot: Vehicle) -> dict[int, FloatArray]:
    """The things that a robot meets, by their numbers: their rectangles, (1, 5) as boxes."""
    return {i: np.array([t.rectangle]) for i, t in enumerate(world.things) if robot.meets(t)}


def outline_gap(world: World, robot: Vehicle, pose: Pose, walk: Walk | None = None) -> float:
    """Metres from the robot's rectangular outline to the nearest obstacle or thing that it meets, movers where they are
    now, or where they begin; inf in an empty world."""
    walk = walk or walk_among(world, robot, pose)
    cylinders = np.concatenate((world.cylinders, walk.circles))
    boxes = np.concatenate((world.boxes, *met_things(world, robot).values()))
    return footprint_distance(*robot.footprint(pose), cylinders, boxes)


class Score:
    """One robot in one world. Times are simulated ones; poses are the world's.

    feels: whether `touch` gets what the robot touches. Where it does not, the gap between outline and obstacles says
    it, as often as a pose comes. contacts: touches so far, as (time_ns, obstacle); the same obstacle within 0.2 s is
    the same contact. walk: where movers are. minimum_distance: m from the outline to the nearest obstacle,
    closest_approach: the least so far.
    """

    def __init__(self, world: World, robot: Vehicle, feels: bool = True) -> None:
        self._world, self._robot, self._feels = world, robot, feels
        self.contacts: list[tuple[int, str]] = []
        self.pose: Pose | None = None
        self.walk = walk_among(world, robot, world.start)
        self.goal_distance = self.minimum_distance = self.closest_approach = math.inf
        self.path_length = 0.0
        self._touched: dict[str, int] = {}
        forbidden = {f"patch{i}": np.array([p.rectangle]) for i, p in enumerate(world.patches) if p.forbidden}
        self._closed = forbidden | {f"thing{i}": box for i, box in met_things(world, robot).items()}

    def see(self, time_ns: int, pose: Pose, placed: bool = False) -> list[str]:
        """Take in where the robot truly is; placed: it was put there, which is no way that it went.

        Returns what begins to be touched by that: "patch0" for forbidden ground, "thing0" for a thing that the robot
        meets, "an obstacle" for another one where nothing feels.
        """
        if self.pose is not None and not placed:
            self.path_length += math.dist((pose.x, pose.y), (self.pose.x, self.pose.y))
        self.pose = pose
        self.goal_distance = math.dist((pose.x, pose.y), self._world.goal)
        self.walk.to(time_ns * 1e-9, pose.x, pose.y)
        self.minimum_distance = outline_gap(self._world, self._robot, pose, self.walk)
        self.closest_approach = min(self.closest_approach, self.minimum_distance)
        touched = self._on(pose)
        on_thing = any(name.startswith("thing") for name in touched)
        if not self._feels and self.minimum_distance < TOUCHING and not on_thing:
            touched.append("an obstacle")
        return [name for name in touched if self._note(time_ns, name)]

    def _on(self, pose: Pose) -> list[str]:
        """The forbidden patches and the things that the robot's outline is on."""
        robot, none = self._robot, np.empty((0, 3))
        outline = robot.footprint(pose)
        reach = math.hypot(robot.length, robot.width) / 2
        on = []
        for name, box in self._closed.items():
            x, y, length, width, _ = box[0]
            if math.dist(outline[:2], (x, y)) > reach + math.hypot(length, width) / 2 + TOUCHING:
                continue
            gap = footprint_distance(*outline, none, box)
            # where nothing feels, a simulator may hold the robot just before a thing
            if gap == 0.0 or (not self._feels and gap < TOUCHING and name.startswith("thing")):
                on.append(name)
        return on

    def touch(self, time_ns: int, obstacle: str) -> bool:
        """Take in that it touches something; whether a contact begins with it."""
        return self._feels and self._note(time_ns, obstacle)

    def _note(self, time_ns: int, obstacle: str) -> bool:
        last = self._touched.get(obstacle)
        self._touched[obstacle] = time_ns
        begins = last is None or time_ns - last > CONTACT_GAP_NS
        if begins:
            self.contacts.append((time_ns, obstacle))
        return begins

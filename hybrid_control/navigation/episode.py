"""One episode in lock step: whatever drives, over whatever simulates, each sensor at its own rate of simulated time.

The same seed gives the same episode to the bit. Robots, baselines, levels of simulation and faults are settings of it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.shapes import clearance
from hybrid_control.navigation.planner.timed import TimedPlanner
from hybrid_control.navigation.reflex import Reflex
from hybrid_control.signals import Goal, Odometry, Twist
from hybrid_control.sim.robots.vehicle import Vehicle
from hybrid_control.sim.score import Contact
from hybrid_control.sim.simulator import Event
from hybrid_control.sim.worlds import World

WINDOW_NS = 10_000_000  # spikes are encoded and commands are sent a hundred times a second
NOTE_WAY = 10  # windows between two points of the way

AnyVehicle = TypeVar("AnyVehicle", bound=Vehicle)


class Command(NamedTuple):
    """What the robot is to do from now on, and the name of the mode that its driver is in."""

    twist: Twist
    mode: str


class Driver(Protocol):
    """What turns a robot's sensors into commands, one episode after another: the hybrid, or a baseline."""

    @property
    def planner(self) -> TimedPlanner | None:
        """What looks at the camera's images; None for a driver that does not look."""

    @property
    def reflex(self) -> Reflex | None:
        """The reflex that drives; None where none does."""

    def begin(self, robot: Vehicle, goal: Goal, seed: int) -> None:
        """A new episode: forget what was, time is 0. goal: in the frame of the odometry."""

    def receive(self, event: Event) -> None:
        """A sensor's reading, when it is due."""

    def command(self, now_ns: int) -> Command:
        """What the robot is to do from now on."""


class Simulator(Protocol):
    """What an episode asks of a simulator; `sim.simulator` has one, `sim.kinematic` another."""

    world: World
    time_ns: int
    contact_events: list[Contact]

    @property
    def path_length(self) -> float:
        """Metres that the robot went."""

    @property
    def closest_approach(self) -> float:
        """Metres from the outline to the nearest obstacle, the least so far."""

    def advance(self, until_ns: int) -> Iterator[Event]:
        """Lets time pass until `until_ns`, yielding each sensor's reading when it is due."""

    def apply(self, twist: Twist) -> None:
        """Wished velocity in the body's frame."""

    def truth(self) -> Odometry:
        """True planar pose and body-frame twist."""

    def goal_distance(self) -> float:
        """Metres from the robot's centre to the goal."""


@dataclass(frozen=True, slots=True)
class Rules:
    """When an episode has succeeded, when it is over, and what the robot may do.

    goal_radius: m, of the robot's true centre; duration: simulated s; max_speed: m/s; centre_contact: m from the
    robot's centre to a standing obstacle that counts as a contact besides those that the simulator notes, None where
    the outline's touch alone counts; track: m, None for the robot's own.
    """

    name: str = "default"
    goal_radius: float = 0.5
    duration: float = 90.0
    max_speed: float = 1.0
    centre_contact: float | None = None
    track: float | None = None

    def robot(self, robot: AnyVehicle) -> AnyVehicle:
        """The robot under these rules.

        Under a contact rule for the centre the outline is the square within that circle, so that the
        simulator's outline touches nothing that the rule does not already count.
        """
        changes: dict[str, Any] = {"max_speed": min(robot.max_speed, self.max_speed)}
        if self.centre_contact is not None:
            changes["length"] = changes["width"] = math.sqrt(2.0) * self.centre_contact
            if self.track is not None and robot.wheels is not None:
                changes["track"] = self.track
        return dataclasses.replace(robot, **changes)


@dataclass(frozen=True, slots=True)
class Episode:
    """How an episode went, by ground truth.

    time: simulated s until the goal was reached or the episode ended; path: m; least_distance: m from the outline
    to the nearest obstacle; modes: share of the time spent in each mode; way: (n, 3) x, y, yaw every 0.1 s;
    standing_contacts: those of the contacts in which the robot stood.
    """

    reached: bool
    contacts: int
    time: float
    path: float
    least_distance: float
    modes: Mapping[str, float]
    way: NDArray[np.float64]
    standing_contacts: int = 0

    @property
    def success(self) -> bool:
        """The goal was reached without a contact."""
        return self.reached and self.contacts == 0


def run_episode(
    driver: Driver, simulator: Simulator, robot: Vehicle, rules: Rules | None = None, seed: int = 0
) -> Episode:
    """Drive a simulator to its world's goal, to the first contact, or until the rules' time is up.

    robot: as the driver knows it. rules: Rules() where None. seed: for what the driver draws.
    """
    rules, world = rules or Rules(), simulator.world
    driver.begin(robot, Goal(0, *world.goal), seed)
    modes: dict[str, int] = {}
    way: list[tuple[float, float, float]] = []
    reached = touched = False
    for window in range(round(rules.duration * 1e9 / WINDOW_NS)):
        until = (window + 1) * WINDOW_NS
        for event in simulator.advance(until):
            driver.receive(event)
        twist, mode = driver.command(until)
        simulator.apply(twist)
        modes[mode] = modes.get(mode, 0) + 1
        pose = simulator.truth().pose
        if window % NOTE_WAY == 0:
            way.append((pose.x, pose.y, pose.yaw))
        if rules.centre_contact is not None:
            touched = clearance(pose.x, pose.y, world.cylinders, world.boxes) < rules.centre_contact
        reached = simulator.goal_distance() < rules.goal_radius
        if reached or touched or simulator.contact_events:
            break
    contacts: Sequence[Contact] = simulator.contact_events
    return Episode(
        reached=reached,
        contacts=max(len(contacts), int(touched)),
        time=simulator.time_ns * 1e-9,
        path=simulator.path_length,
        least_distance=simulator.closest_approach,
        modes={name: n / (window + 1) for name, n in modes.items()},
        way=np.array(way),
        standing_contacts=sum(c.standing for c in contacts),
    )

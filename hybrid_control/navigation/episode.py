"""What an episode is: the simulator that it asks for, the rules that it obeys, and how it went."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from hybrid_control.signals import Odometry, Pose, Twist
from hybrid_control.sim.robots.vehicle import Vehicle
from hybrid_control.sim.score import GOAL_RADIUS, Contact
from hybrid_control.sim.simulator import Event
from hybrid_control.sim.worlds import World

WINDOW_NS = 10_000_000  # spikes are encoded and commands are sent a hundred times a second
NOTE_WAY = 10  # windows between two points of the way

AnyVehicle = TypeVar("AnyVehicle", bound=Vehicle)


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

    @property
    def movers(self) -> NDArray[np.float64]:
        """Where the world's movers are, (m, 3) as `sim.worlds.Walk` has their places."""

    @property
    def pose(self) -> Pose:
        """The true planar pose."""

    def reset(self) -> None:
        """Back to time 0 and the world's start; noise begins anew from the seed."""

    def state(self) -> Any:
        """All that the future depends on, a copy."""

    def set_state(self, state: Any) -> None:
        """Go on from a state of this simulator."""


@dataclass(frozen=True, slots=True)
class Rules:
    """When an episode has succeeded, when it is over, and what the robot may do.

    goal_radius: m, of the robot's true centre; duration: simulated s; max_speed: m/s; centre_contact: m from the
    robot's centre to a standing obstacle that counts as a contact besides those that the simulator notes, None where
    the outline's touch alone counts; track: m, None for the robot's own.
    """

    name: str = "default"
    goal_radius: float = GOAL_RADIUS
    duration: float = 90.0
    max_speed: float = 1.0
    centre_contact: float | None = None
    track: float | None = None

    def for_robot(self, robot: Vehicle) -> Rules:
        """These rules with the time that a robot needs which is slower than they let it be, or whose worlds are larger.
        """
        slower = max(self.max_speed / robot.max_speed, 1.0) * robot.world_scale
        return dataclasses.replace(self, duration=self.duration * slower)

    def robot(self, robot: AnyVehicle) -> AnyVehicle:
        """The robot under these rules.

        Under a contact rule for the centre the outline is the square within that circle, so that the
        simulator's outline touches nothing that the rule does not already count.
        """
        changes: dict[str, Any] = {"max_speed": min(robot.max_speed, self.max_speed)}
        if self.centre_contact is not None:
            changes["length"] = changes["width"] = math.sqrt(2.0) * self.centre_contact
            changes["outline_x"] = 0.0
            if self.track is not None and robot.wheels is not None:
                changes["track"] = self.track
        return dataclasses.replace(robot, **changes)


    def told(self, robot: AnyVehicle) -> AnyVehicle:
        """The robot of `robot` as its driver is told of it: with all in its outline that must touch nothing.

        Under a contact rule for the centre that is the square around the circle.
        """
        if self.centre_contact is None:
            return robot
        side = 2.0 * self.centre_contact
        return dataclasses.replace(robot, length=side, width=side, outline_x=0.0)


class Sight(NamedTuple):
    """A look at a drive: s, the robot's pose (x, y, yaw) in m and rad and its speed and turn in m/s and rad/s, and the
    movers' places (m, 3) as `sim.worlds.Walk` has them."""

    time: float
    pose: tuple[float, float, float]
    speed: float
    turn: float
    places: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Episode:
    """How an episode went, by ground truth.

    time: simulated s until the goal was reached or the episode ended; path: m; least_distance: m from the outline
    to the nearest obstacle; modes: share of the time spent in each mode; way: (n, 3) x, y, yaw every 0.1 s;
    standing_contacts: those of the contacts in which the robot stood. sights: one at each window's end, in a world in
    which something moves. false_stops: how often it stood although the way was free (`stops`), None where nobody
    looked.
    """

    reached: bool
    contacts: int
    time: float
    path: float
    least_distance: float
    modes: Mapping[str, float]
    way: NDArray[np.float64]
    standing_contacts: int = 0
    sights: Sequence[Sight] = ()
    false_stops: int | None = None

    @property
    def success(self) -> bool:
        """The goal was reached without a contact."""
        return self.reached and self.contacts == 0

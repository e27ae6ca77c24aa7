"""One episode in lock step: simulator, planner, encoder and reflex, each at its own rate of simulated time.

The parts are those that the ROS nodes run, and the tick is the one of the real-time loop; the same seed gives the
same episode to the bit. It is the sequential co-simulation of a slow ANN and a fast SNN: the planner's rates,
computed from an image at time t, act from t + latency on, and every window of spikes lies within one of their
lifetimes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.shapes import clearance
from hybrid_control.navigation.planner.planner import BlindError
from hybrid_control.navigation.reflex import Reflex
from hybrid_control.navigation.route import Guide
from hybrid_control.parameters import Value
from hybrid_control.realtime import SteppedLoop
from hybrid_control.signals import PLANNER_POPULATIONS, Goal, Odometry, RateVector
from hybrid_control.signals.coding import encoder
from hybrid_control.sim.robots import JACKAL, RobotModel, Vehicle
from hybrid_control.sim.simulator import Contact, Event, Simulator
from hybrid_control.sim.worlds import World

if TYPE_CHECKING:
    from hybrid_control.sim.model import Appearance

WINDOW_NS = 10_000_000  # spikes are encoded and commands are sent a hundred times a second
GOAL_RADIUS = 0.5  # m, of the robot's true place from the goal
NOTE_WAY = 10  # windows between two points of the way

ImageFault = Callable[[NDArray[np.uint8], float], "NDArray[np.uint8] | None"]


class Plans(Protocol):
    """What an episode asks of a planner; `planner.Planner` is one."""

    @property
    def max_rate(self) -> float:
        """The highest rate in Hz."""

    def plan(self, image: Any, odometry: Odometry, goal: Goal, stamp_ns: int) -> RateVector:
        """Rates of the populations heading (72) and speed (8) in Hz; BlindError where the image shows nothing."""


class Driver(Protocol):
    """What turns a robot's sensors into commands, one episode after another: the hybrid, or a baseline."""

    camera: bool  # whether it looks at the camera's images

    def begin(self, robot: Vehicle, goal: Goal, seed: int) -> None:
        """A new episode: forget what was, time is 0. goal: in the frame of the odometry."""

    def receive(self, event: Event) -> None:
        """A sensor's reading, when it is due."""

    def command(self, now_ns: int) -> tuple[float, float, str]:
        """What the robot is to do from now on: m/s, rad/s, and the name of the mode that it is in."""


class Simulated(Protocol):
    """What an episode asks of a simulator; `sim.simulator.Simulator` is one, `sim.kinematic` has another."""

    time_ns: int
    path_length: float
    closest_approach: float
    contact_events: list[Contact]

    def advance(self, until_ns: int) -> Iterator[Event]:
        """Lets time pass until `until_ns`, yielding each sensor's reading when it is due."""

    def set_command(self, linear_x: float, angular_z: float) -> None:
        """Wished speeds in m/s and rad/s."""

    def truth(self) -> Odometry:
        """True planar pose and body-frame twist."""

    def goal_distance(self) -> float:
        """Metres from the robot's centre to the goal."""


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
    driver: Driver,
    world: World,
    simulator: Simulated,
    robot: Vehicle = JACKAL,
    seed: int = 0,
    *,
    duration: float = 90.0,
    goal_radius: float = GOAL_RADIUS,
    centre_contact: float | None = None,
    act: Callable[[int], str] | None = None,
) -> Episode:
    """Drive a simulator of the world to the goal, to the first contact, or until `duration` simulated s have passed.

    seed: for what the driver draws. goal_radius: m, of the robot's true centre. centre_contact: m; where given, a
    contact is the centre coming this near to a standing obstacle, besides those that the simulator notes. act: where
    given, it asks the driver at a time in ns, gives the simulator the command, and returns the mode; for vehicles that
    take more than a speed and a yaw rate.
    """
    driver.begin(robot, Goal(0, *world.goal), seed)
    modes: dict[str, int] = {}
    way: list[tuple[float, float, float]] = []
    windows = round(duration * 1e9 / WINDOW_NS)
    reached = touched = False
    for window in range(windows):
        until = (window + 1) * WINDOW_NS
        for event in simulator.advance(until):
            driver.receive(event)
        if act is None:
            linear, angular, mode = driver.command(until)
            simulator.set_command(linear, angular)
        else:
            mode = act(until)
        modes[mode] = modes.get(mode, 0) + 1
        pose = simulator.truth().pose
        if window % NOTE_WAY == 0:
            way.append((pose.x, pose.y, pose.yaw))
        if centre_contact is not None:
            touched = clearance(pose.x, pose.y, world.cylinders, world.boxes) < centre_contact
        reached = simulator.goal_distance() < goal_radius
        if reached or touched or simulator.contact_events:
            break
    contacts = simulator.contact_events
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


class LockStep:
    """Planner, encoder, reflex and simulator, ready to drive one world after another; a Driver by itself.

    planner: None leaves the reflex alone. planner_rate, Hz, and planner_latency, s, from image to rates. code: name
    of an encoder. settings, gains: of the reflex. memory: whether a `route.Guide` leads planner and reflex to
    the goal by points on the way. exchange: called with the time in ns after each tick, to move spikes between the
    reflex and a board. ValueError as the parts raise it.
    """

    def __init__(
        self,
        planner: Plans | None,
        *,
        robot: Vehicle = JACKAL,
        planner_rate: float = 15.0,
        planner_latency: float = 0.04,
        code: str = "poisson",
        settings: Mapping[str, Value] | None = None,
        gains: Mapping[str, Value] | None = None,
        memory: bool = True,
        exchange: Callable[[int], None] | None = None,
    ) -> None:
        self.exchange = exchange
        self.memory = memory
        self.planner, self.robot, self.code = planner, robot, code
        self.camera = planner is not None
        self.planner_dies_at = float("inf")
        self.image_fault: ImageFault | None = None
        self.planner_period_ns = round(1e9 / planner_rate)
        self.planner_latency_ns = round(planner_latency * 1e9)
        self._now = 0
        self.reflex = Reflex(settings, gains, clock=lambda: self._now)

    def run(
        self,
        world: World,
        seed: int = 0,
        *,
        duration: float = 90.0,
        goal_radius: float = GOAL_RADIUS,
        planner_dies_at: float = float("inf"),
        image_fault: ImageFault | None = None,
        appearance: Appearance | None = None,
    ) -> Episode:
        """Drive one world to its goal, to the first contact, or until `duration` simulated seconds have passed.

        planner_dies_at: s, no rates and no points on the way from then on. image_fault: given each image and the
        time in s, returns what the planner sees instead, None for no image.
        """
        self.planner_dies_at, self.image_fault = planner_dies_at, image_fault
        if not isinstance(self.robot, RobotModel):
            raise ValueError(
                f"lock step: {self.robot.name} does not drive; a drone takes cosim.flight.Flight"
            )
        with Simulator(world, self.robot, seed, camera=self.camera, appearance=appearance) as simulator:
            return run_episode(
                self, world, simulator, self.robot, seed, duration=duration, goal_radius=goal_radius
            )

    def begin(self, robot: Vehicle, goal: Goal, seed: int) -> None:
        """Reset and activate the reflex, seed the spikes."""
        self._now = 0
        self.reflex.reset()
        self._loop = SteppedLoop(self.reflex.tick, self.reflex.context, self.reflex.rate)
        size = sum(p.size for p in PLANNER_POPULATIONS)
        options: dict[str, float] = {}
        if self.code == "poisson":
            options = {"seed": seed}
        elif self.code == "latency" and self.planner is not None:
            options = {"max_rate": self.planner.max_rate, "period": WINDOW_NS * 1e-9}
        self._spikes = encoder(self.code, size, **options)
        self.reflex.activate()
        self._aim = goal
        self.reflex.put_goal(goal)
        self.guide: Guide | None = None
        if self.memory:
            settings = self.reflex.settings
            self.guide = Guide(float(settings["lidar_x"]), float(settings["lidar_yaw"]))
            self.guide.put_goal(goal)
        self._odometry: Odometry | None = None
        self._pending: list[RateVector] = []
        self._rates: RateVector | None = None
        self._next_plan = 0

    def receive(self, event: Event) -> None:
        """Hand scan and odometry to the reflex, and plan on images as fast as the planner may."""
        kind, stamp, value = event
        self._now = max(self._now, stamp)
        if kind == "scan":
            self.reflex.put_scan(value, stamp)
            if self.guide is not None:
                self.guide.put_scan(value)
        elif kind == "odometry":
            self._odometry = value
            self.reflex.put_odometry(value, stamp)
            if self.guide is not None and stamp * 1e-9 < self.planner_dies_at:
                self._find_way(self.guide, value, stamp)
        elif kind == "camera" and stamp >= self._next_plan and self._odometry is not None:
            self._plan(value, self._odometry, stamp)
        self._now = stamp

    def _find_way(self, guide: Guide, odometry: Odometry, stamp: int) -> None:
        guide.put_odometry(odometry)
        point = guide.point(stamp)
        if point is not None:
            self._aim = point
            self.reflex.put_waypoint(point, stamp)

    def _plan(self, image: Any, odometry: Odometry, stamp: int) -> None:
        seconds = stamp * 1e-9
        if self.image_fault is not None:
            image = self.image_fault(image, seconds)
        if image is None or seconds >= self.planner_dies_at or self.planner is None:
            return
        self._next_plan = stamp + self.planner_period_ns - self.planner_period_ns // 2
        with contextlib.suppress(BlindError):
            self._pending.append(self.planner.plan(image, odometry, self._aim, stamp))

    def command(self, now_ns: int) -> tuple[float, float, str]:
        """Send the rates that are due as spikes, run the ticks up to now, and read the command."""
        self._now = now_ns
        while self._pending and now_ns >= self._pending[0].stamp_ns + self.planner_latency_ns:
            self._rates = self._pending.pop(0)
        if self._rates is not None and now_ns - self._rates.stamp_ns > 400_000_000:
            self._rates = None
        if self._rates is not None:
            vector = RateVector(now_ns, self._rates.rates, PLANNER_POPULATIONS)
            self.reflex.put_planner_spikes(self._spikes.spikes(vector, WINDOW_NS), now_ns)
        self._advance(now_ns)
        command = self.reflex.command()
        return command.twist.linear_x, command.twist.angular_z, command.mode.name

    def _advance(self, now_ns: int) -> None:
        """Run the ticks up to now, with an exchange with the board after each where there is one."""
        if self.exchange is None:
            self._loop.advance(now_ns)
            return
        for tick_ns in range(now_ns - WINDOW_NS + self._loop.period_ns, now_ns + 1, self._loop.period_ns):
            self._now = tick_ns
            self._loop.advance(tick_ns)
            self.exchange(tick_ns)

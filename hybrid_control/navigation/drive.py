"""The robot's own loop as a hybrid of `cosim`: what drives, and what simulates, each at its own rate of simulated time.

The parts are those that the ROS nodes run, and what passes between them are messages, each with its time:

    world.scan, .odometry, .camera -> guide      guide.view -> planner      planner.rates -> spikes
    world.scan, .odometry, .vertical -> reflex   guide.waypoint -> reflex   spikes.spikes -> reflex
    world.events, .odometry -> events            events.crossing -> reflex  (of a robot with an event camera)
    world.truth -> judge                         reflex.command -> judge    reflex.command -> world, 1 ns later
    world.depth -> guide, where the planner takes depth images
    planner.states -> reflex, where its setting planner_states is on
    world.scan, .odometry -> hidden              hidden.scan -> guide, reflex
    planner.rates, .states -> hidden, 1 ns later hidden.rates -> spikes         hidden.states -> reflex
                                                 (of a planner that says which directions are closed)
    world.scan, .odometry, .camera, planner.rates -> ground -> ..., after hidden, where ground was taught

Every part runs at 0, WINDOW_NS, 2 WINDOW_NS, ... At t the world comes first: under the newest command it lets time pass
up to t, and gives the readings of the window that ends then, each with its own time. At the same t guide and reflex
take them in the order of their times; the spikes of the window that follows go to the reflex, whose ticks then run up
to t in one call, and its command goes back by the one link that takes time: the world sees it in its next run, so it
holds from t on. Last the judge looks. A plan takes its latency, counted from the image; its fault declares which are
lost. A baseline is another part in the place of guide, planner, spikes and reflex. The same seed gives the same episode
to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from hybrid_control.cosim import Hybrid, LinkOptions
from hybrid_control.geometry.camera import CameraMount
from hybrid_control.navigation.episode import WINDOW_NS, Episode, Rules, Simulator
from hybrid_control.navigation.ground.learner import GroundLearner
from hybrid_control.navigation.ground.trust import Trust
from hybrid_control.navigation.ground.watch import Watch
from hybrid_control.navigation.ground_part import GroundPart
from hybrid_control.navigation.hidden_part import HiddenPart
from hybrid_control.navigation.parts import (
    Clock,
    EventsPart,
    GuidePart,
    PlannerPart,
    ReflexPart,
    SpikesPart,
)
from hybrid_control.navigation.planner.timed import TimedPlanner
from hybrid_control.navigation.reflex import Reflex
from hybrid_control.navigation.reflex.context import CHANNELS
from hybrid_control.navigation.route import Guide, guide_of
from hybrid_control.navigation.world import Judge, SimulatorPart
from hybrid_control.parameters import Value
from hybrid_control.signals import Goal
from hybrid_control.signals.coding import encoder
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.robots.vehicle import Vehicle
from hybrid_control.sim.simulator import Simulator as PhysicsSimulator
from hybrid_control.sim.worlds import World

WINDOW = f"{WINDOW_NS} ns"
GROUND_RATE = 15.0  # Hz, at which taught ground is looked for


class Driver(Protocol):
    """What turns a robot's sensors into commands, one episode after another: the hybrid, or a baseline."""

    @property
    def planner(self) -> TimedPlanner | None:
        """What looks at the camera's images; None for a driver that does not look."""

    @property
    def reflex(self) -> Reflex | None:
        """The reflex that drives; None where none does."""

    def join(self, hybrid: Hybrid, robot: Vehicle, goal: Goal, seed: int) -> str:
        """Add its parts for an episode to a hybrid that has a `world`; returns the port that gives the commands.

        robot: as it knows it; goal: in the frame of the odometry; seed: of all that it draws.
        """


def add_planner(
    hybrid: Hybrid,
    planner: TimedPlanner | None,
    goal: Goal,
    guide: Guide | None = None,
    states: bool = False,
    scans: str = "world.scan",
) -> None:
    """Add guide and planner, as far as there are any. states: whether the planner gives initial states too; scans: the
    port that gives them."""
    looks = (planner.period_ns, planner.fault) if planner is not None else ()
    hybrid.add("guide", GuidePart(goal, guide, *looks), WINDOW)
    if guide is not None or (planner is not None and planner.scans):
        hybrid.link(scans, "guide.scan")
    depth = ["depth"] if planner is not None and planner.depths else []
    for kind in ("odometry", *depth, *(["camera"] if planner else [])):
        hybrid.link(f"world.{kind}", f"guide.{kind}")
    if planner is not None:
        # it counts from the image, which may be a window older than the run that sees it
        least = f"{max(planner.latency_ns - WINDOW_NS, 0)} ns"
        part = PlannerPart(planner.source, planner.latency_ns, states)
        hybrid.add("planner", part, WINDOW, least, lost=planner.fault.lost)
        hybrid.link("guide.view", "planner.view")


class Navigator:
    """Planner, encoder and reflex of a robot, ready to drive one world after another.

    planner: None leaves the reflex alone. settings, gains: of the reflex, over the robot's. code: name of an encoder.
    ground: what was taught of the ground, which then is looked at GROUND_RATE times a second.
    memory: whether a `route.Guide` leads planner and reflex to the goal by points on the way, while the planner lives.
    exchange: called with the time in ns after each tick, to move spikes between the reflex and a board. ValueError as
    the parts raise it.
    """

    def __init__(
        self,
        planner: TimedPlanner | None,
        robot: Vehicle = JACKAL,
        *,
        settings: Mapping[str, Value] | None = None,
        gains: Mapping[str, Value] | None = None,
        code: str = "poisson",
        memory: bool = True,
        exchange: Callable[[int], None] | None = None,
        ground: GroundLearner | None = None,
    ) -> None:
        self.planner, self.robot = planner, robot
        self.code, self.memory, self.exchange, self.ground = code, memory, exchange, ground
        self._clock = Clock()
        self.reflex = Reflex(
            {**robot.reflex_settings, **(settings or {})},
            {**robot.reflex_gains, **(gains or {})},
            clock=self._clock,
        )

    def run(self, world: World, seed: int = 0, rules: Rules | None = None) -> Episode:
        """Drive one world of the embedded simulator to its goal, to the first contact, or until time is up."""
        looks = self.planner is not None or self.ground is not None
        depth = self.planner is not None and self.planner.depths
        with PhysicsSimulator(world, self.robot, seed, camera=looks, depth=depth) as simulator:
            return drive(self, simulator, self.robot, rules, seed)

    def join(self, hybrid: Hybrid, robot: Vehicle, goal: Goal, seed: int) -> str:
        """Guide, planner, spikes and reflex, as far as there are any."""
        hybrid.add("reflex", ReflexPart(self.reflex, self._clock, goal, self.exchange), WINDOW)
        scans, settings = "world.scan", self.reflex.settings
        lidar = float(settings["lidar_x"]), float(settings["lidar_y"]), float(settings["lidar_yaw"])
        # the camera of what flies has no place above the ground
        closes = self.planner is not None and self.planner.closes and robot.vertical is None
        if self.planner is not None and closes:
            mount, trust = CameraMount.of(robot.camera_settings), Trust(self.planner.trust)
            watch = Watch(mount, trust=trust)
            hybrid.add("hidden", HiddenPart(watch, lidar, robot.outline), WINDOW)
            for kind in ("scan", "odometry"):
                hybrid.link(f"world.{kind}", f"hidden.{kind}")
            scans = "hidden.scan"
        if self.ground is not None:
            period = round(1e9 / GROUND_RATE)
            hybrid.add("ground", GroundPart(self.ground, period, lidar, robot.outline), WINDOW)
            hybrid.link(scans, "ground.scan")
            for kind in ("odometry", "camera"):
                hybrid.link(f"world.{kind}", f"ground.{kind}")
            scans = "ground.scan"
        # the reflex lays what was seen hidden into its scans itself
        hybrid.link("world.scan" if self.ground is None else scans, "reflex.scan")
        if closes:
            hybrid.link("hidden.seen", "reflex.seen")
        for kind in ("odometry", *(["vertical"] if robot.vertical is not None else [])):
            hybrid.link(f"world.{kind}", f"reflex.{kind}")
        if (
            robot.event_camera is not None and robot.wheels is not None
        ):  # what flies does not look where it goes
            hybrid.add("events", EventsPart(robot.event_camera), WINDOW)
            for kind in ("events", "odometry"):
                hybrid.link(f"world.{kind}", f"events.{kind}")
            hybrid.link("events.crossing", "reflex.crossing")
        guide = None
        if self.memory:
            guide = guide_of(settings)
        if guide is not None or self.planner is not None:
            add_planner(hybrid, self.planner, goal, guide, bool(settings["planner_states"]), scans)
        if guide is not None:
            hybrid.link("guide.waypoint", "reflex.waypoint")
        if self.planner is not None:
            options: dict[str, float] = {}
            if self.code == "poisson":
                options = {"seed": seed}
            elif self.code == "latency":
                options = {"max_rate": self.planner.source.max_rate, "period": WINDOW_NS * 1e-9}
            spikes = encoder(self.code, CHANNELS, **options)
            hybrid.add("spikes", SpikesPart(spikes), WINDOW)
            plans = "planner"
            if closes:
                plans = "hidden"
                for kind in ("rates", *(["states"] if settings["planner_states"] else [])):
                    hybrid.link(f"planner.{kind}", f"hidden.{kind}", LinkOptions(delay_ns=1))
            rates = f"{plans}.rates"
            if self.ground is not None:
                hybrid.link(rates, "ground.rates")
                rates = "ground.rates"
            hybrid.link(rates, "spikes.rates")
            hybrid.link("spikes.spikes", "reflex.spikes")
            if settings["planner_states"]:
                hybrid.link(f"{plans}.states", "reflex.states")
        return "reflex.command"


def robot_hybrid(
    driver: Driver, simulator: Simulator, robot: Vehicle, rules: Rules | None = None, seed: int = 0
) -> tuple[Hybrid, Judge]:
    """The hybrid of a simulated robot and its driver, and who judges it; the arguments of `drive`."""
    rules = rules or Rules()
    hybrid = Hybrid(until_ns=round(rules.duration * 1e9 / WINDOW_NS) * WINDOW_NS, seed=seed)
    judge = Judge(simulator, rules, robot.outline)
    hybrid.add("world", SimulatorPart(simulator), WINDOW)
    command = driver.join(hybrid, robot, Goal(0, *simulator.world.goal), seed)
    hybrid.add("judge", judge, WINDOW)
    hybrid.link(command, "world.command", LinkOptions(delay_ns=1))
    hybrid.link(command, "judge.command")
    hybrid.link("world.truth", "judge.truth")
    return hybrid, judge


def drive(
    driver: Driver, simulator: Simulator, robot: Vehicle, rules: Rules | None = None, seed: int = 0
) -> Episode:
    """Drive a simulator to its world's goal, to the first contact, or until the rules' time is up.

    robot: as the driver knows it. rules: Rules() where None. seed: for what the driver draws. PartError, which names
    the part and the time, where one fails.
    """
    hybrid, judge = robot_hybrid(driver, simulator, robot, rules, seed)
    scheduler = hybrid.scheduler()
    for now in range(WINDOW_NS, hybrid.until_ns + 1, WINDOW_NS):
        scheduler.advance(now + 1)
        if judge.over:
            break
    return judge.episode()

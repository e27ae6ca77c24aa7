"""The hybrid as a driver of episodes: planner, encoder and reflex in lock step, each at its own rate of simulated time.

The parts are those that the ROS nodes run, and the tick is the one of the real-time loop. It is the sequential
co-simulation of a slow ANN and a fast SNN: the planner's rates, computed from an image at time t, act from t + latency
on, and every window of spikes lies within one of their lifetimes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hybrid_control.navigation.episode import WINDOW_NS, Command, Episode, Rules, run_episode
from hybrid_control.navigation.planner.timed import TimedPlanner
from hybrid_control.navigation.reflex import Reflex
from hybrid_control.navigation.route import Guide
from hybrid_control.parameters import Value
from hybrid_control.realtime import SteppedLoop
from hybrid_control.signals import PLANNER_POPULATIONS, Goal, Odometry, RateVector
from hybrid_control.signals.coding import encoder
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.robots.vehicle import Vehicle
from hybrid_control.sim.simulator import Event, Simulator
from hybrid_control.sim.worlds import World


class HybridDriver:
    """Planner, encoder and reflex of a robot, ready to drive one world after another.

    planner: None leaves the reflex alone. settings, gains: of the reflex, over the robot's. code: name of an encoder.
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
    ) -> None:
        self.planner, self.robot = planner, robot
        self.code, self.memory, self.exchange = code, memory, exchange
        self._now = 0
        self.reflex = Reflex(
            {**robot.reflex_settings, **(settings or {})},
            {**robot.reflex_gains, **(gains or {})},
            clock=lambda: self._now,
        )

    def run(self, world: World, seed: int = 0, rules: Rules | None = None) -> Episode:
        """Drive one world of the embedded simulator to its goal, to the first contact, or until time is up."""
        with Simulator(world, self.robot, seed, camera=self.planner is not None) as simulator:
            return run_episode(self, simulator, self.robot, rules, seed)

    def begin(self, robot: Vehicle, goal: Goal, seed: int) -> None:
        """Reset and activate the reflex, seed the spikes."""
        self._now = 0
        self.reflex.reset()
        self._loop = SteppedLoop(self.reflex.tick, self.reflex.context, self.reflex.rate)
        options: dict[str, float] = {}
        if self.code == "poisson":
            options = {"seed": seed}
        elif self.code == "latency" and self.planner is not None:
            options = {"max_rate": self.planner.source.max_rate, "period": WINDOW_NS * 1e-9}
        self._spikes = encoder(self.code, sum(p.size for p in PLANNER_POPULATIONS), **options)
        self.reflex.activate()
        self._aim = goal
        self.reflex.put_goal(goal)
        self._guide: Guide | None = None
        if self.memory:
            settings = self.reflex.settings
            self._guide = Guide(float(settings["lidar_x"]), float(settings["lidar_yaw"]))
            self._guide.put_goal(goal)
        self._odometry: Odometry | None = None
        if self.planner is not None:
            self.planner.begin()

    def receive(self, event: Event) -> None:
        """Hand the readings to the reflex, and images to the planner."""
        kind, stamp, value = event
        self._now = max(self._now, stamp)
        if kind == "scan":
            self.reflex.put_scan(value, stamp)
            if self._guide is not None:
                self._guide.put_scan(value)
        elif kind == "odometry":
            self._odometry = value
            self.reflex.put_odometry(value, stamp)
            if self._guide is not None and (self.planner is None or self.planner.alive(stamp)):
                self._find_way(self._guide, value, stamp)
        elif kind == "vertical":
            self.reflex.put_vertical(value, stamp)
        elif kind == "camera" and self.planner is not None and self._odometry is not None:
            self.planner.see(value, self._odometry, self._aim, stamp)
        self._now = stamp

    def _find_way(self, guide: Guide, odometry: Odometry, stamp: int) -> None:
        guide.put_odometry(odometry)
        point = guide.point(stamp)
        if point is not None:
            self._aim = point
            self.reflex.put_waypoint(point, stamp)

    def command(self, now_ns: int) -> Command:
        """Send the rates that hold as spikes, run the ticks up to now, and read the command."""
        self._now = now_ns
        rates = self.planner.rates(now_ns) if self.planner is not None else None
        if rates is not None:
            vector = RateVector(now_ns, rates.rates, PLANNER_POPULATIONS)
            self.reflex.put_planner_spikes(self._spikes.spikes(vector, WINDOW_NS), now_ns)
        self._advance(now_ns)
        command = self.reflex.command()
        return Command(command.twist, command.mode.name)

    def _advance(self, now_ns: int) -> None:
        """Run the ticks up to now, with an exchange with the board after each where there is one."""
        if self.exchange is None:
            self._loop.advance(now_ns)
            return
        for tick_ns in range(now_ns - WINDOW_NS + self._loop.period_ns, now_ns + 1, self._loop.period_ns):
            self._now = tick_ns
            self._loop.advance(tick_ns)
            self.exchange(tick_ns)

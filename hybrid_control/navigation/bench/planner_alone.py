"""The ANN planner without the reflex and without its guard: rates decoded to a twist, for comparison alone."""

from __future__ import annotations

from hybrid_control.navigation.bench.scan_driver import STOPPED, driving, turn_to
from hybrid_control.navigation.episode import Command
from hybrid_control.navigation.planner.contract import decode_heading, decode_speed
from hybrid_control.navigation.planner.timed import TimedPlanner
from hybrid_control.signals import Goal, Odometry, Twist
from hybrid_control.sim.robots.vehicle import Vehicle
from hybrid_control.sim.simulator import Event


class PlannerAlone:
    """A Driver that does what the planner says. Without rates that hold it stands: it has nothing to avoid
    obstacles by."""

    reflex = None

    def __init__(self, planner: TimedPlanner) -> None:
        self.planner = planner

    def begin(self, robot: Vehicle, goal: Goal, seed: int) -> None:
        """Forget the episode before."""
        self.robot, self.goal = robot, goal
        self._odometry: Odometry | None = None
        self.planner.begin()

    def receive(self, event: Event) -> None:
        """Plan on images."""
        if event.kind == "odometry":
            self._odometry = event.value
        elif event.kind == "camera" and self._odometry is not None:
            self.planner.see(event.value, self._odometry, self.goal, event.time_ns)

    def command(self, now_ns: int) -> Command:
        """The rates that hold, decoded to a heading and a speed."""
        rates = self.planner.rates(now_ns)
        if rates is None:
            return Command(Twist(now_ns), STOPPED)
        speed = decode_speed(rates.of("speed")) * self.robot.max_speed
        return driving(now_ns, turn_to(decode_heading(rates.of("heading")), speed, self.robot))

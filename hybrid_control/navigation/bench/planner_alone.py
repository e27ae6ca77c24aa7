"""The ANN planner without the reflex and without its guard: rates decoded to a twist, for comparison alone."""

from __future__ import annotations

import contextlib

from hybrid_control.navigation.bench.scan_driver import turn_to
from hybrid_control.navigation.drive import ImageFault, Plans
from hybrid_control.navigation.planner.contract import decode_heading, decode_speed
from hybrid_control.navigation.planner.planner import BlindError
from hybrid_control.signals import Goal, Odometry, RateVector
from hybrid_control.sim.robots import Vehicle
from hybrid_control.sim.simulator import Event


class PlannerAlone:
    """A Driver (`cosim.Driver`) that does what the planner says, `latency` s after the image it says it for.

    Without fresh rates for 0.4 s it stands still: it has nothing to avoid obstacles by. image_fault: as of `LockStep`.
    """

    camera = True

    def __init__(self, planner: Plans, latency: float = 0.04) -> None:
        self.planner = planner
        self.planner_latency_ns = round(latency * 1e9)
        self.image_fault: ImageFault | None = None

    def begin(self, robot: Vehicle, goal: Goal, seed: int) -> None:
        """Forget the episode before."""
        self.robot, self.goal = robot, goal
        self._odometry: Odometry | None = None
        self._pending: list[RateVector] = []
        self._rates: RateVector | None = None

    def receive(self, event: Event) -> None:
        """Plan on every image."""
        if event.kind == "odometry":
            self._odometry = event.value
        elif event.kind == "camera" and self._odometry is not None:
            image = event.value
            if self.image_fault is not None:
                image = self.image_fault(image, event.time_ns * 1e-9)
            if image is None:
                return
            with contextlib.suppress(BlindError):
                self._pending.append(self.planner.plan(image, self._odometry, self.goal, event.time_ns))

    def command(self, now_ns: int) -> tuple[float, float, str]:
        """The newest rates that are due, decoded to a heading and a speed, as a twist."""
        while self._pending and now_ns >= self._pending[0].stamp_ns + self.planner_latency_ns:
            self._rates = self._pending.pop(0)
        if self._rates is None or now_ns - self._rates.stamp_ns > 400_000_000:
            return 0.0, 0.0, "STOPPED"
        speed = decode_speed(self._rates.of("speed")) * self.robot.max_speed
        return *turn_to(decode_heading(self._rates.of("heading")), speed, self.robot), "DRIVING"

"""The ANN planner without the reflex and without its guard: rates decoded to a twist, for comparison alone."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from hybrid_control.cosim import Hybrid, Message, MessagePart
from hybrid_control.navigation.bench.scan_driver import STOPPED, driving, turn_to
from hybrid_control.navigation.drive import WINDOW, add_planner
from hybrid_control.navigation.parts import MESSAGES, Command
from hybrid_control.navigation.planner.contract import decode_heading, decode_speed
from hybrid_control.navigation.planner.rates import HeldRates
from hybrid_control.navigation.planner.timed import TimedPlanner
from hybrid_control.signals import Goal, Twist
from hybrid_control.sim.robots.vehicle import Vehicle


class PlannerAlone:
    """A Driver that does what the planner says. Without rates that hold it stands: it has nothing to avoid
    obstacles by."""

    reflex = None

    def __init__(self, planner: TimedPlanner) -> None:
        self.planner = planner

    def join(self, hybrid: Hybrid, robot: Vehicle, goal: Goal, seed: int) -> str:
        """The planner, and what does as it says."""
        add_planner(hybrid, self.planner, goal)
        hybrid.add("driver", _Obedient(robot), WINDOW)
        hybrid.link("planner.rates", "driver.rates")
        return "driver.command"


class _Obedient(MessagePart):
    """The rates that hold, decoded to a heading and a speed."""

    def __init__(self, robot: Vehicle) -> None:
        self._robot = robot
        self.inputs, self.outputs = {"rates": MESSAGES}, {"command": MESSAGES}
        self.reset(0)

    def reset(self, seed: int) -> None:
        """No rates yet."""
        self._held = HeldRates()

    def step(self, now_ns: int, inputs: Mapping[str, Sequence[Message]]) -> Mapping[str, Sequence[Message]]:
        """A command, once time has passed."""
        for _, rates in inputs["rates"]:
            self._held.put(rates, rates.stamp_ns)
        return {"command": (Message(now_ns, self._command(now_ns)),)} if now_ns else {}

    def _command(self, now_ns: int) -> Command:
        held = self._held.at(now_ns)
        if held is None:
            return Command(Twist(now_ns), STOPPED)
        speed = decode_speed(held.of("speed")) * self._robot.max_speed
        return driving(now_ns, turn_to(decode_heading(held.of("heading")), speed, self._robot))

    def state(self) -> Any:
        """The rates that hold."""
        return copy.deepcopy(self._held)

    def set_state(self, state: Any) -> None:
        """The rates that hold."""
        self._held = copy.deepcopy(state)

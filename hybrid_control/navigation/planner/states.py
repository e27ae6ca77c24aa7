"""Initial states: what a plan may bring along for the network that follows it, and which plans do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from hybrid_control.navigation.planner.closed import ClosedDirections
from hybrid_control.navigation.planner.contract import decode_heading
from hybrid_control.signals import RateVector, StateVector

TURN = math.radians(45.0)  # between the directions of two plans of which the later brings its states along


@dataclass(frozen=True, slots=True, eq=False)
class Plan(RateVector):
    """A plan's rates, the membrane potentials that the network may begin with, and which directions are closed, where
    the planner has any."""

    states: StateVector | None = None
    closed: ClosedDirections | None = None


class NewDirection:
    """Says the states of those plans alone that the network is far from having settled on.

    These are the first plan, the first after a `reset` (a new goal, or a reflex that begins anew), and one whose
    direction in the odometry's frame is TURN off that of the plan whose states were said last. In between the network
    is left to itself: what it holds on to, such as a way round an obstacle, no plan overwrites.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """The next plan's states are said."""
        self._direction: float | None = None

    def states(self, plan: RateVector, yaw: float) -> StateVector | None:
        """The states to say with a plan; yaw: rad, of the robot that made it, by odometry."""
        if not isinstance(plan, Plan) or plan.states is None:
            return None
        direction = yaw + decode_heading(plan.of("heading"))
        if (
            self._direction is not None
            and abs(math.remainder(direction - self._direction, 2.0 * math.pi)) < TURN
        ):
            return None
        self._direction = direction
        return plan.states

    def state(self) -> Any:
        """What it goes on from."""
        return self._direction

    def set_state(self, state: Any) -> None:
        """Go on from there."""
        self._direction = state

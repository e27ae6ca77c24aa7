"""A planner in simulated time: how often it is asked, how long its answer takes, and what befalls it in a test."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from hybrid_control.navigation.planner.rates import LATENCY, PLANNER_RATE
from hybrid_control.signals import Goal, Odometry, Pose, RateVector


class Picture(NamedTuple):
    """What the camera saw, and from where: the true pose is for faults and stand-ins alone."""

    image: Any
    truth: Pose


Seen = Callable[[Picture, float], Any]


class Plans(Protocol):
    """What turns an image into rates; `planner.Planner` is one."""

    @property
    def max_rate(self) -> float:
        """The highest rate in Hz."""

    def plan(
        self, image: Any, odometry: Odometry, goal: Goal, stamp_ns: int, *, states: bool = False
    ) -> RateVector:
        """Rates of the populations heading (72) and speed (8) in Hz; BlindError where the image shows nothing.

        states: whether it is to be a `states.Plan` that brings initial states along, where it can.
        """


@dataclass
class PlannerFault:
    """What befalls a planner. dies_at: s, no rates from then on; delay: s more from image to rates; image: gets each
    picture that it looks at and the time in s, returns the image that it sees instead, None for none; lost: share of
    its answers that never arrive."""

    dies_at: float = math.inf
    delay: float = 0.0
    image: Seen | None = None
    lost: float = 0.0

    def alive(self, stamp_ns: int) -> bool:
        """Whether the planner has not died yet."""
        return stamp_ns * 1e-9 < self.dies_at


@dataclass
class TimedPlanner:
    """A planner, its rate in Hz and its latency in s. fault: what befalls it from the next episode on. trust: how much
    the answers of one that says which directions are closed count, 0 .. 1; None: as they prove right."""

    source: Plans
    rate: float = PLANNER_RATE
    latency: float = LATENCY
    fault: PlannerFault = field(default_factory=PlannerFault)
    trust: float | None = None

    @property
    def closes(self) -> bool:
        """Whether its plans say which directions are closed, as those of contract 2 do."""
        return bool(getattr(self.source, "closes", False))

    @property
    def scans(self) -> bool:
        """Whether its `plan` takes the newest scan as well."""
        return bool(getattr(self.source, "scans", False))

    @property
    def depths(self) -> bool:
        """Whether its `plan` takes the depth image of the image as well."""
        return bool(getattr(self.source, "depths", False))

    @property
    def period_ns(self) -> int:
        """Between two plans."""
        return round(1e9 / self.rate)

    @property
    def latency_ns(self) -> int:
        """From an image to its rates, its fault's delay among it."""
        return round(self.latency * 1e9) + round(self.fault.delay * 1e9)

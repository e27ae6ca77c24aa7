"""A planner in simulated time: asked at its rate, its answer acts a latency later; and what befalls it in a test."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.planner.planner import BlindError
from hybrid_control.navigation.planner.rates import LATENCY, PLANNER_RATE, HeldRates
from hybrid_control.signals import Goal, Odometry, RateVector

ImageFault = Callable[[NDArray[np.uint8], float], "NDArray[np.uint8] | None"]


class Plans(Protocol):
    """What turns an image into rates; `planner.Planner` is one."""

    @property
    def max_rate(self) -> float:
        """The highest rate in Hz."""

    def plan(self, image: Any, odometry: Odometry, goal: Goal, stamp_ns: int) -> RateVector:
        """Rates of the populations heading (72) and speed (8) in Hz; BlindError where the image shows nothing."""


@dataclass
class PlannerFault:
    """What befalls a planner. dies_at: s, no rates from then on; delay: s more from image to rates; image: gets each
    image and the time in s, returns what the planner sees instead, None for no image."""

    dies_at: float = math.inf
    delay: float = 0.0
    image: ImageFault | None = None


class TimedPlanner:
    """A planner, its rate in Hz and its latency in s. fault: what befalls it from the next episode on."""

    def __init__(self, source: Plans, rate: float = PLANNER_RATE, latency: float = LATENCY) -> None:
        self.source = source
        self.fault = PlannerFault()
        self._period_ns, self._latency = round(1e9 / rate), latency
        self.begin()

    def begin(self) -> None:
        """A new episode: time is 0, and nothing is on its way."""
        self._held = HeldRates(round(self._latency * 1e9) + round(self.fault.delay * 1e9))
        self._next_ns = 0

    def alive(self, stamp_ns: int) -> bool:
        """Whether it has not died yet."""
        return stamp_ns * 1e-9 < self.fault.dies_at

    def see(self, image: Any, odometry: Odometry, goal: Goal, stamp_ns: int) -> None:
        """An image: it plans on it unless it did on one a short time ago, or cannot."""
        if stamp_ns < self._next_ns:
            return
        if self.fault.image is not None:
            image = self.fault.image(image, stamp_ns * 1e-9)
        if image is None or not self.alive(stamp_ns):
            return
        self._next_ns = stamp_ns + self._period_ns - self._period_ns // 2
        with contextlib.suppress(BlindError):
            self._held.put(self.source.plan(image, odometry, goal, stamp_ns), stamp_ns)

    def rates(self, now_ns: int) -> RateVector | None:
        """The rates that hold now; None where none do."""
        return self._held.at(now_ns)

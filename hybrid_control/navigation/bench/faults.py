"""What befalls the planner in a benchmark, by name."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hybrid_control.navigation.planner.timed import Picture, PlannerFault
from hybrid_control.sim.worlds import World

FAULTS: tuple[str, ...] = ("none", "planner-dies", "black", "frozen", "late")
PICTURE_FAULTS = ("black", "frozen")  # those that mean something only where there are pictures
LATE = 0.5  # s more from image to rates


def delay(fault: str) -> float:
    """s more from image to rates, all the way."""
    return LATE if fault == "late" else 0.0


def planner_fault(fault: str, world: World) -> PlannerFault:
    """The fault of that name, which all but a delay is from half way to a world's goal on."""
    result = PlannerFault(delay=delay(fault))
    if fault not in ("none", "late"):
        result.image = _HalfWay(fault, result, world)
    return result


class _HalfWay:
    """What a planner sees that breaks half way."""

    def __init__(self, name: str, fault: PlannerFault, world: World) -> None:
        self._name, self._fault, self._goal = name, fault, world.goal
        self._half = 0.5 * math.dist((world.start.x, world.start.y), world.goal)
        self._last: list[Any] = []  # the first picture from half way on

    def __call__(self, picture: Picture, time: float) -> Any:
        if not self._last:
            if math.dist((picture.truth.x, picture.truth.y), self._goal) > self._half:
                return picture.image
            self._last.append(picture.image)
        if self._name == "planner-dies":
            self._fault.dies_at = min(self._fault.dies_at, time)
            return None
        return self._last[0] if self._name == "frozen" else np.zeros_like(picture.image)

"""What befalls the planner in a benchmark, by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid_control.navigation.episode import Simulator
from hybrid_control.navigation.planner.timed import PlannerFault

FAULTS: tuple[str, ...] = ("none", "planner-dies", "black", "frozen", "late")
PICTURE_FAULTS = ("black", "frozen")  # those that mean something only where there are pictures
LATE = 0.5  # s more from image to rates


def delay(fault: str) -> float:
    """s more from image to rates, all the way."""
    return LATE if fault == "late" else 0.0


def planner_fault(fault: str, simulator: Simulator) -> PlannerFault:
    """The fault of that name, which all but a delay is from half way to the simulator's goal on."""
    result = PlannerFault(delay=delay(fault))
    if fault in ("none", "late"):
        return result
    half = 0.5 * simulator.goal_distance()
    last: list[Any] = []  # the first picture from half way on

    def broken(image: Any, time: float) -> Any:
        if not last:
            if simulator.goal_distance() > half:
                return image
            last.append(image)
        if fault == "planner-dies":
            result.dies_at = min(result.dies_at, time)
            return None
        return last[0] if fault == "frozen" else np.zeros_like(image)

    result.image = broken
    return result

"""Decides when a run is over and how it went, from the ground truth. No ROS here."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from hybrid_control.navigation.reflex.modes import Mode

GOAL_REACHED = 0.5  # m from the goal, by the truth, at which it counts as reached
_COAST = 2.0  # s after the goal in which the robot may come to rest
_AFTER_CONTACT = 0.5  # s that are still recorded after a contact
_SHORT = 3.0  # s that a robot may believe to have arrived before the run is ended


@dataclass
class Judge:
    """Watches one run. t is in seconds of the ROS clock since the simulation began.

    duration: s; the run is over then in any case.
    """

    duration: float
    t: float = 0.0
    goal_distance: float = math.inf
    minimum_distance: float = math.inf
    path_length: float = 0.0
    contacts: int = 0
    reached_at: float | None = None
    contact_at: float | None = None
    _arrived_at: float | None = field(default=None, repr=False)
    ended: str = ""

    def see(
        self, t: float, goal_distance: float, minimum_distance: float, contacts: int, path_length: float
    ) -> None:
        """Take in a new ground truth."""
        self.t, self.goal_distance, self.contacts, self.path_length = t, goal_distance, contacts, path_length
        self.minimum_distance = min(self.minimum_distance, minimum_distance)
        if self.contact_at is None and contacts > 0:
            self.contact_at = t
        if self.reached_at is None and goal_distance <= GOAL_REACHED:
            self.reached_at = t

    def over(self, mode: int) -> bool:
        """Whether the run is over, given the reflex's mode; `ended` then says why."""
        if self._arrived_at is None and mode == Mode.ARRIVED:
            self._arrived_at = self.t
        if mode != Mode.ARRIVED:
            self._arrived_at = None
        if self.contact_at is not None:
            if self.t - self.contact_at >= _AFTER_CONTACT:
                self.ended = "contact"
        elif self.reached_at is not None:
            if (mode == Mode.ARRIVED and self.t - self.reached_at > 0.3) or self.t - self.reached_at >= _COAST:
                self.ended = "reached"
        elif self._arrived_at is not None and self.t - self._arrived_at >= _SHORT:
            self.ended = "short"
        elif self.t >= self.duration:
            self.ended = "timeout"
        return bool(self.ended)

    def outcome(self) -> dict[str, Any]:
        """The verdict, for report.json and for a person."""
        success = self.reached_at is not None and self.contacts == 0
        if self.contact_at is not None:
            result = "contact"
            many = f"{self.contacts} contacts" if self.contacts > 1 else "contact with an obstacle"
            text = (
                f"{many}, the first after {self.contact_at:.1f} s"
                if self.contacts > 1
                else f"{many} after {self.contact_at:.1f} s"
            )
        elif self.reached_at is not None:
            result, text = "reached", "goal reached without a contact"
        else:
            result = self.ended or "ended"
            why = {
                "short": "the robot believes that it has arrived",
                "timeout": f"goal not reached within {self.duration:g} s",
            }.get(self.ended, self.ended or "the run was ended")
            text = (
                f"{why}, {self.goal_distance:.2f} m from the goal"
                if math.isfinite(self.goal_distance)
                else why
            )
        return {
            "success": success,
            "result": result,
            "text": text,
            "time_s": self.t if self.reached_at is None else self.reached_at,
            "path_length_m": self.path_length,
            "goal_distance_m": _number(self.goal_distance),
            "minimum_distance_m": _number(self.minimum_distance),
            "contacts": self.contacts,
        }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None

"""Where the reflex is sent: to the goal, or for a while to a point on the way that stands in for it."""

from __future__ import annotations

from collections.abc import Callable

from hybrid_control.realtime import Mailbox
from hybrid_control.signals import Goal


class Target:
    """Goal and way point, and the mailbox to which goes the one that counts. clock: the loop's clock, ns."""

    def __init__(self, box: Mailbox, clock: Callable[[], int]) -> None:
        self._box, self._clock = box, clock
        self.goal: Goal | None = None
        self._until: int | None = None  # by the loop's clock; None while the goal itself is aimed at

    def set_goal(self, goal: Goal) -> None:
        """Aim at a goal; the same one again changes nothing."""
        if self.goal is None or (self.goal.x, self.goal.y) != (goal.x, goal.y):
            self.goal, self._until = goal, None
            self._aim_at(goal)

    def set_waypoint(self, point: Goal, until_ns: int) -> None:
        """Aim at a point on the way until a time of the loop's clock."""
        self._until = until_ns
        self._aim_at(point)

    def lapse(self) -> None:
        """Aim at the goal again where the way point's time is over."""
        if self.goal is not None and self._until is not None and self._clock() > self._until:
            self._until = None
            self._aim_at(self.goal)

    def _aim_at(self, point: Goal) -> None:
        newest = self._box.read()
        if newest["sequence"] and (newest["value"]["x"], newest["value"]["y"]) == (point.x, point.y):
            return
        record = self._box.new()
        record["x"], record["y"] = point.x, point.y
        self._box.write(record, point.stamp_ns, self._clock())

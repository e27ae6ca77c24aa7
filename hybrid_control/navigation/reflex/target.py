"""Where the reflex is sent: to the goal, or for a while to a point on the way that stands in for it."""

from __future__ import annotations

import math
from collections.abc import Callable

from hybrid_control.realtime import Mailbox
from hybrid_control.signals import Goal, NoWay


class Target:
    """Goal and way point, and the mailbox to which goes the one that counts. clock: the loop's clock, ns."""

    def __init__(self, box: Mailbox, clock: Callable[[], int]) -> None:
        self._box, self._clock = box, clock
        self.goal: Goal | None = None
        self._wish = 0  # how often it was told where to go
        self._until: int | None = None  # by the loop's clock; None while the goal itself is aimed at

    def set_goal(self, goal: Goal, renew: Callable[[int], bool] = lambda wish: False) -> None:
        """Aim at a goal. renew: of the number of the newest wish, whether the same goal again is a new one."""
        same = self.goal is not None and (self.goal.x, self.goal.y) == (goal.x, goal.y)
        if not same or renew(self._wish):
            self.goal, self._until = goal, None
            self._wish += 1
            self._aim_at(goal)

    def set_waypoint(self, point: Goal | NoWay, until_ns: int) -> None:
        """Aim at a point on the way, or at nothing where there is no way, until a time of the loop's clock."""
        self._until = until_ns
        self._aim_at(point)

    def lapse(self) -> None:
        """Aim at the goal again where the way point's time is over."""
        if self.goal is not None and self._until is not None and self._clock() > self._until:
            self._until = None
            self._aim_at(self.goal)

    def state(self) -> tuple[Goal | None, int, int | None]:
        """What it is told; what it aims at is in the mailbox."""
        return self.goal, self._wish, self._until

    def set_state(self, state: tuple[Goal | None, int, int | None]) -> None:
        """Go on from there."""
        self.goal, self._wish, self._until = state

    def _aim_at(self, point: Goal | NoWay) -> None:
        assert self.goal is not None
        x, y = (point.x, point.y) if isinstance(point, Goal) else (math.nan, math.nan)
        newest = self._box.read()
        now = newest["value"]
        if newest["sequence"] and (now["x"], now["y"], now["wish"]) == (x, y, self._wish):
            return
        record = self._box.new()
        record["x"], record["y"], record["wish"] = x, y, self._wish
        record["final"] = (x, y) == (self.goal.x, self.goal.y)
        self._box.write(record, point.stamp_ns, self._clock())

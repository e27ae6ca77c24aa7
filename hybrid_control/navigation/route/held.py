"""Whether a robot tries to get on and does not: what it is held by, the grid may take for a way."""

from __future__ import annotations

import math

from hybrid_control.signals import Pose
from hybrid_control.signals.headings import wrapped

WITHIN, AFTER = 0.5, 6.0  # m around a place, and s for which a robot that gets on is not still there
TRIES = 0.4  # m driven to and fro there by one that is held, and not by one that stands
RADIUS = 0.25  # m that a turn by 1 rad counts as
PAUSE = 1.0  # s between two looks, from which on nothing is known of what was between


class Held:
    """Looks at where a robot is from time to time."""

    def __init__(self) -> None:
        self._around = self._last = Pose()
        self._begun = self._tried = 0.0
        self._seen = -math.inf

    def look(self, pose: Pose, time: float) -> bool:
        """Whether the robot, at a pose and a time in s, has driven to and fro about one place for AFTER s; once."""
        if not 0.0 <= time - self._seen <= PAUSE:
            self._begin(pose, time)
        self._tried += math.hypot(pose.x - self._last.x, pose.y - self._last.y)
        self._tried += RADIUS * abs(wrapped(pose.yaw - self._last.yaw))
        self._last, self._seen = pose, time
        away = math.hypot(pose.x - self._around.x, pose.y - self._around.y)
        if away <= WITHIN and time - self._begun < AFTER:
            return False
        held = away <= WITHIN and self._tried >= TRIES
        self._begin(pose, time)
        return held

    def _begin(self, pose: Pose, time: float) -> None:
        self._around = self._last = pose
        self._begun = self._seen = time
        self._tried = 0.0

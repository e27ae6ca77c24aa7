"""What earlier messages leave for the next scan: the view of the scans before it, the motions of late, and what no
scan shows."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from hybrid_control.navigation.reflex.hidden import FloatArray, lay_in
from hybrid_control.navigation.reflex.scan import MOTION, new_view

REMEMBERED = 128  # odometry messages: more than a second of them at 100 Hz


class Sight:
    """view: a VIEW; robot: the ROBOT that looks, by its newest gains; hidden: what no scan shows, (n, 4, 2) m, corners
    of cells in the odometry's frame. It also remembers the odometry of late, for scans that come later than what was
    measured after."""

    def __init__(self) -> None:
        self.view: Any = new_view()[0]
        self.robot: Any = None
        self.hidden: FloatArray = np.empty((0, 4, 2))
        self._motions: deque[tuple[int, Any]] = deque(maxlen=REMEMBERED)

    def put_motion(self, stamp_ns: int, motion: Any) -> None:
        """Remember a MOTION; one that is older than the one before it begins anew."""
        if self._motions and stamp_ns < self._motions[-1][0]:
            self._motions.clear()
        self._motions.append((stamp_ns, motion))

    def motion_at(self, stamp_ns: int) -> tuple[Any, float]:
        """The newest MOTION that is not younger than a stamp, and by how many s it is older; age -1 where none is."""
        for stamp, motion in reversed(self._motions):
            if stamp <= stamp_ns:
                return motion, (stamp_ns - stamp) * 1e-9
        return np.zeros((), MOTION)[()], -1.0

    def lay_in_hidden(self, scan: Any) -> None:
        """Add the hidden cells to a SCAN, where it was taken by odometry, or where the robot is by the newest."""
        if not len(self.hidden) or not self._motions:
            return
        newest = self._motions[-1][1]
        at = scan if scan["posed"] else newest
        pose = float(at["x"]), float(at["y"]), float(at["yaw"])
        lay_in(self.hidden, pose, newest, self.robot, scan)

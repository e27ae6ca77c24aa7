"""Which readings of a scan are of somebody who walks: they tell nothing of where the robot is.

The reflex's own tracks (`reflex.movers`), kept a second time, for whoever thinks about the way may run elsewhere. What
stands from the beginning is a post to everybody; who was seen to walk is no mark for as long as they stay in sight.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.reflex.ground import mark_passed
from hybrid_control.navigation.reflex.movers import WATCHED, notice, of_walkers
from hybrid_control.navigation.reflex.percept import BEAMS, MAX_BEAMS, SWEEP, lay_out
from hybrid_control.navigation.reflex.scan import LONGEST_INTERVAL
from hybrid_control.signals import Pose, RangeScan


class Walkers:
    """Who walks around a robot, scan by scan.

    lidar: the range sensor's place ahead and to the left of the robot's centre in m, and its turn against it in rad.
    """

    def __init__(self, lidar: Pose) -> None:
        self._lidar = lidar
        self._watched, self._beams = np.zeros(1, WATCHED)[0], np.zeros(1, BEAMS)[0]
        self._stamp_ns: int | None = None  # of the newest scan

    def among(self, scan: RangeScan, at: Pose) -> NDArray[np.bool_]:
        """Which readings (n,) are of walkers. at: where the robot is, by odometry; beams beyond MAX_BEAMS are of none.
        """
        before, self._stamp_ns = self._stamp_ns, scan.stamp_ns
        since = (scan.stamp_ns - before) * 1e-9 if before is not None else 0.0
        mount = self._lidar.x, self._lidar.y, self._lidar.yaw
        limits = scan.angle_min, scan.angle_increment, scan.range_min, scan.range_max
        sweep = np.array((*limits, *mount, since if 0.0 < since < LONGEST_INTERVAL else 0.0, 0.0), SWEEP)[()]
        ranges = scan.ranges[:MAX_BEAMS].astype(np.float32)
        lay_out(self._beams, ranges.size, sweep)
        notice(self._watched, ranges, sweep, self._beams, (at.x, at.y, at.yaw))
        mark_passed(self._watched, ranges, float(scan.range_min))
        walkers = np.zeros(scan.ranges.size, np.bool_)
        walkers[: ranges.size] = of_walkers(self._watched, ranges, sweep)
        return walkers

"""A scan as a planner is told it: how near the nearest is in each of the 72 headings."""

from __future__ import annotations

import numpy as np

from hybrid_control.signals import Pose, RangeScan
from hybrid_control.signals.headings import SECTORS, sectors_of
from hybrid_control.signals.spikes import Float32Array

SCAN_CAP = 10.0  # m, at which distances are cut
UNKNOWN = 0.0  # of a heading in which no beam went


def told(scan: RangeScan, lidar: Pose) -> Float32Array:
    """m from the robot's middle to the nearest reading in each heading, (72,), at most SCAN_CAP; UNKNOWN where no beam
    brought one. A beam that met nothing shows SCAN_CAP. lidar: where the range sensor is in the body."""
    valid = scan.ranges >= scan.range_min  # NaN and what is too near are no reading
    away = np.minimum(np.where(scan.ranges <= scan.range_max, scan.ranges, np.inf)[valid], SCAN_CAP)
    angles = scan.angles()[valid] + lidar.yaw
    x, y = lidar.x + away * np.cos(angles), lidar.y + away * np.sin(angles)
    nearest = np.full(SECTORS, np.inf)
    np.minimum.at(nearest, sectors_of(np.arctan2(y, x)), np.hypot(x, y))
    return np.where(np.isfinite(nearest), np.minimum(nearest, SCAN_CAP), UNKNOWN).astype(np.float32)

"""A scan as a planner is told it: how near the nearest is in each of the 72 headings."""

from __future__ import annotations

import numpy as np

from hybrid_control.navigation.sensors.fusion import nearest_by_sector
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
    points = np.stack([lidar.x + away * np.cos(angles), lidar.y + away * np.sin(angles)], axis=1)
    nearest = np.minimum(nearest_by_sector(points), SCAN_CAP)
    seen = np.zeros(SECTORS, np.bool_)
    seen[sectors_of(np.arctan2(points[:, 1], points[:, 0]))] = True
    return np.where(seen, nearest, UNKNOWN).astype(np.float32)

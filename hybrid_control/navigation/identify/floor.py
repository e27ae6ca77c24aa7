"""What the lidar shows of the floor that a trial drives on: whether a way is free, and seen to be."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.outline import OUTLINE, stays_clear
from hybrid_control.navigation.reflex.evasion import outline_of
from hybrid_control.navigation.reflex.returns import Returns
from hybrid_control.parameters import Value
from hybrid_control.signals import RangeScan

MARGIN = 0.08  # m kept around the outline, for the scan's noise and odometry's errors
BIN = math.radians(5.0)  # of the directions that must be looked at, each by one beam at least
HALF_VIEW = math.radians(30.0)  # on either side of the way

Motion = tuple[float, float]  # m/s ahead, rad/s


class Floor:
    """The newest scan as points in the body's frame, and how far the lidar sees.

    settings: those of the reflex, of outline, lidar and its driver. ParameterError for a body_mask that can't be.
    """

    def __init__(self, settings: Mapping[str, Value]) -> None:
        self._returns = Returns(settings)
        self._mount = float(settings["lidar_x"]), float(settings["lidar_y"])
        self._turn = float(settings["lidar_yaw"])
        self._open = bool(settings["open_space"])
        self._body = body = outline_of(settings)
        self._outline = np.array((body.half_length, body.half_width, MARGIN, body.middle), OUTLINE)[()]
        self._points = np.empty((0, 2), np.float32)
        self.sight = 0.0  # m that the lidar sees at most
        self._seen: NDArray[np.float64] = np.empty(0)  # directions of the beams that say something, rad

        self.is_free((0.1, 0.1), 0.1)  # compiles it before anything moves

    @property
    def radius(self) -> float:
        """m of the circle that the outline turns in, with its margin."""
        return self._body.reach + MARGIN

    def put(self, scan: RangeScan) -> str:
        """Take the newest scan; why nothing may be driven by it, "" where it may."""
        scan = self._returns.read(scan)
        self.sight = scan.range_max
        ranges = np.where(np.isneginf(scan.ranges), np.float32(scan.range_min), scan.ranges).astype(
            np.float64
        )
        angles = scan.angles().astype(np.float64) + self._turn
        hit = np.isfinite(ranges)
        points = np.column_stack((np.cos(angles[hit]), np.sin(angles[hit]))) * ranges[hit, None]
        self._points = (points + self._mount).astype(np.float32)
        self._seen = angles[~np.isnan(ranges)]
        if not hit.any() and not self._open:
            return "the scan shows nothing in range anywhere, as one of a covered lidar does: have a wall in sight"
        return ""

    def is_free(self, motion: Motion, seconds: float, nose: float = 0.0) -> bool:
        """Whether the outline stays clear of all that is seen for so long, and m beyond its nose."""
        twist = (motion[0], 0.0, motion[1])
        return bool(
            stays_clear(self._points, len(self._points), twist, seconds, (0.0, 0.0), nose, self._outline)
        )

    def is_seen(self, motion: Motion) -> bool:
        """Whether every direction that a motion leads to is looked at, and something valid comes from it; a turn on the
        spot leads nowhere."""
        if motion[0] == 0.0:
            return True
        bend = math.copysign(math.pi / 3, motion[1]) if motion[1] else 0.0
        low, high = min(bend, 0.0) - HALF_VIEW, max(bend, 0.0) + HALF_VIEW
        bearing = np.angle(np.exp(1j * self._seen))
        covered = np.histogram(bearing, np.arange(low, high + BIN / 2, BIN))[0]
        return bool((covered > 0).all())

    def ahead(self) -> float:
        """m from the nose to what is nearest before the robot, as wide as it is with its margin; inf for nothing."""
        beside = np.abs(self._points[:, 1]) < self._body.half_width + MARGIN
        x = self._points[beside & (self._points[:, 0] > 0.0), 0] - self._body.half_length - self._body.middle
        return float(x.min()) if x.size else math.inf

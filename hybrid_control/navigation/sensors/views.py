"""Which directions each kind of range sensor looks in, in which something valid came, and how far it sees."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.reflex.returns import FARTHEST_ECHO
from hybrid_control.navigation.sensors.mounts import Matrix, Mount
from hybrid_control.signals import RangeScan
from hybrid_control.signals.headings import HEADINGS, SECTORS, sectors_of

Flags = NDArray[np.bool_]
AT_THE_SENSOR = 0.01  # m from it within which a point is how drivers say that there is none
WIDEST_BEAM = math.radians(5.0)  # to either side, that a beam stands for


@dataclass(frozen=True, eq=False)
class View:
    """One message's: looked, seen: (SECTORS,), by the direction of the rays in the robot's frame; sight: m."""

    looked: Flags
    seen: Flags
    sight: float = FARTHEST_ECHO


def _sectors(directions: Matrix, half: float = 0.0) -> Flags:
    """The sectors that rays (n, 2 or 3) point to, and those whose middle lies within `half` rad of one."""
    flags = np.zeros(SECTORS, np.bool_)
    bearings = np.arctan2(directions[:, 1], directions[:, 0])
    flags[sectors_of(bearings)] = True
    if half > 0.0 and bearings.size:
        apart = np.abs((HEADINGS[:, None] - bearings[None, :] + math.pi) % (2 * math.pi) - math.pi)
        flags |= np.min(apart, axis=1) <= half
    return flags


def laser_view(scan: RangeScan, mount: Mount) -> View:
    """Of a sweep as `Returns.read` gives it; a beam without an echo sees that there is nothing."""
    angle = scan.angle_min + scan.angle_increment * np.arange(scan.ranges.size)
    rays = np.column_stack((np.cos(angle), np.sin(angle), np.zeros(angle.size))) @ mount.rotation.T
    half = min(abs(scan.angle_increment) / 2, WIDEST_BEAM) if angle.size > 1 else 0.0
    valid = ~np.isnan(scan.ranges)
    sight = min(scan.range_max, FARTHEST_ECHO) - math.hypot(*mount.offset[:2])
    return View(_sectors(rays, half), _sectors(rays[valid], half), sight)


def range_view(high: float, field_of_view: float, mount: Mount) -> View:
    """Of a sonar's cone that gave a reading; high: m, as far as it reaches."""
    angle = np.linspace(-field_of_view / 2, field_of_view / 2, 19)
    looked = _sectors(np.column_stack((np.cos(angle), np.sin(angle), np.zeros(19))) @ mount.rotation.T)
    return View(looked, looked, high - math.hypot(*mount.offset[:2]))


def cloud_view(xyz: Matrix, mount: Mount) -> View:
    """Of the points of a cloud in the sensor's frame, (n, 3) m, at any height: where one lies the sensor sees."""
    points = xyz[np.isfinite(xyz).all(axis=1)]
    points = points[np.linalg.norm(points, axis=1) > AT_THE_SENSOR]
    seen = _sectors(points @ mount.rotation.T)
    return View(seen, seen)


def depth_view(
    metres: NDArray[np.float32], intrinsics: tuple[float, float, float, float], mount: Mount, furthest: float
) -> View:
    """Of a depth image, (height, width) m: a column without any depth shows nothing."""
    fx, _, cx, _ = intrinsics
    width = metres.shape[1]
    rays = np.column_stack(((np.arange(width) - cx) / fx, np.zeros(width), np.ones(width))) @ mount.rotation.T
    return View(_sectors(rays), _sectors(rays[np.any(metres > 0.0, axis=0)]), furthest)

"""What a robot's sensors say and its motors are told.

All are immutable, in SI units, in frames after REP 103 and 105 (x forward, y left, yaw counter-clockwise). Stamps are
nanoseconds of the ROS clock. A constructor that is given something impossible raises ValueError with one line that
names it, so what exists is valid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid_control.signals.spikes import Float32Array, frozen


@dataclass(frozen=True, slots=True, eq=False)
class RangeScan:
    """One sweep of a planar range sensor.

    ranges: (n,) metres; beam i points to angle_min + i * angle_increment radians in the sensor's frame.
    As in sensor_msgs/LaserScan, a beam that met nothing is +inf, and a value outside range_min .. range_max
    is no reading; range_max may be inf. NaN and negative ranges are kept here: the reflex judges them.
    given: (n,) metres as the sensor gave them, where ranges have in them what another sensor saw; None: the same.
    """

    stamp_ns: int
    angle_min: float
    angle_increment: float
    range_min: float
    range_max: float
    ranges: Float32Array
    given: Float32Array | None = None

    def __post_init__(self) -> None:
        ranges = frozen(self.ranges, np.float32, "ranges")
        given = None if self.given is None else frozen(self.given, np.float32, "given")
        if given is not None and given.size != ranges.size:
            raise ValueError(f"scan: {given.size} ranges given, expected as many as the {ranges.size} ranges")
        values = (self.angle_min, self.angle_increment, self.range_min)
        if not math.isfinite(sum(values)) and not all(map(math.isfinite, values)):
            raise ValueError(f"scan: angles and range_min {values} must be finite")
        if math.isnan(self.range_max) or self.range_min < 0 or self.range_max <= self.range_min:
            raise ValueError(f"scan: limits {self.range_min} .. {self.range_max} m are no range")
        object.__setattr__(self, "ranges", ranges)
        object.__setattr__(self, "given", given)

    @property
    def own(self) -> Float32Array:
        """(n,) metres, what the sensor itself gave."""
        return self.ranges if self.given is None else self.given

    def angles(self) -> Float32Array:
        """Direction of each beam, (n,) radians."""
        return (self.angle_min + self.angle_increment * np.arange(self.ranges.size)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class VerticalRanges:
    """What range sensors up and down say: m from the vehicle's middle, 0 for too close, +inf for nothing in range."""

    stamp_ns: int
    up: float
    down: float

    def __post_init__(self) -> None:
        if not (self.up >= 0 and self.down >= 0):
            raise ValueError(f"vertical ranges: up {self.up} and down {self.down} m must be >= 0")


@dataclass(frozen=True, slots=True)
class Twist:
    """A velocity in the body frame: metres per second and radians per second."""

    stamp_ns: int
    linear_x: float = 0.0
    linear_y: float = 0.0
    linear_z: float = 0.0
    angular_z: float = 0.0

    def __post_init__(self) -> None:
        values = (self.linear_x, self.linear_y, self.linear_z, self.angular_z)
        # the sum first: it is not finite where a number is not, and costs less to look at
        if not math.isfinite(sum(values)) and not all(map(math.isfinite, values)):
            raise ValueError(f"twist: {self} must be finite")


@dataclass(frozen=True, slots=True)
class Pose:
    """A planar pose in a fixed frame: metres, metres, radians."""

    x: float = 0.0
    y: float = 0.0
    yaw: float = 0.0

    def __post_init__(self) -> None:
        values = (self.x, self.y, self.yaw)
        if not math.isfinite(sum(values)) and not all(map(math.isfinite, values)):
            raise ValueError(f"pose: {self} must be finite")

    def to_body(self, x: float, y: float) -> tuple[float, float]:
        """A point of the fixed frame as (distance in m, bearing in rad within -pi .. pi) seen from this pose."""
        dx, dy = x - self.x, y - self.y
        bearing = math.atan2(dy, dx) - self.yaw
        return math.hypot(dx, dy), math.atan2(math.sin(bearing), math.cos(bearing))


@dataclass(frozen=True, slots=True)
class Odometry:
    """Where the robot believes it is, and how it moves."""

    stamp_ns: int
    pose: Pose
    twist: Twist


FREE_SIDE = 64  # cells along each side of a FreeGround


@dataclass(frozen=True, slots=True, eq=False)
class FreeGround:
    """The ground around a robot that was seen to be free, in square cells.

    x, y: m, the corner of the first cell in the odometry's frame; cell: m; nearest: m from the robot's middle, within
    which no ground is looked at; free: (FREE_SIDE, FREE_SIDE) of bools, along x and y. All other ground was not seen,
    or something may be on it.
    """

    stamp_ns: int
    x: float
    y: float
    cell: float
    nearest: float
    free: NDArray[np.bool_]

    def __post_init__(self) -> None:
        free = np.array(self.free, np.bool_)
        free.flags.writeable = False
        if free.shape != (FREE_SIDE, FREE_SIDE):
            raise ValueError(f"free ground: {free.shape} cells, expected {(FREE_SIDE, FREE_SIDE)}")
        if not all(map(math.isfinite, (self.x, self.y, self.cell))) or self.cell <= 0.0 or not self.nearest >= 0.0:
            values = self.x, self.y, self.cell, self.nearest
            raise ValueError(f"free ground: place, cell and nearest {values} must be finite, lengths not below 0")
        object.__setattr__(self, "free", free)


@dataclass(frozen=True, slots=True)
class Goal:
    """Where the robot is to go, in the frame of the odometry."""

    stamp_ns: int
    x: float
    y: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.x) and math.isfinite(self.y)):
            raise ValueError(f"goal: {self} must be finite")


@dataclass(frozen=True, slots=True)
class NoWay:
    """In place of a point on the way: there is no way to the goal, by all that was seen."""

    stamp_ns: int

"""Value types that travel between the parts of hybrid_control, in memory or over ROS topics.

All are immutable, in SI units, in frames after REP 103 and 105 (x forward, y left, yaw counter-clockwise).
Stamps are nanoseconds of the ROS clock. A constructor that is given something impossible raises ValueError
with one line that names it, so what exists is valid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float32Array = NDArray[np.float32]
UInt32Array = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Population:
    """A named, contiguous block of neurons: those with index first <= i < first + size."""

    name: str
    first: int
    size: int

    def __post_init__(self) -> None:
        if self.size < 1 or self.first < 0:
            raise ValueError(
                f"population {self.name!r}: first {self.first} and size {self.size} must be >= 0 and >= 1"
            )

    @property
    def slice(self) -> slice:
        """The block as a slice of a rate vector or a list of neurons."""
        return slice(self.first, self.first + self.size)


def layout(**sizes: int) -> tuple[Population, ...]:
    """Populations one after another, in the order given: ``layout(heading=72, speed=8)``."""
    populations, first = [], 0
    for name, size in sizes.items():
        populations.append(Population(name, first, size))
        first += size
    return tuple(populations)


#: What a planner says and a reflex hears: the wished direction and the wished speed, each as a population of neurons.
PLANNER_POPULATIONS: tuple[Population, ...] = layout(heading=72, speed=8)


def _frozen(values: ArrayLike, dtype: type, name: str) -> NDArray:
    array: NDArray = np.array(values, dtype=dtype)
    if array.ndim != 1:
        raise ValueError(f"{name}: shape {array.shape}, expected one dimension")
    array.flags.writeable = False
    return array


@dataclass(frozen=True, slots=True, eq=False)
class RateVector:
    """Firing rates of one or several populations at one time.

    rates: (n,) Hz, finite and >= 0, n the sum of the populations' sizes.
    """

    stamp_ns: int
    rates: Float32Array
    populations: tuple[Population, ...]

    def __post_init__(self) -> None:
        rates = _frozen(self.rates, np.float32, "rates")
        size = sum(p.size for p in self.populations)
        if rates.size != size:
            raise ValueError(f"rates: {rates.size} values for populations of {size} neurons in all")
        if not np.isfinite(rates).all() or (rates < 0).any():
            raise ValueError("rates: every rate must be finite and >= 0 Hz")
        object.__setattr__(self, "rates", rates)

    def of(self, name: str) -> Float32Array:
        """The rates of one population; KeyError where there is none of that name."""
        for p in self.populations:
            if p.name == name:
                return self.rates[p.slice]
        raise KeyError(f"no population {name!r}; there are {[p.name for p in self.populations]}")


@dataclass(frozen=True, slots=True, eq=False)
class SpikeTrain:
    """The spikes of one or several populations in a window [stamp_ns, stamp_ns + duration_ns).

    neuron: (k,) index of each spike's neuron; offset_ns: (k,) its time after stamp_ns. In order of offset.
    """

    stamp_ns: int
    duration_ns: int
    populations: tuple[Population, ...]
    neuron: UInt32Array
    offset_ns: UInt32Array

    def __post_init__(self) -> None:
        neuron = _frozen(self.neuron, np.uint32, "neuron")
        offset = _frozen(self.offset_ns, np.uint32, "offset_ns")
        if neuron.size != offset.size:
            raise ValueError(f"spike train: {neuron.size} neurons and {offset.size} offsets")
        if not 0 < self.duration_ns < 2**32:
            raise ValueError(f"spike train: duration {self.duration_ns} ns must be in 1 .. 2^32 - 1")
        if neuron.size:
            if int(neuron.max()) >= self.size:
                raise ValueError(f"spike train: neuron {neuron.max()} in populations of {self.size} neurons")
            if int(offset.max()) >= self.duration_ns:
                raise ValueError(
                    f"spike train: offset {offset.max()} ns in a window of {self.duration_ns} ns"
                )
            if (np.diff(offset.astype(np.int64)) < 0).any():
                raise ValueError("spike train: offsets must not decrease")
        object.__setattr__(self, "neuron", neuron)
        object.__setattr__(self, "offset_ns", offset)

    @property
    def size(self) -> int:
        """Number of neurons in all populations."""
        return sum(p.size for p in self.populations)

    def counts(self) -> UInt32Array:
        """Spikes of each neuron in the window, (size,)."""
        return np.bincount(self.neuron, minlength=self.size).astype(np.uint32)


@dataclass(frozen=True, slots=True, eq=False)
class RangeScan:
    """One sweep of a planar range sensor.

    ranges: (n,) metres; beam i points to angle_min + i * angle_increment radians in the sensor's frame.
    As in sensor_msgs/LaserScan, a beam that met nothing is +inf, and a value outside range_min .. range_max
    is no reading. NaN and negative ranges are kept here: the reflex judges them.
    """

    stamp_ns: int
    angle_min: float
    angle_increment: float
    range_min: float
    range_max: float
    ranges: Float32Array

    def __post_init__(self) -> None:
        ranges = _frozen(self.ranges, np.float32, "ranges")
        values = (self.angle_min, self.angle_increment, self.range_min, self.range_max)
        if not all(math.isfinite(v) for v in values):
            raise ValueError(f"scan: angles and limits {values} must be finite")
        if self.range_min < 0 or self.range_max <= self.range_min:
            raise ValueError(f"scan: limits {self.range_min} .. {self.range_max} m are no range")
        object.__setattr__(self, "ranges", ranges)

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
        if not all(math.isfinite(v) for v in (self.linear_x, self.linear_y, self.linear_z, self.angular_z)):
            raise ValueError(f"twist: {self} must be finite")


@dataclass(frozen=True, slots=True)
class Pose:
    """A planar pose in a fixed frame: metres, metres, radians."""

    x: float = 0.0
    y: float = 0.0
    yaw: float = 0.0

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in (self.x, self.y, self.yaw)):
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


@dataclass(frozen=True, slots=True)
class Goal:
    """Where the robot is to go, in the frame of the odometry."""

    stamp_ns: int
    x: float
    y: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.x) and math.isfinite(self.y)):
            raise ValueError(f"goal: {self} must be finite")

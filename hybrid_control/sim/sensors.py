"""What the simulated sensors make of the true state, and when: noise, bias and gaps, drawn by seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.shapes import FloatArray
from hybrid_control.signals import RangeScan
from hybrid_control.sim.robots.vehicle import Vehicle


@dataclass(frozen=True, slots=True)
class Imu:
    """One reading of an inertial measurement unit in the body frame: rad/s and m/s², gravity included."""

    stamp_ns: int
    angular_velocity: tuple[float, float, float]
    linear_acceleration: tuple[float, float, float]


class Schedule:
    """When each sensor's next reading is due: rates in Hz by kind; the first of each one period after time 0.

    Of those that are due at the same time the first in the order of the rates comes first.
    """

    def __init__(self, rates: Mapping[str, float]) -> None:
        self._period_ns = {kind: 1e9 / rate for kind, rate in rates.items()}
        self.reset()

    def reset(self) -> None:
        """Back to time 0."""
        self._sent = dict.fromkeys(self._period_ns, 0)
        self._due = {kind: round(period) for kind, period in self._period_ns.items()}

    def next(self) -> tuple[str, int]:
        """Kind and time in ns of the next reading."""
        kind = min(self._due, key=self._due.__getitem__)
        return kind, self._due[kind]

    def sent(self, kind: str) -> None:
        """That reading was taken."""
        self._sent[kind] += 1
        self._due[kind] = round((self._sent[kind] + 1) * self._period_ns[kind])


@numba.njit(cache=True, nogil=True)
def noisy_ranges(
    distances: FloatArray, noise: FloatArray, lost: FloatArray, dropout: float, low: float, high: float
) -> NDArray[np.float32]:
    """What a lidar says of true distances (n,) m, negative or infinite where nothing was hit: (n,), +inf for nothing.

    noise: (n,) m, added; lost: (n,), a beam comes back empty where this is below dropout; low, high: m, its range.
    """
    ranges = np.empty(distances.size, np.float32)
    for i in range(distances.size):
        r = distances[i]
        if r < 0.0 or r > high or lost[i] < dropout:
            r = np.inf
        else:
            r = max(r + noise[i], low)
            if r > high:
                r = np.inf
        ranges[i] = r
    return ranges


class LidarNoise:
    """Turns true distances along the beams into a scan. angles: (beams,) rad in the lidar's frame, from `first` on by
    `increment`: over its field of view, to the end of it where that is no full circle."""

    def __init__(self, robot: Vehicle, rng: np.random.Generator) -> None:
        self._robot, self.rng = robot, rng
        self.first, self.increment = robot.beams
        self.angles: NDArray[Any] = self.first + self.increment * np.arange(robot.lidar_beams)

    def read(self, stamp_ns: int, distances: FloatArray) -> RangeScan:
        """Distances (beams,) m, negative or infinite where nothing was hit. Out of range becomes +inf."""
        robot = self._robot
        low, high = robot.lidar_range_min, robot.lidar_range_max
        noise = self.rng.normal(0.0, robot.lidar_noise, distances.size)
        lost = self.rng.random(distances.size)
        ranges = noisy_ranges(distances, noise, lost, robot.lidar_dropout, low, high)
        return RangeScan(stamp_ns, self.first, self.increment, low, high, ranges)


class ImuNoise:
    """Adds a bias that stays, drawn per robot, and white noise."""

    def __init__(self, robot: Vehicle, rng: np.random.Generator) -> None:
        self._robot, self._rng = robot, rng
        self._gyro_bias = rng.normal(0.0, robot.gyro_bias, 3)
        self._accelerometer_bias = rng.normal(0.0, robot.accelerometer_bias, 3)

    def read(self, stamp_ns: int, gyro: FloatArray, accelerometer: FloatArray) -> Imu:
        """True angular velocity (3,) and specific force (3,) in the body frame."""
        gyro = gyro + self._gyro_bias + self._rng.normal(0.0, self._robot.gyro_noise, 3)
        force = accelerometer + self._accelerometer_bias
        force = force + self._rng.normal(0.0, self._robot.accelerometer_noise, 3)
        gx, gy, gz = gyro.tolist()
        ax, ay, az = force.tolist()
        return Imu(stamp_ns, (gx, gy, gz), (ax, ay, az))

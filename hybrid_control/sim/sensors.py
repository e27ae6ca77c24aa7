"""What the simulated sensors make of the true state: noise, bias, quantisation and drift, drawn by seed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hybrid_control.geometry.shapes import FloatArray
from hybrid_control.signals import Odometry, Pose, RangeScan, Twist
from hybrid_control.sim.robots import RobotModel, Vehicle


@dataclass(frozen=True, slots=True)
class Imu:
    """One reading of an inertial measurement unit in the body frame: rad/s and m/s², gravity included."""

    stamp_ns: int
    angular_velocity: tuple[float, float, float]
    linear_acceleration: tuple[float, float, float]


class LidarNoise:
    """Turns true distances along the beams into a scan."""

    def __init__(self, robot: Vehicle, rng: np.random.Generator) -> None:
        self._robot, self._rng = robot, rng
        self.angle_min = -math.pi
        self.angle_increment = 2.0 * math.pi / robot.lidar_beams

    def read(self, stamp_ns: int, distances: FloatArray) -> RangeScan:
        """Distances (beams,) m, negative or infinite where nothing was hit. Out of range becomes +inf."""
        robot = self._robot
        noise = self._rng.normal(0.0, robot.lidar_noise, distances.size)
        dropped = self._rng.random(distances.size) < robot.lidar_dropout
        empty = (distances < 0) | (distances > robot.lidar_range_max) | dropped
        ranges = np.where(empty, np.inf, np.maximum(distances + noise, robot.lidar_range_min))
        ranges[ranges > robot.lidar_range_max] = np.inf
        return RangeScan(
            stamp_ns=stamp_ns,
            angle_min=self.angle_min,
            angle_increment=self.angle_increment,
            range_min=robot.lidar_range_min,
            range_max=robot.lidar_range_max,
            ranges=ranges.astype(np.float32),
        )


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


class WheelOdometry:
    """Dead reckoning from encoder counts, with a robot's idea of its own measures, which is a little wrong.

    Each wheel's radius and the track are off by a share drawn per robot; slip adds its part by itself,
    because counts come from the wheels and not from the ground. Midpoint integration of the unicycle model.
    """

    def __init__(self, robot: RobotModel, start: Pose, rng: np.random.Generator) -> None:
        scale_error = rng.normal(0.0, robot.odometry_scale_error)
        radius_error = scale_error + rng.normal(0.0, robot.wheel_radius_error, 2)
        track_error = rng.normal(0.0, robot.track_error)
        self.metres_per_count = (
            2.0 * math.pi * robot.wheel_radius * (1.0 + radius_error) / robot.encoder_counts
        )
        self.track = robot.track * (1.0 + track_error)
        self.counts_per_rad = robot.encoder_counts / (2.0 * math.pi)
        self._counts = np.zeros(2)
        self.reading = Odometry(0, start, Twist(0))

    def update(self, stamp_ns: int, wheel_angles: FloatArray) -> Odometry:
        """Wheel angles (2,) left, right in rad, unwrapped; the twist is the mean since the last update."""
        counts = np.floor(wheel_angles * self.counts_per_rad)
        left, right = ((counts - self._counts) * self.metres_per_count).tolist()
        dt = (stamp_ns - self.reading.stamp_ns) * 1e-9
        if dt <= 0:
            raise ValueError(f"odometry: stamp {stamp_ns} ns does not follow {self.reading.stamp_ns} ns")
        self._counts = counts
        forward, turn = 0.5 * (left + right), (right - left) / self.track
        old = self.reading.pose
        middle = old.yaw + 0.5 * turn
        pose = Pose(old.x + forward * math.cos(middle), old.y + forward * math.sin(middle), old.yaw + turn)
        self.reading = Odometry(stamp_ns, pose, Twist(stamp_ns, linear_x=forward / dt, angular_z=turn / dt))
        return self.reading

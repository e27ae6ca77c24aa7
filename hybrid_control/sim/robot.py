"""The robots that can be simulated: their measures, limits and sensors, as values.

These are the only numbers of a robot: MuJoCo's model, URDF and SDF are all made from them (description.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RobotModel:
    """A differential-drive rover with a planar lidar over its centre and a camera at its front. SI units."""

    name: str
    # body: the footprint is a rectangle of length x width around the middle between the wheels
    length: float
    width: float
    height: float
    mass: float
    wheel_radius: float
    track: float  # m between the wheels' middles
    # base
    max_speed: float  # m/s
    max_yaw_rate: float  # rad/s
    acceleration: float  # m/s^2
    deceleration: float  # m/s^2
    yaw_acceleration: float  # rad/s^2
    command_timeout: float = 0.25  # s without a fresh command until the base stops by itself
    # what is under the body: it ends at ground_clearance, and two casters keep it level
    ground_clearance: float = 0.04
    wheel_mass: float = 0.5  # of each wheel; part of mass
    wheel_width: float = 0.04
    wheel_effort: float = 20.0  # N m, most torque of each wheel
    caster_radius: float = 0.03
    # camera: pinhole, in the body's frame
    camera_x: float = 0.25
    camera_z: float = 0.28
    camera_pitch: float = 0.08  # rad, positive looks down
    camera_hfov: float = math.radians(90.0)
    camera_width: int = 160
    camera_height: int = 120
    camera_rate: float = 15.0  # Hz
    # lidar
    lidar_z: float = 0.30
    lidar_beams: int = 360  # over the full circle, beam 0 points backwards
    lidar_rate: float = 40.0  # Hz
    lidar_range_min: float = 0.05
    lidar_range_max: float = 10.0
    lidar_noise: float = 0.01  # m, standard deviation
    lidar_dropout: float = 0.001  # share of beams that come back empty
    # IMU
    imu_rate: float = 100.0
    gyro_noise: float = 0.005  # rad/s, standard deviation of a reading
    gyro_bias: float = 0.005  # rad/s, standard deviation over robots
    accelerometer_noise: float = 0.05  # m/s^2
    accelerometer_bias: float = 0.05  # m/s^2
    # wheel odometry
    odometry_rate: float = 50.0
    encoder_counts: int = 48_000  # per turn of a wheel
    odometry_scale_error: float = 0.005  # relative, of both wheels; standard deviations over robots
    wheel_radius_error: float = 0.001  # relative, of each wheel for itself
    track_error: float = 0.01  # relative


JACKAL = RobotModel(
    name="jackal",
    length=0.508,
    width=0.43,
    height=0.25,
    mass=17.0,
    wheel_radius=0.098,
    track=0.377,
    max_speed=2.0,
    max_yaw_rate=4.0,
    acceleration=3.0,
    deceleration=4.0,
    yaw_acceleration=12.0,
)

ROBOTS: dict[str, RobotModel] = {JACKAL.name: JACKAL}


def robot(name: str) -> RobotModel:
    """The robot of that name; ValueError where there is none."""
    if name not in ROBOTS:
        raise ValueError(f"unknown robot {name!r}; there are {', '.join(ROBOTS)}")
    return ROBOTS[name]

"""The robots that can be simulated: their measures, limits and sensors, as values.

These are the only numbers of a robot: MuJoCo's model, URDF and SDF are all made from them (description.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """What rovers and drones have in common: measures, limits, a camera, a planar lidar and an IMU. SI units."""

    name: str
    # body: seen from above, a rectangle of length x width around base_link
    length: float
    width: float
    height: float
    mass: float
    # what it does with a velocity command
    max_speed: float  # m/s
    max_yaw_rate: float  # rad/s
    acceleration: float  # m/s^2
    deceleration: float  # m/s^2
    yaw_acceleration: float  # rad/s^2
    command_timeout: float = 0.25  # s without a fresh command until the base stops by itself
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
    # odometry
    odometry_rate: float = 50.0
    odometry_scale_error: float = 0.005  # relative; standard deviation over robots


@dataclass(frozen=True, slots=True, kw_only=True)
class RobotModel(Vehicle):
    """A differential-drive rover with a planar lidar over its centre and a camera at its front.

    Heights of camera and lidar are above the ground.
    """

    wheel_radius: float
    track: float  # m between the wheels' middles
    # what is under the body: it ends at ground_clearance, and two casters keep it level
    ground_clearance: float = 0.04
    wheel_mass: float = 0.5  # of each wheel; part of mass
    wheel_width: float = 0.04
    wheel_effort: float = 20.0  # N m, most torque of each wheel
    caster_radius: float = 0.03
    # wheel odometry
    encoder_counts: int = 48_000  # per turn of a wheel
    wheel_radius_error: float = 0.001  # relative, of each wheel for itself; standard deviations over robots
    track_error: float = 0.01  # relative


@dataclass(frozen=True, slots=True, kw_only=True)
class QuadModel(Vehicle):
    """A quadrotor with its rotors in an X, and range sensors up and down. Heights are above base_link.

    base_link lies in the middle of the four rotors, where the centre of mass is as well. The first rotor is the front
    left one, and they go on counter-clockwise from above; the first and the third turn clockwise.
    """

    rotor_x: float  # m, each rotor's distance from the middle along x
    rotor_y: float
    rotor_radius: float
    rotor_mass: float = 0.01  # of each; part of mass
    rotor_thrust: float  # N, most thrust of one rotor
    rotor_torque: float  # N m of reaction about the vertical for each N of thrust
    rotor_time_constant: float  # s, in which a rotor's speed follows
    max_climb: float  # m/s
    max_tilt: float  # rad
    hover_height: float  # m, of base_link above the ground where it begins
    vertical_rate: float = 40.0  # Hz, of the range sensors up and down
    vertical_range_max: float = 4.0
    vertical_noise: float = 0.01  # m, standard deviation
    gyro_drift: float = 0.001  # rad/s, of the yaw that the odometry has; standard deviation over robots


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

QUAD = QuadModel(
    name="quad",
    length=0.41,
    width=0.41,
    height=0.12,
    mass=1.2,
    max_speed=2.0,
    max_yaw_rate=2.0,
    acceleration=3.0,
    deceleration=3.0,
    yaw_acceleration=8.0,
    command_timeout=0.5,
    camera_x=0.12,
    camera_z=0.0,
    lidar_z=0.07,
    odometry_scale_error=0.01,
    rotor_x=0.115,
    rotor_y=0.115,
    rotor_radius=0.09,
    rotor_thrust=6.5,
    rotor_torque=0.016,
    rotor_time_constant=0.03,
    max_climb=1.0,
    max_tilt=0.35,
    hover_height=0.8,
)

ROBOTS: dict[str, RobotModel] = {JACKAL.name: JACKAL}


def robot(name: str) -> RobotModel:
    """The robot of that name; ValueError where there is none."""
    if name not in ROBOTS:
        raise ValueError(f"unknown robot {name!r}; there are {', '.join(ROBOTS)}")
    return ROBOTS[name]


def vehicle(name: str) -> Vehicle:
    """The rover or drone of that name; ValueError where there is none."""
    known: dict[str, Vehicle] = {**ROBOTS, QUAD.name: QUAD}
    if name not in known:
        raise ValueError(f"unknown robot {name!r}; there are {', '.join(known)}")
    return known[name]

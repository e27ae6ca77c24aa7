"""A transport base as stores and hospitals have them: 1.2 x 0.9 m, 1.5 m/s, a lidar of a full circle on its top."""

from __future__ import annotations

from hybrid_control.sim.robots.rover import Rover

TRANSPORT = Rover(
    name="transport",
    length=1.2,
    width=0.9,
    height=0.35,
    mass=180.0,
    wheel_radius=0.1,
    track=0.7,
    wheel_mass=4.0,
    wheel_width=0.06,
    wheel_effort=60.0,
    ground_clearance=0.05,
    caster_radius=0.045,
    max_speed=1.5,
    max_yaw_rate=1.5,
    acceleration=1.0,
    deceleration=1.5,
    yaw_acceleration=3.0,
    lidar_z=0.42,
    lidar_beams=720,
    lidar_rate=20.0,
    lidar_range_max=20.0,
    camera_x=0.58,
    camera_z=0.4,
)

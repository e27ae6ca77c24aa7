"""A base on four mecanum wheels, which moves in any direction: 0.6 x 0.45 m, 1 m/s, a lidar of a full circle on top."""

from __future__ import annotations

from hybrid_control.sim.robots.holonomic import Holonomic

MECANUM = Holonomic(
    name="mecanum",
    length=0.6,
    width=0.45,
    height=0.25,
    mass=25.0,
    wheel_radius=0.076,
    track=0.38,
    wheelbase=0.4,
    wheel_mass=0.8,
    wheel_width=0.05,
    wheel_effort=5.0,
    max_speed=1.0,
    max_yaw_rate=2.5,
    acceleration=2.0,
    deceleration=2.0,
    yaw_acceleration=6.0,
    lidar_z=0.3,
    camera_x=0.28,
    camera_z=0.24,
)

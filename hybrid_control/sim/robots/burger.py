"""The TurtleBot3 Burger, by its maker's specification: 138 x 178 mm, 0.22 m/s, 2.84 rad/s, an LDS-01 at 5 Hz.

Its body lies 32 mm behind the wheels' axle, and so does the lidar. It has no camera; the planner's is put on its mast.
"""

from __future__ import annotations

from hybrid_control.sim.robots.rover import Rover

BURGER = Rover(
    name="burger",
    length=0.138,
    width=0.178,
    height=0.192,
    mass=1.0,
    outline_x=-0.032,
    wheel_radius=0.033,
    track=0.16,
    wheel_mass=0.03,
    wheel_width=0.018,
    wheel_effort=1.5,
    ground_clearance=0.015,
    caster_radius=0.01,
    encoder_counts=4096,
    max_speed=0.22,
    max_yaw_rate=2.84,
    acceleration=2.5,
    deceleration=2.5,
    yaw_acceleration=3.2,
    lidar_x=-0.032,
    lidar_z=0.182,
    lidar_rate=5.0,
    lidar_range_min=0.12,
    lidar_range_max=3.5,
    camera_x=0.03,
    camera_z=0.17,
    camera_pitch=0.0,
)

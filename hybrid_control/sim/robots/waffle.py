"""The TurtleBot3 Waffle, by its maker's specification: 281 x 306 mm, 0.26 m/s, 1.82 rad/s, an LDS-01 at 5 Hz.

Its body lies 64 mm behind the wheels' axle, and so does the lidar.
"""

from __future__ import annotations

from hybrid_control.sim.robots.rover import Rover

WAFFLE = Rover(
    name="waffle",
    length=0.281,
    width=0.306,
    height=0.141,
    mass=1.8,
    outline_x=-0.064,
    wheel_radius=0.033,
    track=0.287,
    wheel_mass=0.03,
    wheel_width=0.018,
    wheel_effort=1.5,
    ground_clearance=0.015,
    caster_radius=0.01,
    encoder_counts=4096,
    max_speed=0.26,
    max_yaw_rate=1.82,
    acceleration=2.5,
    deceleration=2.5,
    yaw_acceleration=3.2,
    lidar_x=-0.064,
    lidar_z=0.132,
    lidar_rate=5.0,
    lidar_range_min=0.12,
    lidar_range_max=3.5,
    camera_x=0.076,
    camera_z=0.103,
    camera_pitch=0.0,
)

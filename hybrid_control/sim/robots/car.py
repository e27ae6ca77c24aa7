"""A car of a tenth: 0.5 x 0.28 m, base_link on its rear axle, steered at the front, a lidar over its middle."""

from __future__ import annotations

from hybrid_control.sim.robots.ackermann import Car

CAR = Car(
    name="car",
    length=0.5,
    width=0.28,
    height=0.18,
    mass=3.5,
    outline_x=0.16,
    wheel_radius=0.05,
    track=0.24,
    wheelbase=0.32,
    max_steering=0.45,
    wheel_mass=0.15,
    wheel_width=0.04,
    wheel_effort=3.0,
    max_speed=2.0,
    max_yaw_rate=3.0,
    acceleration=3.0,
    deceleration=4.0,
    yaw_acceleration=8.0,
    lidar_x=0.16,
    lidar_z=0.22,
    camera_x=0.36,
    camera_z=0.2,
)

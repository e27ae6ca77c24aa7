"""The Jackal."""

from __future__ import annotations

from hybrid_control.sim.robots.rover import Rover

JACKAL = Rover(
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

"""Two driven wheels on one axle: the ramps of their base, and the odometry that their encoders give."""

from __future__ import annotations

import math

import numba
import numpy as np

from hybrid_control.geometry.shapes import FloatArray
from hybrid_control.signals import Odometry, Pose, Twist
from hybrid_control.sim.robots.vehicle import Wheels


@numba.njit(cache=True, nogil=True)
def ramp(value: float, target: float, rise: float, fall: float, dt: float) -> float:
    """One step of a ramp from value to target, by `rise` per s away from zero and `fall` towards it."""
    rate = fall if abs(target) < abs(value) or target * value < 0 else rise
    return value + min(max(target - value, -rate * dt), rate * dt)


@numba.njit(cache=True, nogil=True)
def on_circle(turn: float, speed: float, radius: float) -> float:
    """Of a yaw rate (rad/s) what a base that steers does at a speed (m/s), whose tightest circle has that radius (m);
    all of it where the radius is 0."""
    if radius == 0.0:
        return turn
    most = abs(speed) / radius
    return min(max(turn, -most), most)


@numba.njit(cache=True, nogil=True)
def reckon(
    left: float, right: float, counts: FloatArray, numbers: FloatArray, yaw: float
) -> tuple[float, float, float, float]:
    """Midpoint integration of the unicycle model: (metres forward, along x, along y, rad turned) since the last call.

    left, right: wheel angles in rad, unwrapped; counts: (2,) of the encoders, brought up to date; numbers: of
    `WheelOdometry`; yaw: rad before.
    """
    new_left, new_right = math.floor(left * numbers[3]), math.floor(right * numbers[3])
    a = (new_left - counts[0]) * numbers[0]
    b = (new_right - counts[1]) * numbers[1]
    counts[0], counts[1] = new_left, new_right
    forward, turn = 0.5 * (a + b), (b - a) / numbers[2]
    middle = yaw + 0.5 * turn
    return forward, forward * math.cos(middle), forward * math.sin(middle), turn


class WheelOdometry:
    """Dead reckoning from encoder counts, with a robot's idea of its own measures, which is a little wrong.

    Each wheel's radius and the track are off by a share drawn per robot; slip adds its part by itself, because counts
    come from the wheels and not from the ground. scale_error: relative standard deviation that both wheels share.
    numbers: (4,) metres of a count left and right, track in m, counts of a radian.
    """

    def __init__(self, wheels: Wheels, scale_error: float, start: Pose, rng: np.random.Generator) -> None:
        scale = rng.normal(0.0, scale_error)
        radius_error = scale + rng.normal(0.0, wheels.radius_error, 2)
        track_error = rng.normal(0.0, wheels.track_error)
        self.numbers = np.array(
            (
                *(2.0 * math.pi * wheels.radius * (1.0 + radius_error) / wheels.encoder_counts),
                wheels.track * (1.0 + track_error),
                wheels.encoder_counts / (2.0 * math.pi),
            )
        )
        self._counts = np.zeros(2)
        self.reading = Odometry(0, start, Twist(0))

    def update(self, stamp_ns: int, wheel_angles: FloatArray) -> Odometry:
        """Wheel angles (2,) left, right in rad, unwrapped; the twist is the mean since the last update."""
        dt = (stamp_ns - self.reading.stamp_ns) * 1e-9
        if dt <= 0:
            raise ValueError(f"odometry: stamp {stamp_ns} ns does not follow {self.reading.stamp_ns} ns")
        old = self.reading.pose
        left, right = wheel_angles.tolist()
        forward, dx, dy, turn = reckon(left, right, self._counts, self.numbers, old.yaw)
        twist = Twist(stamp_ns, linear_x=forward / dt, angular_z=turn / dt)
        self.reading = Odometry(stamp_ns, Pose(old.x + dx, old.y + dy, old.yaw + turn), twist)
        return self.reading

"""Driven wheels, two on one axle or four mecanum wheels: the ramps of their base, and their encoders' odometry."""

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
def ramp_in_plane(
    x: float, y: float, target_x: float, target_y: float, rise: float, fall: float, dt: float
) -> tuple[float, float]:
    """`ramp` of a velocity in m/s, straight from one to the other whatever its direction: by `fall` where the target is
    slower or lies behind."""
    slower = math.hypot(target_x, target_y) < math.hypot(x, y) or target_x * x + target_y * y < 0.0
    most = (fall if slower else rise) * dt
    dx, dy = target_x - x, target_y - y
    change = math.hypot(dx, dy)
    if change <= most:
        return target_x, target_y
    return x + dx * most / change, y + dy * most / change


@numba.njit(cache=True, nogil=True)
def within(x: float, y: float, fastest: float) -> tuple[float, float]:
    """A velocity in m/s, the same way, at most so fast."""
    if y == 0.0:
        return min(max(x, -fastest), fastest), 0.0
    share = min(1.0, fastest / math.hypot(x, y))
    return share * x, share * y


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
    angles: FloatArray, counts: FloatArray, numbers: FloatArray, yaw: float
) -> tuple[float, float, float, float, float]:
    """Midpoint integration: (metres forward, to the left, along x, along y, rad turned) since the last call.

    angles: (2,) or (4,) rad of the wheels, unwrapped, as `WheelOdometry` has them; counts: (2,) or (4,) of their
    encoders, brought up to date; numbers: of `WheelOdometry`; yaw: rad before. Of four mecanum wheels the least-squares
    motion (Taheri et al., 2015, eqs. 22 to 24).
    """
    n = counts.size
    a, b = _rolled(angles, counts, numbers, 0), _rolled(angles, counts, numbers, 1)
    forward, left, turn = 0.5 * (a + b), 0.0, (b - a) / numbers[n]
    if n > 2:
        c, d = _rolled(angles, counts, numbers, 2), _rolled(angles, counts, numbers, 3)
        forward, left = 0.25 * (a + b + c + d), 0.25 * (b + c - a - d)
        turn = 0.5 * (b + d - a - c) / numbers[n]
    middle = yaw + 0.5 * turn
    cosine, sine = math.cos(middle), math.sin(middle)
    return forward, left, forward * cosine - left * sine, forward * sine + left * cosine, turn


@numba.njit(cache=True, nogil=True)
def _rolled(angles: FloatArray, counts: FloatArray, numbers: FloatArray, k: int) -> float:
    """m that wheel k has rolled since its count was taken, which is brought up to date."""
    count = math.floor(angles[k] * numbers[counts.size + 1])
    way = (count - counts[k]) * numbers[k]
    counts[k] = count
    return float(way)


class WheelOdometry:
    """Dead reckoning from encoder counts, with a robot's idea of its own measures, which is a little wrong.

    Wheels are left and right, or front left, front right, rear left and rear right. Each one's radius and the track are
    off by a share drawn per robot; slip adds its part by itself, because counts come from the wheels and not from the
    ground. scale_error: relative standard deviation that all wheels share. numbers: (wheels + 2,) metres of a count of
    each wheel, twice the lever in m (`Wheels.lever`; of two wheels it is the track), counts of a radian.
    """

    def __init__(self, wheels: Wheels, scale_error: float, start: Pose, rng: np.random.Generator) -> None:
        scale = rng.normal(0.0, scale_error)
        radius_error = scale + rng.normal(0.0, wheels.radius_error, wheels.number)
        track_error = rng.normal(0.0, wheels.track_error)
        self.numbers = np.array(
            (
                *(2.0 * math.pi * wheels.radius * (1.0 + radius_error) / wheels.encoder_counts),
                2.0 * wheels.lever * (1.0 + track_error),
                wheels.encoder_counts / (2.0 * math.pi),
            )
        )
        self._counts = np.zeros(wheels.number)
        self.reading = Odometry(0, start, Twist(0))

    def update(self, stamp_ns: int, wheel_angles: FloatArray) -> Odometry:
        """Wheel angles (2,) or (4,) rad, unwrapped; the twist is the mean since the last update."""
        dt = (stamp_ns - self.reading.stamp_ns) * 1e-9
        if dt <= 0:
            raise ValueError(f"odometry: stamp {stamp_ns} ns does not follow {self.reading.stamp_ns} ns")
        old = self.reading.pose
        forward, left, dx, dy, turn = reckon(wheel_angles, self._counts, self.numbers, old.yaw)
        twist = Twist(stamp_ns, linear_x=forward / dt, linear_y=left / dt, angular_z=turn / dt)
        self.reading = Odometry(stamp_ns, Pose(old.x + dx, old.y + dy, old.yaw + turn), twist)
        return self.reading

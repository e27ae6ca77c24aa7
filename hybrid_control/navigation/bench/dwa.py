"""The dynamic window approach: Fox, Burgard and Thrun, IEEE Robotics and Automation Magazine 4(1), 1997."""

from __future__ import annotations

import math

import numba
import numpy as np

from hybrid_control.geometry.outline import Outline, displacement, outline_distance
from hybrid_control.geometry.shapes import FloatArray
from hybrid_control.navigation.bench.scan_driver import PERIOD_NS, ScanDriver, View

INTERVAL = PERIOD_NS * 1e-9
FARTHEST = 4.0  # m along a curvature beyond which obstacles are not looked for
STEP = 0.08  # m between the poses checked along a curvature


@numba.njit(cache=True, nogil=True)
def free_way(
    points: FloatArray, linear: float, angular: float, half_length: float, half_width: float, farthest: float,
    middle: float = 0.0,
) -> float:
    """The paper's dist(v, w): m that the rectangular outline can follow the curvature until it meets a point.

    points: (n, 2) m, body frame. At most `farthest`; for a turn on the spot the arc of the outline's corner counts.
    middle: m by which the outline's middle lies ahead.
    """
    corner = math.hypot(half_length + abs(middle), half_width)
    speed = max(abs(linear), abs(angular) * corner)
    if speed < 1e-6:
        return farthest
    steps = int(farthest / STEP)
    reach = corner + farthest
    for k in range(1, steps + 1):
        x, y, yaw = displacement(linear, 0.0, angular, k * STEP / speed)
        if abs(yaw) > 2.0 * math.pi:
            return farthest
        c, s = math.cos(yaw), math.sin(yaw)
        for i in range(points.shape[0]):
            px, py = points[i, 0], points[i, 1]
            if abs(px) > reach or abs(py) > reach:
                continue
            dx, dy = px - x, py - y
            if outline_distance(c * dx + s * dy - middle, c * dy - s * dx, half_length, half_width) <= 0.0:
                return (k - 1) * STEP
    return farthest


def window(
    value: float, acceleration: float, interval: float, low: float, high: float
) -> tuple[float, float]:
    """The speeds that can be reached within the interval, cut to what is possible: (least, greatest)."""
    least, greatest = max(value - acceleration * interval, low), min(value + acceleration * interval, high)
    return min(least, high), max(greatest, low)


@numba.njit(cache=True, nogil=True)
def admissible(distance: float, linear: float, angular: float, brake: float, yaw_brake: float) -> bool:
    """Whether the robot can stop before the obstacle: v <= sqrt(2 dist v'), |w| <= sqrt(2 dist w') (equation 14)."""
    return linear <= math.sqrt(2.0 * distance * brake) and abs(angular) <= math.sqrt(
        2.0 * distance * yaw_brake
    )


@numba.njit(cache=True, nogil=True)
def heading_value(
    linear: float, angular: float, interval: float, yaw_brake: float, goal: tuple[float, float]
) -> float:
    """Alignment with the goal where the robot is after the interval, its turn braked: 0 .. 1 for 180 .. 0 degrees off.

    goal: (x, y) m in the body frame.
    """
    braking = abs(angular) / yaw_brake
    x, y, yaw = displacement(linear, 0.0, angular, interval)
    yaw += 0.5 * angular * braking
    off = math.atan2(goal[1] - y, goal[0] - x) - yaw
    return 1.0 - abs((off + math.pi) % (2.0 * math.pi) - math.pi) / math.pi


@numba.njit(cache=True, nogil=True)
def objectives(
    points: FloatArray,
    linear: FloatArray,
    angular: FloatArray,
    goal: tuple[float, float],
    outline: Outline,
    brakes: tuple[float, float],
    reach: float,
    look_ahead: float,
    fastest: float,
) -> FloatArray:
    """Heading, clearance and velocity of each admissible pair of speeds, (3, v, w), each 0 .. 1; NaN for the others.

    outline: with the margin; brakes: m/s² and rad/s²; reach: m that obstacles are
    looked for along a curvature; fastest: m/s that counts as 1.
    """
    terms = np.full((3, linear.size, angular.size), np.nan)
    for i in range(linear.size):
        for j in range(angular.size):
            way = free_way(points, linear[i], angular[j], outline[0], outline[1], reach, outline[2])
            if admissible(way, linear[i], angular[j], brakes[0], brakes[1]):
                terms[0, i, j] = heading_value(linear[i], angular[j], look_ahead, brakes[1], goal)
                terms[1, i, j] = way / reach
                terms[2, i, j] = linear[i] / fastest
    return terms


def smoothed(values: FloatArray) -> FloatArray:
    """Each value's mean with its neighbours in both directions, of those that are not NaN: the paper's sigma."""
    padded = np.pad(values, 1, constant_values=np.nan)
    rows, columns = values.shape
    stack = np.stack([padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)])
    known = np.isfinite(stack)
    mean = np.where(known, stack, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(np.isfinite(values), mean, np.nan)


class Dwa(ScanDriver):
    """DWA: the admissible pair of speeds in the window that has the best weighted sum of heading, clearance, speed.

    heading, clearance, velocity: the paper's alpha, beta and gamma; margin: m around the outline; look_ahead: s of
    the prediction that the heading is taken at.
    """

    def __init__(
        self,
        heading: float = 0.8,
        clearance: float = 0.4,
        velocity: float = 0.4,
        margin: float = 0.06,
        look_ahead: float = 0.4,
        samples: tuple[int, int] = (7, 21),
    ) -> None:
        self.heading, self.clearance, self.velocity = heading, clearance, velocity
        self.margin, self.look_ahead, self.samples = margin, look_ahead, samples

    def prepare(self, seed: int) -> None:
        """The window lies around what was last commanded: odometry lags behind it."""
        self._speed = (0.0, 0.0)

    def steer(self, view: View) -> tuple[float, float]:
        """One decision of the method."""
        robot = self.robot
        v, w = self._speed
        horizon = 4.0 * INTERVAL  # within one interval the speeds hardly differ
        v_low, v_high = window(v, robot.acceleration, horizon, 0.0, robot.max_speed)
        w_low, w_high = window(w, robot.yaw_acceleration, horizon, -robot.max_yaw_rate, robot.max_yaw_rate)
        linear = np.linspace(v_low, v_high, self.samples[0])
        angular = np.linspace(w_low, w_high, self.samples[1])
        goal = (view.distance * math.cos(view.bearing), view.distance * math.sin(view.bearing))
        outline = Outline(
            0.5 * robot.length + self.margin, 0.5 * robot.width + self.margin, robot.outline_x
        )
        brakes = (0.5 * robot.deceleration, 0.5 * robot.yaw_acceleration)
        reach = max(min(FARTHEST, view.distance), 0.3)
        terms = objectives(
            view.points, linear, angular, goal, outline, brakes, reach, self.look_ahead, robot.max_speed
        )
        if np.isnan(terms[0]).all():
            self._speed = (0.0, math.copysign(0.6, view.bearing))
            return self._speed
        weights = np.array((self.heading, self.clearance, self.velocity))
        total = smoothed(np.tensordot(weights, terms, axes=1))
        best = int(np.nanargmax(total))
        self._speed = (float(linear[best // angular.size]), float(angular[best % angular.size]))
        return self._speed

"""MPPI: Williams et al., "Information theoretic MPC for model-based reinforcement learning", ICRA 2017."""

from __future__ import annotations

import math

import numba
import numpy as np

from hybrid_control.geometry.shapes import FloatArray
from hybrid_control.navigation.bench.scan_driver import PERIOD_NS, ScanDriver, View

DT = PERIOD_NS * 1e-9
CELL, CELLS = 0.10, 80  # the grid of distances to obstacles: 8 x 8 m around the robot
LIMIT = 1.0  # m, distances beyond are not told apart
COLLISION = 1000.0  # cost of an outline in an obstacle


@numba.njit(cache=True, nogil=True)
def distance_grid(points: FloatArray) -> FloatArray:
    """Distance in m of each cell's middle to the nearest point, at most LIMIT, (CELLS, CELLS), row y, column x."""
    grid = np.full((CELLS, CELLS), LIMIT)
    half = CELLS * CELL / 2
    span = int(LIMIT / CELL) + 1
    for k in range(points.shape[0]):
        j0 = math.floor((points[k, 0] + half) / CELL)
        i0 = math.floor((points[k, 1] + half) / CELL)
        for i in range(max(0, i0 - span), min(CELLS, i0 + span + 1)):
            for j in range(max(0, j0 - span), min(CELLS, j0 + span + 1)):
                dx = (j + 0.5) * CELL - half - points[k, 0]
                dy = (i + 0.5) * CELL - half - points[k, 1]
                grid[i, j] = min(grid[i, j], math.sqrt(dx * dx + dy * dy))
    return grid


@numba.njit(cache=True, nogil=True)
def _near(grid: FloatArray, x: float, y: float) -> float:
    j, i = math.floor(x / CELL) + CELLS // 2, math.floor(y / CELL) + CELLS // 2
    if 0 <= i < CELLS and 0 <= j < CELLS:
        return float(grid[i, j])
    return LIMIT


@numba.njit(cache=True, nogil=True)
def rollout_costs(
    grid: FloatArray,
    controls: FloatArray,
    speed: FloatArray,
    goal: FloatArray,
    rates: FloatArray,
    half_length: float,
    half_width: float,
    margin: float,
    middle: float = 0.0,
) -> FloatArray:
    """Cost of each of K sequences of T commands, (K,): controls (K, T, 2) m/s and rad/s, from the body frame's origin.

    speed: (2,) the robot's now; rates: (2,) m/s² and rad/s², how fast it follows a command; goal: (x, y) m; middle: m
    by which the outline's middle lies ahead. The cost of a state is its distance to the goal, a penalty that grows as
    the outline (three discs along the body) comes within `margin` of an obstacle, and COLLISION in one; at the end the
    distance to the goal counts ten times.
    """
    samples, steps = controls.shape[0], controls.shape[1]
    costs = np.zeros(samples)
    offset = max(half_length - half_width, 0.0)
    for k in range(samples):
        x = y = yaw = 0.0
        v, w = speed[0], speed[1]
        total = 0.0
        distance = math.hypot(goal[0], goal[1])
        for t in range(steps):
            v += min(max(controls[k, t, 0] - v, -rates[0] * DT), rates[0] * DT)
            w += min(max(controls[k, t, 1] - w, -rates[1] * DT), rates[1] * DT)
            yaw += w * DT
            c, s = math.cos(yaw), math.sin(yaw)
            x += v * c * DT
            y += v * s * DT
            distance = math.hypot(goal[0] - x, goal[1] - y)
            near = min(
                _near(grid, x + middle * c, y + middle * s),
                _near(grid, x + (middle + offset) * c, y + (middle + offset) * s),
                _near(grid, x + (middle - offset) * c, y + (middle - offset) * s),
            )
            gap = near - half_width
            if gap < 0.03:
                total += COLLISION
            elif gap < margin:
                total += 8.0 * (1.0 - gap / margin) ** 2
            total += distance * 0.5
            if v < 0.0:
                total += -2.0 * v
            if distance < 0.3:
                break
        costs[k] = total + 10.0 * distance
    return costs


def weights_of(costs: FloatArray, temperature: float) -> FloatArray:
    """The information-theoretic weights, (K,), of sum 1: exp(-(S - min S) / lambda) / eta."""
    raw = np.exp(-(costs - costs.min()) / temperature)
    return raw / raw.sum()


class Mppi(ScanDriver):
    """MPPI over unicycle rollouts: K disturbed command sequences, averaged by the exponential of their costs.

    samples: K; steps: T of 50 ms; sigma_linear, sigma_angular: m/s and rad/s, of the disturbances; temperature: lambda;
    margin: m.
    """

    def __init__(
        self,
        samples: int = 400,
        steps: int = 36,
        sigma_linear: float = 0.35,
        sigma_angular: float = 0.9,
        temperature: float = 6.0,
        margin: float = 0.25,
    ) -> None:
        self.samples, self.steps, self.sigma = samples, steps, np.array((sigma_linear, sigma_angular))
        self.temperature, self.margin = temperature, margin

    def prepare(self, seed: int) -> None:
        """A nominal sequence of zeros, and disturbances from the seed."""
        self._rng = np.random.default_rng([seed, 21])
        self._nominal = np.zeros((self.steps, 2))

    def steer(self, view: View) -> tuple[float, float]:
        """One step of the method: disturb, roll out, weigh, average, shift."""
        robot = self.robot
        highest = np.array([robot.max_speed, robot.max_yaw_rate])
        lowest = np.array([-0.2, -robot.max_yaw_rate])
        noise = self._rng.normal(0.0, 1.0, (self.samples, self.steps, 2)) * self.sigma
        noise[0] = 0.0
        controls = np.clip(self._nominal + noise, lowest, highest)
        noise = controls - self._nominal
        goal = np.array([math.cos(view.bearing), math.sin(view.bearing)]) * view.distance
        costs = rollout_costs(
            distance_grid(view.points),
            controls,
            np.array([view.linear, view.angular]),
            goal,
            np.array([robot.acceleration, robot.yaw_acceleration]),
            0.5 * robot.length,
            0.5 * robot.width,
            self.margin,
            robot.outline_x,
        )
        # the control cost of the paper: lambda u' Sigma^-1 epsilon
        costs += (
            0.1 * self.temperature * (noise * (self._nominal / self.sigma**2)).sum(axis=(1, 2)) / self.steps
        )
        weights = weights_of(costs, self.temperature)
        self._nominal = np.clip(self._nominal + np.tensordot(weights, noise, axes=1), lowest, highest)
        linear, angular = self._nominal[0].tolist()
        self._nominal = np.concatenate((self._nominal[1:], self._nominal[-1:]))
        return linear, angular

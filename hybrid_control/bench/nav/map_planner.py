"""What stands in for the ANN where there are no pictures: the teacher that it learned from, with errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hybrid_control.cosim import Simulated
from hybrid_control.messages import Goal, Odometry, Pose, RateVector
from hybrid_control.planner import contract
from hybrid_control.planner.training.labels import (
    BUMP_PEAK,
    EXPERT_RADIUS,
    expert_heading,
    expert_speed,
    heading_bump,
)
from hybrid_control.sim.grid import GeodesicField, geodesic_field
from hybrid_control.sim.worlds import World

MAX_RATE = 200.0  # Hz
ERROR = math.radians(12.0)  # standard deviation of its heading's error
MEMORY = 0.8  # of that error from one plan to the next, so that errors last as a network's do


def _field(world: World) -> GeodesicField | None:
    for radius in (EXPERT_RADIUS, 0.34, 0.28, 0.22):
        try:
            field = geodesic_field(world, radius, resolution=0.1)
        except ValueError:  # the goal is nearer than that to an obstacle
            continue
        if field.passable(world.start.x, world.start.y):
            return field
    return None


class MapPlanner:
    """Heading and speed of the expert that the planner is trained on, from the true pose, with errors in the heading.

    It knows the whole map, so it never enters a dead end: it says how well the reflex follows a good planner, not how
    good the planner is. simulator: whose true pose it is asked at. Without any way to the goal it names the bearing.
    """

    def __init__(self, world: World, simulator: Simulated, seed: int) -> None:
        self.world, self.simulator = world, simulator
        self._field = _field(world)
        self._rng = np.random.default_rng([seed, 31])
        self._error = 0.0

    def plan(self, image: Any, odometry: Odometry, goal: Goal, stamp_ns: int) -> RateVector:
        """Rates of the heading and speed populations, as `planner.Planner.plan` gives them."""
        pose = self.simulator.truth().pose
        kept = math.sqrt(1.0 - MEMORY**2)
        self._error = MEMORY * self._error + kept * float(self._rng.normal(0.0, ERROR))
        heading, speed = self._wish(pose)
        bump = heading_bump(heading + self._error) / BUMP_PEAK * MAX_RATE
        rates = np.concatenate((np.minimum(bump, MAX_RATE), contract.encode_speed(speed, MAX_RATE)))
        return RateVector(stamp_ns, rates.astype(np.float32), contract.POPULATIONS)

    def _wish(self, pose: Pose) -> tuple[float, float]:
        if self._field is not None:
            heading = expert_heading(self._field, pose)
            if math.isfinite(heading):
                return heading, expert_speed(self._field, self.world, pose, heading)
        return pose.to_body(*self.world.goal)[1], 0.5

"""What an expert that knows the whole map would do: which way to drive, how fast, and what lies around."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.shapes import cast_rays, clearance
from hybrid_control.navigation.planner.scans import SCAN_CAP
from hybrid_control.signals import Pose
from hybrid_control.signals.headings import HEADINGS, SECTORS
from hybrid_control.sim.worlds import World
from hybrid_control.sim.worlds.grid import GeodesicField

LOOKAHEAD = 1.2  # m along the shortest path to the point that the expert drives at
EXPERT_RADIUS = 0.42  # m from the robot's centre to an obstacle: Jackal's half diagonal 0.333 m and a margin
HEADING_SIGMA = math.radians(10.0)  # width of the bump of rates around the expert's heading

RAY_ANGLES: NDArray[np.float64] = np.linspace(
    -math.pi / 4, math.pi / 4, 33
)  # what a camera of 90 degrees sees
RAY_LIMIT = 6.0  # m
BEAMS = 5 * SECTORS  # of a scan around the robot

FULL_SPEED_CLEARANCE = 0.85  # m beside the path where the expert drives at full speed
SLOW_FRACTION = 0.3  # of full speed, where the path touches the expert's radius
TURN_IN_PLACE = 1.2  # rad off the path where the expert all but stops to turn
BRAKING = 2.0  # m/s^2 that the expert plans with
FULL_SPEED = 2.0  # m/s
GOAL_SLOWDOWN = 1.5  # m before the goal where the expert begins to slow down
LEAST_FRACTION = 0.1


def wrap(angle: NDArray | float) -> NDArray:
    """The angle in rad within -pi .. pi."""
    return np.arctan2(np.sin(angle), np.cos(angle))


def heading_bump(heading: NDArray | float) -> NDArray[np.float64]:
    """Von Mises distributions over the heading neurons, (..., 72), of sum 1, around headings (...) in rad."""
    kappa = 1.0 / HEADING_SIGMA**2
    weights = np.exp(kappa * (np.cos(np.asarray(heading)[..., None] - HEADINGS) - 1.0))
    return weights / weights.sum(axis=-1, keepdims=True)


#: Height of the highest possible bump: a probability of this much means the greatest rate.
BUMP_PEAK = float(heading_bump(float(HEADINGS[0])).max())


def expert_heading(field: GeodesicField, pose: Pose) -> float:
    """Body-frame direction in rad of the point LOOKAHEAD down the shortest path; NaN where there is none."""
    return float(wrap(field.heading(pose.x, pose.y, LOOKAHEAD) - pose.yaw))


def expert_speed(field: GeodesicField, world: World, pose: Pose, heading: float) -> float:
    """The expert's speed as a fraction 0 .. 1 of full speed: the least of four limits.

    Clearance along the next 1.5 m of path: linear from SLOW_FRACTION at EXPERT_RADIUS to 1 at
    FULL_SPEED_CLEARANCE. Turn needed: 1 - |heading| / TURN_IN_PLACE. Free way straight ahead, d beyond
    EXPERT_RADIUS: sqrt(2 BRAKING d). Distance to the goal: linear over GOAL_SLOWDOWN. Never below
    LEAST_FRACTION.
    """
    path = field.path(pose.x, pose.y, 1.5)
    beside = min(clearance(x, y, world.cylinders, world.boxes) for x, y in path)
    tightness = (beside - EXPERT_RADIUS) / (FULL_SPEED_CLEARANCE - EXPERT_RADIUS)
    by_clearance = SLOW_FRACTION + (1.0 - SLOW_FRACTION) * min(max(tightness, 0.0), 1.0)
    by_turn = 1.0 - abs(heading) / TURN_IN_PLACE
    ahead = pose.yaw + np.radians((-8.0, 0.0, 8.0))
    free = cast_rays(pose.x, pose.y, ahead, RAY_LIMIT, world.cylinders, world.boxes).min() - EXPERT_RADIUS
    by_braking = math.sqrt(2.0 * BRAKING * min(max(free, 0.0), RAY_LIMIT)) / FULL_SPEED
    by_goal = math.hypot(field.goal[0] - pose.x, field.goal[1] - pose.y) / GOAL_SLOWDOWN
    return min(max(min(by_clearance, by_turn, by_braking, by_goal), LEAST_FRACTION), 1.0)


def scan_around(world: World, pose: Pose) -> NDArray[np.float64]:
    """m from the robot's centre to the nearest that a scan of BEAMS shows in each sector, (72,), at most SCAN_CAP."""
    angles = np.arange(BEAMS) * 2.0 * np.pi / BEAMS - np.pi + np.pi / BEAMS
    ranges = cast_rays(pose.x, pose.y, pose.yaw + angles, SCAN_CAP, world.cylinders, world.boxes)
    return np.minimum(ranges, SCAN_CAP).reshape(SECTORS, -1).min(axis=1)


def ranges_ahead(world: World, pose: Pose) -> NDArray[np.float64]:
    """Distance in m, at most RAY_LIMIT, to the nearest obstacle along RAY_ANGLES from the robot's centre."""
    ranges = cast_rays(pose.x, pose.y, pose.yaw + RAY_ANGLES, RAY_LIMIT, world.cylinders, world.boxes)
    return np.minimum(ranges, RAY_LIMIT)

"""How fast a robot was when it drove into something, and how slow it could have been.

Nobody can do more for who comes into the way than brake as hard as the base can from the moment they are seen to come.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hybrid_control.geometry.shapes import FloatArray, cast_rays, footprint_distance
from hybrid_control.navigation.episode import Sight
from hybrid_control.signals import Pose
from hybrid_control.sim.robots.vehicle import Vehicle
from hybrid_control.sim.worlds import World
from hybrid_control.sim.worlds.movers import BEGAN, RADIUS, Walk

STEP = 0.005  # s
EDGE = 0.9  # radii off its middle at which a mover's edge is looked for
TOUCH = 0.03  # m from the outline within which is what it touched a step ago or touches in the next


class Impact(NamedTuple):
    """m/s at which a robot met something, and the least at which it could have."""

    speed: float
    bound: float


def impact(world: World, robot: Vehicle, seen: Sequence[Sight], delay: float) -> Impact | None:
    """Of the contact at the end of an episode, by what was seen of it at each window; None where the robot touches
    nothing then. delay: s from when something can be seen to a command.

    The bound is 0 for what stands. For a mover it is the robot's speed where it would have met the same one, had it
    braked as hard as it can, on the curve that it was on, from when the mover was last hidden, or, where it walks then,
    last stood still.
    """
    last, before = seen[-1], seen[max(len(seen) - 2, 0)]
    gaps = _gaps(world, robot, last.pose, last.places)
    if not gaps.size or gaps.min() > TOUCH:
        return None
    mover = int(gaps.argmin()) - len(gaps) + len(world.movers)
    if mover < 0:
        return Impact(abs(before.speed), 0.0)
    walks = _walked(seen[max(len(seen) - 4, 0)], last, mover)
    first = len(seen) - 1
    while first > 0 and _visible(world, robot, seen[first - 1], mover):
        if walks and not _walked(seen[first - 1], seen[min(first + 2, len(seen) - 1)], mover):
            break
        first -= 1
    later = math.ceil((seen[first].time + delay - seen[0].time) / (seen[1].time - seen[0].time)) if first else 0
    begin = seen[min(max(later, first), len(seen) - 1)]
    return Impact(abs(before.speed), min(_braking(world, robot, begin, mover), abs(before.speed)))


def _gaps(
    world: World, robot: Vehicle, pose: tuple[float, float, float], places: FloatArray
) -> FloatArray:
    """m from the outline to each obstacle: boxes, cylinders, movers."""
    none, nothing = np.empty((0, 3)), np.empty((0, 5))
    circles = np.concatenate((world.cylinders, _circles(world, places)))
    outline = robot.footprint(Pose(*pose))
    return np.array(
        [footprint_distance(*outline, none, box[None]) for box in world.boxes]
        + [footprint_distance(*outline, circle[None], nothing) for circle in circles]
    )


def _circles(world: World, places: FloatArray) -> FloatArray:
    return np.column_stack((places[:, :BEGAN], np.array([m.radius for m in world.movers])))


def _walked(before: Sight, after: Sight, mover: int) -> bool:
    return bool((before.places[mover, :BEGAN] != after.places[mover, :BEGAN]).any())


def _visible(world: World, robot: Vehicle, sight: Sight, mover: int) -> bool:
    """Whether the lidar can see a mover."""
    x, y, yaw = sight.pose
    c, s = math.cos(yaw), math.sin(yaw)
    x, y = x + c * robot.lidar_x - s * robot.lidar_y, y + s * robot.lidar_x + c * robot.lidar_y
    dx, dy = sight.places[mover, 0] - x, sight.places[mover, 1] - y
    away, radius = math.hypot(dx, dy), world.movers[mover].radius
    if away <= radius:
        return True
    edge = EDGE * math.asin(radius / away)
    bearing = math.atan2(dy, dx)
    angles = np.array((bearing - edge, bearing, bearing + edge))
    free = cast_rays(x, y, angles, robot.lidar_range_max, world.cylinders, world.boxes)
    return bool((free > away).any()) and away - radius <= robot.lidar_range_max


def _braking(world: World, robot: Vehicle, sight: Sight, mover: int) -> float:
    """m/s that a robot still has where it meets a mover, braking from a sight on; 0 where it stands by then."""
    (x, y, yaw), speed, time = sight.pose, sight.speed, sight.time
    curve = sight.turn / speed if speed else 0.0
    walk = Walk(world.movers, robot.outline.reach, x, y)
    walk.places[:], walk.time_s = sight.places, time
    nothing = np.empty((0, 5))
    while speed != 0.0:
        slower = max(abs(speed) - robot.deceleration * STEP, 0.0)
        speed = math.copysign(slower, speed)
        yaw += curve * speed * STEP
        x, y = x + speed * STEP * math.cos(yaw), y + speed * STEP * math.sin(yaw)
        time += STEP
        walk.to(time, x, y)
        circle = np.array([(*walk.places[mover, :BEGAN], walk.rows[mover, RADIUS])])
        if footprint_distance(*robot.footprint(Pose(x, y, yaw)), circle, nothing) <= 0.0:
            return abs(speed)
    return 0.0

"""What a camera should say of a scene: in each column of its image the first thing that closes the way, and where."""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.camera import CameraMount
from hybrid_control.geometry.shapes import FloatArray, cast_rays, ray_to_box, turned
from hybrid_control.signals import Pose
from hybrid_control.sim.worlds import World

HEIGHT, WIDTH = 120, 160  # pixels of the model's image
SKY = 24  # rows from the top that are not looked at
COLUMNS = 40  # in which the image is judged
ROWS = (HEIGHT - SKY) // 2  # of 2 pixels each, in which the foot of what closes a column is sought
FARTHEST = 4.0  # m, up to which what closes a column is taught
FREE, STANDING, HIDDEN = range(3)

ACROSS: FloatArray = (np.arange(COLUMNS) + 0.5) / COLUMNS
"""The middles of the columns, 0 at the image's left edge and 1 at its right."""


class Closing(NamedTuple):
    """What closes each column first, (COLUMNS,) each: FREE, STANDING or HIDDEN; m from the camera's foot, FARTHEST
    where it is free; and of what is hidden its number, the world's things first, then its forbidden patches, else -1.
    """

    kind: NDArray[np.int8]
    away: FloatArray
    which: NDArray[np.int64]


def closing(world: World, robot: Pose, camera: CameraMount, lidar_z: float) -> Closing:
    """What closes the columns of a robot's camera. STANDING is what a scan in a plane lidar_z m above the ground shows.
    Of what it does not show only that counts which lies where the column shows ground, not nearer."""
    bearings = camera.bearings(ACROSS)
    x, y = robot.x + camera.x * math.cos(robot.yaw), robot.y + camera.x * math.sin(robot.yaw)
    shown = np.array([thing.seen_by_lidar(lidar_z) for thing in world.things], bool)
    rectangles = np.array([thing.rectangle for thing in world.things]).reshape(-1, 5)
    boxes = np.concatenate((world.boxes, rectangles[shown]))
    stands = cast_rays(x, y, robot.yaw + bearings, FARTHEST, world.as_it_begins().cylinders, boxes)
    begins = camera.away(ACROSS, np.ones(COLUMNS))
    numbers = np.concatenate((np.flatnonzero(~shown), len(shown) + np.arange(len(world.forbidden))))
    hidden = np.concatenate((rectangles[~shown], world.forbidden))
    hides, which = _first(x, y, robot.yaw + bearings, begins, hidden)
    kind = np.where(stands <= hides, STANDING, HIDDEN).astype(np.int8)
    away = np.minimum(stands, hides)
    kind[~np.isfinite(away)] = FREE
    which = np.where(kind == HIDDEN, np.append(numbers, -1)[which], -1)
    return Closing(kind, np.minimum(away, FARTHEST), which)


@numba.njit(cache=True)
def _first(
    x: float, y: float, angles: FloatArray, begins: FloatArray, boxes: FloatArray
) -> tuple[FloatArray, NDArray[np.int64]]:
    """m along each ray, which counts from where it begins, to the first of the boxes, and its number; inf and -1 for
    none."""
    away, which = np.full(angles.size, math.inf), np.full(angles.size, -1)
    turns = turned(boxes)
    for k in range(angles.size):
        c, s = math.cos(angles[k]), math.sin(angles[k])
        if not begins[k] < FARTHEST:  # NaN is not
            continue
        for i in range(boxes.shape[0]):
            r = ray_to_box(x + begins[k] * c, y + begins[k] * s, c, s, boxes, i, turns[i, 0], turns[i, 1])
            if begins[k] + r < min(away[k], FARTHEST):
                away[k], which[k] = begins[k] + r, i
    return away, which


def rows_of(away: FloatArray, camera: CameraMount) -> FloatArray:
    """The place, in ROWS from the first one that is looked at, where each column shows the ground so many m away; what
    lies below the image counts as its last row."""
    pixels = camera.down(camera.bearings(ACROSS), away) * HEIGHT
    return np.clip((pixels - SKY) / 2.0, 0.0, ROWS - 1e-3)

"""The distance-to-goal field of a world: how far a disc-shaped robot has to drive from anywhere, which way."""

from __future__ import annotations

import math
from functools import lru_cache

import numba
import numpy as np

from hybrid_control.geometry.eikonal import FloatArray, GeodesicField, line_free, march
from hybrid_control.geometry.shapes import clearance_map
from hybrid_control.sim.worlds.world import World

EXACT_CELLS = 6  # around the goal the distance is set exactly: there the front is too curved for the grid
ESCAPE_SPEED = 0.2  # speed of the front through cells that are too near an obstacle


@numba.njit(cache=True)
def _solve(
    clear: FloatArray, radius: float, h: float, gu: float, gv: float, box: tuple[int, int, int, int]
) -> FloatArray:
    rows, columns = clear.shape
    field = np.full((rows, columns), math.inf)
    free = clear >= radius
    for i in range(max(0, int(gv) - EXACT_CELLS), min(rows, int(gv) + EXACT_CELLS + 2)):
        for j in range(max(0, int(gu) - EXACT_CELLS), min(columns, int(gu) + EXACT_CELLS + 2)):
            near = math.hypot(j - gu, i - gv)
            if near <= 1.0 or (near <= EXACT_CELLS and line_free(free, float(j), float(i), gu, gv)):
                field[i, j] = near * h
    cost = np.where(free, 1.0, math.inf)
    whole = (0, rows, 0, columns)
    if box != whole and free[box[0] : box[1], box[2] : box[3]].all():
        march(field, cost, h, box)
        return field
    march(field, cost, h, whole)
    # From cells too near an obstacle the way leads out first: a second front enters them from the free ones.
    march(field, np.where(free, math.inf, np.where(clear > 0.0, 1.0 / ESCAPE_SPEED, math.inf)), h, whole)
    return field


@lru_cache(maxsize=4)  # a world's field is asked for several times, for discs of several radii
def _clear(
    cylinders: bytes, boxes: bytes, x0: float, y0: float, resolution: float, rows: int, columns: int
) -> FloatArray:
    """The clearance of every cell, (rows, columns) m, which nobody may change."""
    circles, rectangles = np.frombuffer(cylinders).reshape(-1, 3), np.frombuffer(boxes).reshape(-1, 5)
    return clearance_map(x0, y0, resolution, rows, columns, circles, rectangles)


def geodesic_field(
    world: World, robot_radius: float = 0.35, resolution: float = 0.05, to_start: bool = False
) -> GeodesicField:
    """The distance field of a world's standing obstacles towards its goal, within the world's bounds.

    Robot_radius: m, how near the robot's centre may come to an obstacle. to_start: only what the distance from the
    world's start follows from is wanted; elsewhere the field may be too large. ValueError where the goal itself is
    not free, or the resolution is no positive number.
    """
    if not (resolution > 0 and robot_radius >= 0):
        raise ValueError(
            f"geodesic field: resolution {resolution} m must be > 0 and radius {robot_radius} m >= 0"
        )
    xmin, ymin, xmax, ymax = world.bounds
    columns, rows = math.ceil((xmax - xmin) / resolution) + 1, math.ceil((ymax - ymin) / resolution) + 1
    clear = _clear(world.cylinders.tobytes(), world.boxes.tobytes(), xmin, ymin, resolution, rows, columns)
    gu, gv = (world.goal[0] - xmin) / resolution, (world.goal[1] - ymin) / resolution
    if clear[round(gv), round(gu)] < robot_radius:
        raise ValueError(f"geodesic field: the goal {world.goal} lies within {robot_radius} m of an obstacle")
    box = 0, rows, 0, columns
    if to_start:
        i, j = int((world.start.y - ymin) / resolution), int((world.start.x - xmin) / resolution)
        box = i, min(i + 2, rows), j, min(j + 2, columns)
    field = _solve(clear, robot_radius, resolution, gu, gv, box)
    free = clear >= robot_radius
    return GeodesicField(xmin, ymin, resolution, robot_radius, world.goal, field, clear, free)

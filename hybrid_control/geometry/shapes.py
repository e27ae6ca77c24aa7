"""Exact planar geometry between a point, a rectangular robot or a ray and a world's cylinders and boxes.

Compiled, so that generators, the distance field, the score and planar simulators use the same few functions.
In all of them `cylinders` is (n, 3): x, y, radius and `boxes` is (m, 5): x, y, length, width, yaw, in metres
and radians, float64 and C-contiguous.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

ROUGH = 1e-7  # rad
ATAN = (  # of the powers of the square, from the eighth down
    0.0028662257, -0.0161657367, 0.0429096138, -0.0752896400, 0.1065626393, -0.1420889944, 0.1999355085, -0.3333314528,
)  # fmt: skip
TILE = 12  # cells of a side, in which the same few obstacles may be nearest


@numba.njit(cache=True)
def _to_cylinder(x: float, y: float, cylinders: FloatArray, i: int) -> float:  # a row by itself would be counted
    dx, dy = x - cylinders[i, 0], y - cylinders[i, 1]
    return math.sqrt(dx * dx + dy * dy) - cylinders[i, 2]  # hypot is several times slower


@numba.njit(cache=True)
def _to_box(x: float, y: float, boxes: FloatArray, i: int) -> float:
    dx, dy = x - boxes[i, 0], y - boxes[i, 1]
    c, s = math.cos(boxes[i, 4]), math.sin(boxes[i, 4])
    qx = abs(c * dx + s * dy) - 0.5 * boxes[i, 2]
    qy = abs(c * dy - s * dx) - 0.5 * boxes[i, 3]
    ox, oy = max(qx, 0.0), max(qy, 0.0)
    return math.sqrt(ox * ox + oy * oy) + min(max(qx, qy), 0.0)


@numba.njit(cache=True)
def clearance(
    x: float, y: float, cylinders: FloatArray, boxes: FloatArray, within: float = math.inf
) -> float:
    """Distance in m from the point to the nearest obstacle; negative inside one, `within` where none is nearer."""
    nearest = within
    for i in range(cylinders.shape[0]):
        nearest = min(nearest, _to_cylinder(x, y, cylinders, i))
    for i in range(boxes.shape[0]):
        dx, dy = x - boxes[i, 0], y - boxes[i, 1]
        far = nearest + 0.5 * (boxes[i, 2] + boxes[i, 3]) + 1e-9  # no corner is farther from its middle
        if far > 0.0 and dx * dx + dy * dy <= far * far:
            nearest = min(nearest, _to_box(x, y, boxes, i))
    return nearest


@numba.njit(cache=True)
def _gap_box(x: float, y: float, yaw: float, a: float, b: float, boxes: FloatArray, k: int) -> float:
    """Distance from the rectangle at (x, y, yaw) with half sides a, b to a box; 0 where they overlap."""
    turn = boxes[k, 4] - yaw
    ct, st = math.cos(turn), math.sin(turn)
    c, s = math.cos(yaw), math.sin(yaw)
    dx, dy = boxes[k, 0] - x, boxes[k, 1] - y
    px, py = c * dx + s * dy, c * dy - s * dx  # the box's centre in the rectangle's frame
    e, f = 0.5 * boxes[k, 2], 0.5 * boxes[k, 3]
    # Separating axes: both rectangles' sides are the only candidates.
    apart = (
        abs(px) > a + e * abs(ct) + f * abs(st)
        or abs(py) > b + e * abs(st) + f * abs(ct)
        or abs(ct * px + st * py) > e + a * abs(ct) + b * abs(st)
        or abs(ct * py - st * px) > f + a * abs(st) + b * abs(ct)
    )
    if not apart:
        return 0.0
    # Two convex shapes that are apart are nearest at a corner of one of them.
    nearest = math.inf
    for i in range(4):
        sx, sy = (1.0 if i < 2 else -1.0), (1.0 if i % 2 == 0 else -1.0)
        cx, cy = px + ct * sx * e - st * sy * f, py + st * sx * e + ct * sy * f
        ox, oy = max(abs(cx) - a, 0.0), max(abs(cy) - b, 0.0)
        nearest = min(nearest, ox * ox + oy * oy)
        rx, ry = sx * a - px, sy * b - py
        qx, qy = ct * rx + st * ry, ct * ry - st * rx
        ox, oy = max(abs(qx) - e, 0.0), max(abs(qy) - f, 0.0)
        nearest = min(nearest, ox * ox + oy * oy)
    return math.sqrt(nearest)


@numba.njit(cache=True)
def footprint_distance(
    x: float,
    y: float,
    yaw: float,
    length: float,
    width: float,
    cylinders: FloatArray,
    boxes: FloatArray,
    within: float = math.inf,
) -> float:
    """Distance in m from a rectangle of length x width centred at (x, y, yaw) to the nearest obstacle.

    0 where it touches or overlaps one, `within` where there is none nearer. A width of 0 makes it a line segment.
    """
    a, b = 0.5 * length, 0.5 * width
    reach = math.hypot(a, b) + 1e-9  # for the rounding of what is only compared
    c, s = math.cos(yaw), math.sin(yaw)
    nearest = within
    for i in range(cylinders.shape[0]):
        dx, dy = cylinders[i, 0] - x, cylinders[i, 1] - y
        far = nearest + cylinders[i, 2] + reach
        if dx * dx + dy * dy > far * far:
            continue
        qx, qy = abs(c * dx + s * dy) - a, abs(c * dy - s * dx) - b
        ox, oy = max(qx, 0.0), max(qy, 0.0)
        d = math.sqrt(ox * ox + oy * oy) - cylinders[i, 2]
        nearest = min(nearest, max(d, 0.0))
    for i in range(boxes.shape[0]):
        dx, dy = boxes[i, 0] - x, boxes[i, 1] - y
        far = nearest + 0.5 * (boxes[i, 2] + boxes[i, 3]) + reach
        if dx * dx + dy * dy <= far * far:
            nearest = min(nearest, _gap_box(x, y, yaw, a, b, boxes, i))
    return nearest


@numba.njit(cache=True, nogil=True, error_model="numpy")
def rough_bearing(dx: float, dy: float) -> float:
    """atan2(dy, dx) within ROUGH, enough to know which beam it is; NaN at (0, 0).

    By a polynomial for atan over 0 .. 1 (Abramowitz and Stegun, 4.4.49), which a loop takes for several at once.
    """
    ax, ay = abs(dx), abs(dy)
    steep = ay > ax
    a = (ax if steep else ay) / (ay if steep else ax)
    s = a * a
    r = 0.0
    for factor in ATAN:
        r = (r + factor) * s
    r = r * a + a
    r = 0.5 * math.pi - r if steep else r
    r = math.pi - r if dx < 0.0 else r
    return -r if dy < 0.0 else r


@numba.njit(cache=True)
def cast_rays(
    x: float, y: float, angles: FloatArray, limit: float, cylinders: FloatArray, boxes: FloatArray
) -> FloatArray:
    """Range in m along each ray from (x, y) at the world angles (n,) to the first obstacle, +inf beyond
    limit.

    A ray that starts inside an obstacle has range 0.
    """
    ranges = np.full(angles.size, math.inf)
    turns = turned(boxes)
    for k in range(angles.size):
        ux, uy = math.cos(angles[k]), math.sin(angles[k])
        best = math.inf
        for i in range(cylinders.shape[0]):
            dx, dy = cylinders[i, 0] - x, cylinders[i, 1] - y
            r = cylinders[i, 2]
            outside = dx * dx + dy * dy - r * r
            if outside <= 0.0:
                best = 0.0
                break
            along = ux * dx + uy * dy
            root = along * along - outside
            if along > 0.0 and root >= 0.0:
                best = min(best, along - math.sqrt(root))
        for i in range(boxes.shape[0]):
            best = min(best, ray_to_box(x, y, ux, uy, boxes, i, turns[i, 0], turns[i, 1]))
        if best <= limit:
            ranges[k] = best
    return ranges


@numba.njit(cache=True)
def turned(boxes: FloatArray) -> FloatArray:
    """Cosine and sine (m, 2) of the boxes' yaws."""
    out = np.empty((boxes.shape[0], 2))
    for i in range(boxes.shape[0]):
        out[i, 0], out[i, 1] = math.cos(boxes[i, 4]), math.sin(boxes[i, 4])
    return out


@numba.njit(cache=True)
def ray_to_box(x: float, y: float, ux: float, uy: float, boxes: FloatArray, i: int, c: float, s: float) -> float:
    """Range in m along a ray from (x, y) in the direction (ux, uy) to a box, +inf where it misses it; c, s: cosine and
    sine of its yaw."""
    dx, dy = x - boxes[i, 0], y - boxes[i, 1]
    near, far = _between(c * dx + s * dy, c * ux + s * uy, 0.5 * boxes[i, 2], 0.0, math.inf)
    near, far = _between(c * dy - s * dx, c * uy - s * ux, 0.5 * boxes[i, 3], near, far)
    return near if near <= far else math.inf


@numba.njit(cache=True, error_model="numpy")
def _between(origin: float, direction: float, half: float, near: float, far: float) -> tuple[float, float]:
    """Of a ray from `near` to `far`, m, the part between two sides of a box across one of its axes; far: -inf if none.

    Without a branch, so that a loop takes several rays at once.
    """
    t1, t2 = (-half - origin) / direction, (half - origin) / direction
    first, last = max(near, min(t1, t2)), min(far, max(t1, t2))
    alongside = abs(direction) < 1e-12
    outside = -math.inf if abs(origin) > half else far
    return (near if alongside else first), (outside if alongside else last)


@numba.njit(cache=True)
def clearance_map(
    x0: float, y0: float, resolution: float, rows: int, columns: int, cylinders: FloatArray, boxes: FloatArray
) -> FloatArray:
    """Clearance of every cell centre, (rows, columns); cell (i, j) lies at (x0 + j·res, y0 + i·res)."""
    out = np.empty((rows, columns))
    to_cylinders, to_boxes = np.empty(cylinders.shape[0]), np.empty(boxes.shape[0])
    across = 2.0 * math.hypot(TILE / 2, TILE / 2) * resolution + 1e-9
    for top in range(0, rows, TILE):
        for left in range(0, columns, TILE):
            # of all, those that may be nearest anywhere in a tile: no farther from its middle than the nearest is, and
            # than the tile is wide
            x, y = x0 + (left + TILE / 2) * resolution, y0 + (top + TILE / 2) * resolution
            nearest = math.inf
            for k in range(cylinders.shape[0]):
                to_cylinders[k] = _to_cylinder(x, y, cylinders, k)
                nearest = min(nearest, to_cylinders[k])
            for k in range(boxes.shape[0]):
                to_boxes[k] = _to_box(x, y, boxes, k)
                nearest = min(nearest, to_boxes[k])
            some_cylinders = cylinders[to_cylinders <= nearest + across]
            some_boxes = boxes[to_boxes <= nearest + across]
            for i in range(top, min(rows, top + TILE)):
                for j in range(left, min(columns, left + TILE)):
                    out[i, j] = clearance(x0 + j * resolution, y0 + i * resolution, some_cylinders, some_boxes)
    return out

"""Distances to a goal over a grid, and the shortest way down them.

Solves the eikonal equation |grad T| = cost by fast marching (Sethian, "A fast marching level set method for
monotonically advancing fronts", PNAS 93, 1996), so distances are not bound to the grid's directions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

TURN = math.pi / 16.0  # rad between the directions that a path chooses from
LOOK = 1.5  # cells to where it looks at the field in each of them
# what that is along columns and rows, (2, 32), and in the ones to its left and right
AHEAD, LEFT, RIGHT = (
    np.array([[LOOK * f(d * TURN + off) for d in range(32)] for f in (math.cos, math.sin)])
    for off in (0.0, TURN, -TURN)
)


@numba.njit(cache=True, nogil=True)
def push(keys: FloatArray, items: NDArray[np.int64], size: int, key: float, item: int) -> int:
    """Puts an item into a heap of `size`; returns how many there are then."""
    i = size
    while i > 0:
        parent = (i - 1) // 2
        if keys[parent] <= key:
            break
        keys[i], items[i] = keys[parent], items[parent]
        i = parent
    keys[i], items[i] = key, item
    return size + 1


@numba.njit(cache=True, nogil=True)
def pop(keys: FloatArray, items: NDArray[np.int64], size: int) -> int:
    """Takes the first of a heap out; returns how many are left."""
    size -= 1
    key, item = keys[size], items[size]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and keys[child + 1] < keys[child]:
            child += 1
        if key <= keys[child]:
            break
        keys[i], items[i] = keys[child], items[child]
        i = child
    keys[i], items[i] = key, item
    return size


@numba.njit(cache=True, nogil=True)
def upwind(field: FloatArray, done: NDArray, p: int, q: int, step: float) -> float:
    """The value of a cell by those of its neighbours that are final; step: its cost times the cells' side."""
    rows, columns = field.shape
    a = math.inf
    if p > 0 and done[p - 1, q]:
        a = field[p - 1, q]
    if p + 1 < rows and done[p + 1, q]:
        a = min(a, field[p + 1, q])
    b = math.inf
    if q > 0 and done[p, q - 1]:
        b = field[p, q - 1]
    if q + 1 < columns and done[p, q + 1]:
        b = min(b, field[p, q + 1])
    if abs(a - b) >= step:
        return min(a, b) + step
    return 0.5 * (a + b + math.sqrt(2.0 * step * step - (a - b) ** 2))


@numba.njit(cache=True, nogil=True)
def march(field: FloatArray, cost: FloatArray, h: float, box: tuple[int, int, int, int]) -> None:
    """Extends the finite values of field to the cells in reach; cost (1 / speed) is inf where blocked.

    box: first row and the one behind the last, likewise columns. It ends once the cells in the box are final; those
    elsewhere may then be too large.
    """
    rows, columns = field.shape
    capacity = 5 * rows * columns
    keys = np.empty(capacity)
    items = np.empty(capacity, np.int64)
    done = np.zeros((rows, columns), np.bool_)
    left = 0
    for i in range(box[0], box[1]):
        for j in range(box[2], box[3]):
            left += cost[i, j] < math.inf
    size = 0
    for i in range(rows):
        for j in range(columns):
            if field[i, j] < math.inf and (
                (i > 0 and cost[i - 1, j] < math.inf)
                or (i + 1 < rows and cost[i + 1, j] < math.inf)
                or (j > 0 and cost[i, j - 1] < math.inf)
                or (j + 1 < columns and cost[i, j + 1] < math.inf)
            ):
                size = push(keys, items, size, field[i, j], i * columns + j)
    while size > 0 and left > 0:
        item = items[0]
        size = pop(keys, items, size)
        i, j = item // columns, item % columns
        if done[i, j]:
            continue
        done[i, j] = True
        left -= box[0] <= i < box[1] and box[2] <= j < box[3] and cost[i, j] < math.inf
        for k in range(4):
            p, q = i, j
            if k == 0:
                p -= 1
            elif k == 1:
                p += 1
            elif k == 2:
                q -= 1
            else:
                q += 1
            if p < 0 or q < 0 or p >= rows or q >= columns or done[p, q] or cost[p, q] == math.inf:
                continue
            value = upwind(field, done, p, q, h * cost[p, q])
            if value < field[p, q]:
                field[p, q] = value
                if size < capacity:
                    size = push(keys, items, size, value, p * columns + q)


@numba.njit(cache=True, nogil=True)
def line_free(free: NDArray, u0: float, v0: float, u1: float, v1: float) -> bool:
    """Whether every cell on the line between two points (in cells: u column, v row) is free."""
    n = int(2.0 * math.hypot(u1 - u0, v1 - v0)) + 1
    for k in range(n + 1):
        j = round(u0 + (u1 - u0) * k / n)
        i = round(v0 + (v1 - v0) * k / n)
        if i < 0 or j < 0 or i >= free.shape[0] or j >= free.shape[1] or not free[i, j]:
            return False
    return True


@numba.njit(cache=True, nogil=True)
def _look_around(field: FloatArray, u: float, v: float, values: FloatArray) -> None:
    """Fill `values`, (32,), with the field LOOK cells from (u, v) in each direction."""
    rows, columns = field.shape
    j, i = math.floor(u) - 2, math.floor(v) - 2  # of 6 x 6 cells, all that is looked at
    inside = i >= 0 and j >= 0 and i + 6 <= rows and j + 6 <= columns
    if inside:
        finite = 0
        for p in range(6):
            for q in range(6):
                finite += field[i + p, j + q] < math.inf
        inside = finite == 36
    if inside:
        _interpolate_all(field, u, v, values)
        return
    for d in range(values.size):
        values[d] = interpolate(field, u + AHEAD[0, d], v + AHEAD[1, d])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _interpolate_all(field: FloatArray, u: float, v: float, values: FloatArray) -> None:
    """`_look_around` where all cells are finite: without a branch, so that a loop takes several directions at once."""
    for d in range(values.size):
        x, y = u + AHEAD[0, d], v + AHEAD[1, d]
        values[d] = _within(field, x, y, math.floor(x), math.floor(y))


@numba.njit(cache=True, nogil=True)
def descend(field: FloatArray, u: float, v: float, length: float) -> FloatArray:
    """Points (k, 2) in cells down the field from (u, v), for `length` cells or to the goal."""
    step = 0.5
    n = int(length / step) + 1
    path, values = np.empty((n + 1, 2)), np.empty(AHEAD.shape[1])
    path[0, 0], path[0, 1] = u, v
    for k in range(n):
        # The lowest of directions around the point: sturdy where a gradient would look into a wall.
        best, lowest = math.inf, 0
        _look_around(field, u, v, values)
        for d in range(values.size):
            if values[d] < best:
                best, lowest = values[d], d
        if best >= interpolate(field, u, v):
            return path[: k + 1]
        angle = lowest * TURN
        left = interpolate(field, u + LEFT[0, lowest], v + LEFT[1, lowest])
        right = interpolate(field, u + RIGHT[0, lowest], v + RIGHT[1, lowest])
        bend = left + right - 2.0 * best
        if 0.0 < bend < math.inf:  # the vertex of the parabola through the three
            angle += 0.5 * TURN * (right - left) / bend
        u, v = u + step * math.cos(angle), v + step * math.sin(angle)
        path[k + 1, 0], path[k + 1, 1] = u, v
    return path


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _within(field: FloatArray, u: float, v: float, j: int, i: int) -> float:
    """Bilinear between cells (i, j) and (i + 1, j + 1), all four of them finite."""
    a, b, c, d = field[i, j], field[i, j + 1], field[i + 1, j], field[i + 1, j + 1]
    p, q = 1.0 - abs(v - i), 1.0 - abs(u - j)
    r, s = 1.0 - abs(v - (i + 1)), 1.0 - abs(u - (j + 1))
    return float((p * q * a + p * s * b + r * q * c + r * s * d) / (p * q + p * s + r * q + r * s))


@numba.njit(cache=True, nogil=True)
def interpolate(field: FloatArray, u: float, v: float) -> float:
    """Bilinear, over the finite corners alone; inf where there is none."""
    j, i = math.floor(u), math.floor(v)
    if 0 <= i < field.shape[0] - 1 and 0 <= j < field.shape[1] - 1:
        a, b, c, d = field[i, j], field[i, j + 1], field[i + 1, j], field[i + 1, j + 1]
        if max(max(a, b), max(c, d)) < math.inf:
            return _within(field, u, v, j, i)
    total, weight = 0.0, 0.0
    for di in range(2):
        for dj in range(2):
            p, q = i + di, j + dj
            if p < 0 or q < 0 or p >= field.shape[0] or q >= field.shape[1] or field[p, q] == math.inf:
                continue
            w = (1.0 - abs(v - p)) * (1.0 - abs(u - q))
            total += w * field[p, q]
            weight += w
    if weight < 1e-6:
        return math.inf
    return total / weight


@dataclass(frozen=True, slots=True, eq=False)
class GeodesicField:
    """Distance to the goal for a disc of robot_radius, on cells of `resolution` metres.

    field: (rows, columns) m, inf where the goal cannot be reached; clear: (rows, columns) m, distance of the
    cell's centre to the nearest obstacle; free: where the disc fits. Cell (i, j) has its centre at
    (x0 + j·resolution, y0 + i·resolution).
    """

    x0: float
    y0: float
    resolution: float
    robot_radius: float
    goal: tuple[float, float]
    field: FloatArray
    clear: NDArray[np.floating]
    free: NDArray[np.bool_]

    def _cell(self, x: float, y: float) -> tuple[float, float]:
        return (x - self.x0) / self.resolution, (y - self.y0) / self.resolution

    def passable(self, x: float, y: float) -> bool:
        """Whether the disc fits here and can reach the goal."""
        u, v = (round(w) for w in self._cell(x, y))
        rows, columns = self.field.shape
        inside = 0 <= u < columns and 0 <= v < rows
        return inside and bool(self.free[v, u] and np.isfinite(self.field[v, u]))

    def distance(self, x: float, y: float) -> float:
        """Metres to drive from (x, y) to the goal; inf where there is no way.

        Within robot_radius of an obstacle it is the way out, counted 5 times, and from there on.
        """
        return float(interpolate(self.field, *self._cell(x, y)))

    def path(self, x: float, y: float, length: float = math.inf) -> FloatArray:
        """The shortest path from (x, y), (k, 2) m, half a cell apart, for `length` metres or to the goal."""
        distance = self.distance(x, y)
        if not math.isfinite(distance):
            return np.array([[x, y]])
        cells = min(length, 1.5 * distance + 2.0 * self.resolution) / self.resolution
        path = descend(self.field, *self._cell(x, y), cells)
        return path * self.resolution + (self.x0, self.y0)

    def heading(self, x: float, y: float, lookahead: float = 1.0) -> float:
        """World yaw in rad that leads from (x, y) along the shortest path; NaN where there is no way.

        It points at the path's point `lookahead` metres ahead, or at the farthest one before it that the disc
        reaches in a straight line.
        """
        path = self.path(x, y, lookahead)
        if len(path) < 2:
            gx, gy = self.goal
            at_goal = math.hypot(gx - x, gy - y) < 2.0 * self.resolution
            return math.atan2(gy - y, gx - x) if at_goal else math.nan
        u, v = self._cell(x, y)
        k = len(path) - 1
        while k > 2 and not line_free(self.free, u, v, *self._cell(*path[k])):
            k -= 1
        return math.atan2(path[k, 1] - y, path[k, 0] - x)

"""The way from the robot to the goal over the room that a grid has: fast marching towards the robot, in parts.

The front begins at the goal, or, where that lies beyond the grid, at the grid's edge: out there nothing is known, so
nothing is in the way. Like A* it goes first where the distance so far and the straight rest are least (the rest counts
BIAS of itself, so that a cell's neighbours nearer to the goal are final before it), and it ends at the robot: what it
costs follows from the way, not from the grid.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.eikonal import FloatArray, GeodesicField, march, pop, push, upwind

Room = NDArray[np.float32]

BIAS = 0.6
BEHIND = 3.0  # cells by which the front goes on beyond the robot
ESCAPE_COST = 5.0  # of a metre where the robot does not fit
ESCAPE = 2.0  # m around the robot in which the way leads out from there
CELLS_AT_ONCE = 60_000  # of the front, between two answers
SLACK = 0.25  # of the room beyond the least, see `farthest_in_sight`
EASY_COST, TIGHT_COST = 3.0, 15.0  # of a metre with room `easy`, and with the least


class Disc(NamedTuple):
    """How much room a way asks for, m from its middle: least: what has to be there; easy: from where on it costs
    EASY_COST a metre, and more below; wide: from where on it costs its length and no more."""

    least: float
    easy: float
    wide: float


class Found(IntEnum):
    """What a front has found so far."""

    NOT_YET = 0
    WAY = 1
    NO_WAY = 2


@numba.njit(cache=True, nogil=True)
def cost_of(clear: float, least: float, easy: float, wide: float) -> float:
    """Of a metre with so much room; inf where there is too little."""
    if clear >= wide:
        return 1.0
    if clear >= easy:
        return 1.0 + (EASY_COST - 1.0) * (wide - clear) / (wide - easy)
    if clear >= least:
        return EASY_COST + (TIGHT_COST - EASY_COST) * (easy - clear) / (easy - least)
    return math.inf


@numba.njit(cache=True, nogil=True)
def _rest(i: int, j: int, row: int, column: int, cell: float) -> float:
    return BIAS * cell * math.hypot(i - row, j - column)


@numba.njit(cache=True, nogil=True)
def begin(
    field: FloatArray,
    keys: FloatArray,
    items: NDArray[np.int64],
    clear: Room,
    frame: tuple[float, float, float],
    goal: tuple[float, float],
    least: float,
    to: tuple[int, int],
) -> int:
    """Set the cells that a front begins at: the goal's, or those of the edges that face it. Returns how many."""
    x0, y0, cell = frame
    rows, columns = clear.shape
    v, u = (goal[1] - y0) / cell - 0.5, (goal[0] - x0) / cell - 0.5
    size = 0
    if -0.5 <= u < columns - 0.5 and -0.5 <= v < rows - 0.5:
        i, j = round(v), round(u)
        field[i, j] = 0.0
        return push(keys, items, size, _rest(i, j, to[0], to[1], cell), i * columns + j)
    for side in range(4):
        row = 0 if side == 0 else rows - 1
        column = 0 if side == 2 else columns - 1
        faces = (
            (side == 0 and v < 0.0)
            or (side == 1 and v > row)
            or (side == 2 and u < 0.0)
            or (side == 3 and u > column)
        )
        if not faces:
            continue
        for k in range(columns if side < 2 else rows):
            i, j = (row, k) if side < 2 else (k, column)
            away = cell * math.hypot(i - v, j - u)
            if clear[i, j] >= least and away < field[i, j]:
                field[i, j] = away
                size = push(keys, items, size, away + _rest(i, j, to[0], to[1], cell), i * columns + j)
    return size


@numba.njit(cache=True, nogil=True)
def spread(
    field: FloatArray,
    done: NDArray[np.bool_],
    keys: FloatArray,
    items: NDArray[np.int64],
    size: int,
    clear: Room,
    cell: float,
    disc: tuple[float, float, float],
    to: tuple[int, int],
    most: int,
) -> tuple[int, int]:
    """Goes on with a front by at most so many cells: how many wait on it then, and what is `Found`."""
    rows, columns = field.shape
    least, easy, wide = disc
    row, column = to
    beyond = BEHIND * cell
    for _ in range(most):
        if size == 0:
            return size, 1 if done[row, column] else 2
        if done[row, column] and keys[0] > field[row, column] + beyond:
            return size, 1
        item = items[0]
        size = pop(keys, items, size)
        i, j = item // columns, item % columns
        if done[i, j]:
            continue
        done[i, j] = True
        for k in range(4):
            p = i - 1 if k == 0 else i + 1 if k == 1 else i
            q = j - 1 if k == 2 else j + 1 if k == 3 else j
            if p < 0 or q < 0 or p >= rows or q >= columns or done[p, q]:
                continue
            cost = cost_of(clear[p, q], least, easy, wide)
            if cost == math.inf:
                continue
            value = upwind(field, done, p, q, cell * cost)
            if value < field[p, q] and size < keys.size:
                field[p, q] = value
                size = push(keys, items, size, value + _rest(p, q, row, column, cell), p * columns + q)
    return size, 0


@numba.njit(cache=True, nogil=True)
def nearest_fit(clear: Room, row: int, column: int, least: float, span: int) -> tuple[int, int]:
    """The cell nearest to one where a disc of `least` m fits, within so many cells; that cell itself where none is."""
    best, found = math.inf, (row, column)
    for i in range(max(0, row - span), min(clear.shape[0], row + span + 1)):
        for j in range(max(0, column - span), min(clear.shape[1], column + span + 1)):
            away = math.hypot(i - row, j - column)
            if clear[i, j] >= least and away < best:
                best, found = away, (i, j)
    return found


@numba.njit(cache=True, nogil=True)
def room_at(clear: NDArray[Any], u: float, v: float) -> float:
    """The room at a point, in cells (u column, v row), bilinear; 0 beyond the grid."""
    j, i = math.floor(u), math.floor(v)
    if i < 0 or j < 0 or i + 1 >= clear.shape[0] or j + 1 >= clear.shape[1]:
        return 0.0
    p, q = u - j, v - i
    return float(
        (1.0 - q) * ((1.0 - p) * clear[i, j] + p * clear[i, j + 1])
        + q * ((1.0 - p) * clear[i + 1, j] + p * clear[i + 1, j + 1])
    )


@numba.njit(cache=True, nogil=True)
def _room_on(clear: NDArray[Any], u0: float, v0: float, u1: float, v1: float) -> float:
    """The least room on the line between two points, in cells; 0 beyond the grid."""
    n = int(2.0 * math.hypot(u1 - u0, v1 - v0)) + 1
    least = math.inf
    for k in range(n + 1):
        least = min(least, room_at(clear, u0 + (u1 - u0) * k / n, v0 + (v1 - v0) * k / n))
    return least


@numba.njit(cache=True, nogil=True)
def farthest_in_sight(path: FloatArray, clear: NDArray[Any], disc: tuple[float, float, float]) -> int:
    """The farthest point of a path (k, 2), in cells, to which the straight line has about as much room as the path.

    disc: a Disc; it may have SLACK of what the path has above the least of it less, and more than `easy` m need not be.
    """
    least, easy, wide = disc
    room, best = math.inf, min(1, path.shape[0] - 1)
    for k in range(1, path.shape[0]):
        room = min(room, room_at(clear, path[k, 0], path[k, 1]))
        enough = min(room, wide)
        enough -= SLACK * min(max(enough - least, 0.0), easy - least)
        if _room_on(clear, path[0, 0], path[0, 1], path[k, 0], path[k, 1]) >= enough:
            best = k
    return best


class Way:
    """A front from a goal towards a robot; x, y, goal: m, in the grid's frame; clear: (rows, columns) m, read as it
    goes on."""

    def __init__(
        self,
        clear: Room,
        frame: tuple[float, float, float],
        goal: tuple[float, float],
        x: float,
        y: float,
        disc: Disc,
    ) -> None:
        self._clear, self._frame, self._goal, self._disc = clear, frame, goal, disc
        x0, y0, self._cell = frame
        rows, columns = clear.shape
        self._at = (
            min(max(math.floor((y - y0) / self._cell), 0), rows - 1),
            min(max(math.floor((x - x0) / self._cell), 0), columns - 1),
        )
        self._span = int(ESCAPE / self._cell)
        self._to = nearest_fit(clear, *self._at, disc.least, self._span)
        self._field = np.full(clear.shape, math.inf)
        self._done = np.zeros(clear.shape, np.bool_)
        self._keys, self._items = np.empty(5 * clear.size), np.empty(5 * clear.size, np.int64)
        self._size = begin(self._field, self._keys, self._items, clear, frame, goal, disc.least, self._to)
        self.found = Found.NOT_YET

    def go_on(self, cells: int = CELLS_AT_ONCE) -> Found:
        """Go on by at most so many cells."""
        if self.found is Found.NOT_YET:
            self._size, found = spread(
                self._field, self._done, self._keys, self._items, self._size, self._clear, self._cell,
                self._disc, self._to, cells,
            )  # fmt: skip
            self.found = Found(found)
            if self.found is Found.WAY and self._to != self._at:
                self._lead_out()
        return self.found

    def _lead_out(self) -> None:
        """From where the robot does not fit the way leads out first."""
        (row, column), span = self._at, self._span
        near = slice(max(0, row - span), row + span + 1), slice(max(0, column - span), column + span + 1)
        clear, field = self._clear[near], np.ascontiguousarray(self._field[near])
        cost = np.where((clear > 0.0) & (clear < self._disc.least), ESCAPE_COST, math.inf)
        march(field, cost, self._cell, (0, field.shape[0], 0, field.shape[1]))
        self._field[near] = field

    def field(self) -> GeodesicField:
        """The distances as far as they are known."""
        x0, y0 = self._frame[0] + 0.5 * self._cell, self._frame[1] + 0.5 * self._cell
        free = self._clear >= self._disc.least
        return GeodesicField(x0, y0, self._cell, self._disc.least, self._goal, self._field, self._clear, free)

"""The way from the robot to the goal over the room that a grid has, sought in parts and kept from one to the next.

The front (`route.front`) begins at the goal, or, where that lies beyond the grid, at the grid's edge: out there nothing
is known, so nothing is in the way. It ends at the robot: what it costs follows from the way, not from the grid, and as
the robot drives and sees, from what it sees.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.eikonal import FloatArray, GeodesicField, march
from hybrid_control.navigation.route import front as f
from hybrid_control.navigation.route.front import BEHIND, BIAS, Disc, Front, Index
from hybrid_control.navigation.route.room import Room

ESCAPE_COST = 5.0  # of a metre where the robot does not fit
ESCAPE = 2.0  # m around the robot in which the way leads out from there
CELLS_AT_ONCE = 120_000  # that a search forgets, begins at anew or reaches between two answers
FIRST_TOUCH = 10  # cells that one at which a front begins counts as: much memory is touched there for the first time
BESIDE = 0.5  # m from a goal on which something stands, within which a way to it may end
SLACK = 0.25  # of the room beyond the least, see `farthest_in_sight`


class Found(IntEnum):
    """What a front has found so far."""

    NOT_YET = 0
    WAY = 1
    NO_WAY = 2


@numba.njit(cache=True, nogil=True)
def nearest_fit(clear: Room, row: int, column: int, least: float, span: int) -> tuple[int, int]:
    """The cell nearest to one where a disc of `least` m fits, within so many cells; that cell itself where none is."""
    best, found = math.inf, (row, column)
    if clear[row, column] >= least:
        return found
    for i in range(max(0, row - span), min(clear.shape[0], row + span + 1)):
        for j in range(max(0, column - span), min(clear.shape[1], column + span + 1)):
            away = math.hypot(i - row, j - column)
            if clear[i, j] >= least and away < best:
                best, found = away, (i, j)
    return found


def aim(
    clear: Room, frame: tuple[float, float, float], least: float, goal: tuple[float, float], before: tuple[float, float]
) -> tuple[float, float]:
    """Where a way to a goal is to lead, m: to the goal; or, where a disc of `least` m does not fit there, to where it
    led before; or to the nearest place within BESIDE m where it does. The goal again where there is none."""
    x0, y0, cell = frame
    rows, columns = clear.shape
    row, column = math.floor((goal[1] - y0) / cell), math.floor((goal[0] - x0) / cell)
    if not (0 <= row < rows and 0 <= column < columns) or clear[row, column] >= least:
        return goal
    i, j = math.floor((before[1] - y0) / cell), math.floor((before[0] - x0) / cell)
    if 0 <= i < rows and 0 <= j < columns and clear[i, j] >= least:
        return before
    i, j = nearest_fit(clear, row, column, least, int(BESIDE / cell))
    return goal if (i, j) == (row, column) else (x0 + (j + 0.5) * cell, y0 + (i + 0.5) * cell)


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
def room_on(clear: NDArray[Any], u0: float, v0: float, u1: float, v1: float) -> float:
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
        if room_on(clear, path[0, 0], path[0, 1], path[k, 0], path[k, 1]) >= enough:
            best = k
    return best


@numba.njit(cache=True, nogil=True)
def point_ahead(
    path: FloatArray, clear: NDArray[Any], disc: tuple[float, float, float], nearest: float
) -> tuple[float, float]:
    """The point to drive to of a path (k, 2), in cells, from its first: the farthest in sight, or where it is `nearest`
    cells away if that is farther, for a robot in a narrow place sees no farther; a shorter path's end is pushed on."""
    k = path.shape[0] - 1
    for m in range(path.shape[0]):
        if math.hypot(path[m, 0] - path[0, 0], path[m, 1] - path[0, 1]) >= nearest:
            k = m
            break
    k = max(k, farthest_in_sight(path, clear, disc))
    du, dv = path[k, 0] - path[0, 0], path[k, 1] - path[0, 1]
    away = math.hypot(du, dv)
    longer = nearest / away if 0.0 < away < nearest else 1.0
    return path[0, 0] + longer * du, path[0, 1] + longer * dv


class Way:
    """A front from a goal towards a robot; goal: m, in the grid's frame; clear: (rows, columns) m, the room of each
    cell, read as it goes on; field: memory for its values, as much."""

    def __init__(
        self,
        clear: Room,
        frame: tuple[float, float, float],
        goal: tuple[float, float],
        disc: Disc,
        field: FloatArray | None = None,
    ) -> None:
        field = np.empty(clear.shape) if field is None else field
        reached = np.zeros(clear.shape, np.uint8)
        self._front = Front(field, np.zeros(clear.shape, np.bool_), reached, clear, frame, goal, disc)
        self._keys, self._items, self._size = np.empty(0), np.empty(0, np.int64), 0
        self._lost, self._until = np.empty(0, np.int64), np.empty(0)
        self._losses = self._followed = self._begun = 0  # of the lost cells: all, and those done with
        self._at = self._to = self._ordered_for = (0, 0)
        self._edge = 0  # the cell of the grid's edges that the front is to begin at next
        self.found: Found | None = None  # None before it has begun
        self.touched = 0  # cells that the last call of `go_on` had to do with

    @property
    def clear(self) -> Room:
        """The room that it goes by."""
        return self._front.clear

    @property
    def goal(self) -> tuple[float, float]:
        """Where it leads to, m."""
        return self._front.goal

    @property
    def _span(self) -> int:
        """Cells around the robot in which the way leads out."""
        return int(ESCAPE / self._front.frame[2])

    def touch(self, where: Index, was: Room) -> None:
        """The room of these cells, row · columns + column, is another one than it was, m."""
        self._make_room_for(where.size)
        self._losses = f.touch(self._front, where, was, self._lost, self._until, self._losses)

    def go_on(self, x: float, y: float, cells: int = CELLS_AT_ONCE) -> Found:
        """Go on towards a robot at (x, y), m in the grid's frame, by at most so many cells."""
        self._look_at(x, y)
        self.touched = 0
        if self.found in (None, Found.NOT_YET) or self._losses or not self._settled():
            self.found = self._search(cells)
        return self.found

    def _look_at(self, x: float, y: float) -> None:
        (x0, y0, cell), (rows, columns) = self._front.frame, self.clear.shape
        row, column = math.floor((y - y0) / cell), math.floor((x - x0) / cell)
        self._at = min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)
        self._to = nearest_fit(self.clear, *self._at, self._front.disc.least, self._span)

    def _settled(self) -> bool:
        """Whether what was found holds for where the robot is now."""
        arrived = bool(self._front.done[self._to])
        if not self._size:
            return self.found is (Found.WAY if arrived else Found.NO_WAY)
        cell = self._front.frame[2]
        moved = BIAS * cell * math.dist(self._to, self._ordered_for)
        enough = self._front.field[self._to] + BEHIND * cell
        return arrived and bool(self._keys[0] - moved > enough)

    def _search(self, cells: int) -> Found:
        if self._edge < 2 * sum(self.clear.shape):
            before = self._size
            if self._edge == 0:
                self._ordered_for = self._to
            most = cells // FIRST_TOUCH
            self._grow_heap(most)
            self._size, self._edge = f.begin(
                self._front, self._keys, self._items, self._size, self._ordered_for, self._edge, most
            )
            cells -= FIRST_TOUCH * (self._size - before)
            if self._edge < 2 * sum(self.clear.shape):
                return Found.NOT_YET
        self._make_room_for(4 * cells)
        before = self._followed
        self._followed, self._losses = f.forget(
            self._front, self._lost, self._until, before, self._losses, cells
        )
        self.touched = self._followed - before
        if self._followed < self._losses:
            return Found.NOT_YET
        self._size = f.sort_out(
            self._front, self._keys, self._items, self._size, self._ordered_for, self._to
        )
        self._ordered_for = self._to
        self._seed(cells - self.touched)
        if self._losses:
            return Found.NOT_YET
        self._grow_heap(4 * cells)
        self._size, found, made = f.spread(
            self._front, self._keys, self._items, self._size, self._to, cells - self.touched
        )
        self.touched += made
        return Found(found)

    def _seed(self, cells: int) -> None:
        """Begin anew at what is left around the lost cells, at most so many of them."""
        until = min(self._losses, self._begun + cells)
        self._grow_heap(until - self._begun)
        self._size = f.seed(
            self._front, self._keys, self._items, self._size, self._to, self._lost, self._begun, until
        )
        self.touched += until - self._begun
        self._begun = until
        if until == self._losses:
            self._losses = self._followed = self._begun = 0

    def _grow_heap(self, more: int) -> None:
        self._keys, self._items = _longer(self._size + more, self._size, self._keys, self._items)

    def _make_room_for(self, losses: int) -> None:
        self._lost, self._until = _longer(self._losses + losses, self._losses, self._lost, self._until)

    def field(self, reach: float = math.inf) -> GeodesicField:
        """The distances as far as they are known, a copy, within so many m of the robot along either axis.

        From where the robot does not fit the way leads out first.
        """
        (x0, y0, cell), (rows, columns) = self._front.frame, self.clear.shape
        (row, column), span = self._at, int(min(reach / cell, rows + columns))
        top, left = max(0, row - span), max(0, column - span)
        near = slice(top, row + span + 1), slice(left, column + span + 1)
        field = np.where(self._front.reached[near], self._front.field[near], math.inf)
        clear = self.clear[near].copy()
        if self._to != self._at:
            self._lead_out(field, clear, row - top, column - left)
        least = self._front.disc.least
        corner = x0 + (left + 0.5) * cell, y0 + (top + 0.5) * cell
        return GeodesicField(*corner, cell, least, self._front.goal, field, clear, clear >= least)

    def _lead_out(self, field: FloatArray, clear: Room, row: int, column: int) -> None:
        span, least = self._span, self._front.disc.least
        near = slice(max(0, row - span), row + span + 1), slice(max(0, column - span), column + span + 1)
        cost = np.where((clear[near] > 0.0) & (clear[near] < least), ESCAPE_COST, math.inf)
        out = np.ascontiguousarray(field[near])
        march(out, cost, self._front.frame[2], (0, out.shape[0], 0, out.shape[1]))
        field[near] = out


def _longer(size: int, used: int, *arrays: NDArray[Any]) -> list[NDArray[Any]]:
    """The arrays (n,) with room for `size` values, the first `used` of which are kept."""
    if size <= arrays[0].size:
        return list(arrays)
    longer = [np.empty(max(size, 2 * arrays[0].size), a.dtype) for a in arrays]
    for new, old in zip(longer, arrays, strict=True):
        new[:used] = old[:used]
    return longer

"""What the lidar has seen, cell by cell: occupied or not, where its surfaces lie, and how much room there is.

The grid begins where the robot is and grows with what is seen; where nothing has been seen, in it or beyond its edge,
counts as free. What is empty costs next to nothing.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.shapes import ROUGH, FloatArray, rough_bearing
from hybrid_control.navigation.route.cells import BLOCK, CAME, HIT, MOST, SIDE, SURE, Cells, place
from hybrid_control.navigation.route.growth import Growth
from hybrid_control.navigation.route.room import Room, Towards, renew

Index = NDArray[np.int64]

HIT_NOW = 64  # added to the count of a cell while the scan that hit it is entered
BARRED = 127  # count of a cell that no scan changes
CHUNK = 4.0  # m by which it grows at least
NEIGHBOURS = 0.1  # rad between two rays, at most, that nothing is taken to stand between
EARLIER = 0.5  # s between two scans that are kept to tell what has come since
SOON = 2.0  # m from the edge, beside what is seen, in which it grows little by little
FARTHEST = 100.0  # m from the robot beyond which a grid that grows forgets


@numba.njit(cache=True, nogil=True)
def reach(
    x: float, y: float, ranges: FloatArray, directions: FloatArray, range_min: float, limit: float
) -> tuple[float, float, float, float]:
    """The least and greatest x, then y, in m, of a place and the readings from there."""
    left, right, low, high = x, x, y, y
    for k in range(ranges.size):
        if range_min <= ranges[k] <= limit:
            u, v = x + ranges[k] * directions[k, 0], y + ranges[k] * directions[k, 1]
            left, right, low, high = min(left, u), max(right, u), min(low, v), max(high, v)
    return left, right, low, high


class Rays(NamedTuple):
    """A scan on the grid, all in cells: where it was taken, its readings (n,), inf for none, their directions (n, 2) of
    length 1, the angle of the first and that between two in rad, and what readings count from and to."""

    u: float
    v: float
    ranges: FloatArray
    directions: FloatArray
    begin: float
    step: float
    least: float
    most: float


@numba.njit(cache=True, nogil=True)
def _mark(cells: Cells, used: Index, rays: Rays) -> tuple[Index, Index]:
    """Adds HIT_NOW to the cells that a scan hit. Returns their places, and row · columns + column."""
    rows, columns = cells.table.shape[0] * SIDE, cells.table.shape[1] * SIDE
    places, where, n = np.empty(rays.ranges.size, np.int64), np.empty(rays.ranges.size, np.int64), 0
    for k in range(rays.ranges.size):
        if not rays.least <= rays.ranges[k] <= rays.most:
            continue
        j = math.floor(rays.u + rays.ranges[k] * rays.directions[k, 0])
        i = math.floor(rays.v + rays.ranges[k] * rays.directions[k, 1])
        if not (0 <= i < rows and 0 <= j < columns):
            continue
        if cells.table[i >> 3, j >> 3] == 0:
            cells.table[i >> 3, j >> 3] = used[0]
            used[0] += 1
        at = place(cells.table, i, j)
        if cells.counts[at] < HIT_NOW:
            cells.counts[at] += HIT_NOW
            places[n], where[n], n = at, i * columns + j, n + 1
    return places[:n], where[:n]


@numba.njit(cache=True, nogil=True)
def _through(rays: Rays, i: int, j: int, first: int, last: int) -> int:
    """How many of the rays from the first to the last pass through a cell before they end."""
    dx, dy, count = j + 0.5 - rays.u, i + 0.5 - rays.v, 0
    for k in range(first, last + 1):
        if rays.ranges[k] < rays.least:
            continue
        c, s = rays.directions[k, 0], rays.directions[k, 1]
        along, steps = c * dx + s * dy, int(min(rays.ranges[k], rays.most))
        for m in range(max(0, math.ceil(along - 0.71)), min(steps - 1, math.floor(along + 0.71)) + 1):
            if math.floor(rays.u + m * c) == j and math.floor(rays.v + m * s) == i:
                count += 1
                break
    return count


@numba.njit(cache=True, nogil=True)
def passing(rays: Rays, i: int, j: int) -> int:
    """How many rays pass through a cell before they end; a ray is where it has a point in every cell's length."""
    dx, dy = j + 0.5 - rays.u, i + 0.5 - rays.v
    away = math.sqrt(dx * dx + dy * dy)
    if away > rays.most + 1.0:
        return 0
    if away <= 1.5:
        return _through(rays, i, j, 0, rays.ranges.size - 1)
    ratio, per_step = 0.75 / away, 1.0 / rays.step  # half a cell's diagonal is 0.71
    half = (ratio * (1.0 + 0.571 * ratio * ratio) + ROUGH) * abs(per_step)  # never less than the arc sine
    middle, turn = (rough_bearing(dx, dy) - rays.begin) * per_step, math.tau * abs(per_step)
    middle -= math.floor(middle / turn) * turn
    count, beside = 0, _passed_beside(rays, middle, turn, away)
    for _ in range(3):  # the same bearing a turn earlier, too, and one later
        first, last = math.ceil(middle - half), math.floor(middle + half)
        count += _through(rays, i, j, max(first, 0), min(last, rays.ranges.size - 1))
        middle = middle - turn if middle >= 0.0 else middle + 2.0 * turn
    return max(count, beside)


@numba.njit(cache=True, nogil=True)
def _passed_beside(rays: Rays, middle: float, turn: float, away: float) -> int:
    """Whether the rays to either side of a cell go on beyond it: far away cells lie between two that neither passes.

    middle: the cell's bearing, in rays from the first, turn: rays in a turn; away: how far the cell is.
    """
    n, before = rays.ranges.size, int(middle)
    behind = before + 1 if before + 1 < n or turn - n > 0.5 else 0
    if not (before < n and behind < n) or abs(rays.step) > NEIGHBOURS:
        return 0
    nearest = min(rays.ranges[before], rays.ranges[behind], rays.most)
    return int(nearest > away + 1.5 and min(rays.ranges[before], rays.ranges[behind]) >= rays.least)


@numba.njit(cache=True, nogil=True)
def _clear(cells: Cells, rays: Rays) -> Index:
    """Takes from the cells that were not hit now what rays passed through them. Returns those that became free."""
    table, counts, surfaces = cells
    rows, columns = table.shape
    freed, n, span = np.empty(64, np.int64), 0, int(rays.most / SIDE) + 2
    row, column = math.floor(rays.v / SIDE), math.floor(rays.u / SIDE)
    for p in range(max(0, row - span), min(rows, row + span + 1)):
        for q in range(max(0, column - span), min(columns, column + span + 1)):
            if table[p, q] == 0:
                continue
            for m in range(BLOCK):
                at = table[p, q] * BLOCK + m
                before = counts[at]
                if not 0 < before < HIT_NOW:
                    continue
                i, j = p * SIDE + m // SIDE, q * SIDE + m % SIDE
                after = max(0, before - passing(rays, i, j))
                counts[at] = after
                if after == 0:
                    surfaces[at, :] = 0.0
                if before >= SURE > after:
                    if n == freed.size:
                        freed = np.append(freed, freed)
                    freed[n], n = i * columns * SIDE + j, n + 1
    return freed[:n]


@numba.njit(cache=True, nogil=True)
def see(cells: Cells, used: Index, rays: Rays, earlier: Rays) -> Index:
    """Enters one scan: rays clear the cells that they pass by 1, their ends add HIT.

    cells: with as many blocks to spare as there are readings; used: (1,) how many are in use; earlier: another scan,
    which tells of what is hit now whether it has come to where there was nothing. A cell that this scan hit is not
    cleared by it. Returns the cells, row · columns + column, that became occupied or free.
    """
    columns = cells.table.shape[1] * SIDE
    places, where = _mark(cells, used, rays)
    freed, n = _clear(cells, rays), 0
    for k in range(places.size):
        at = places[k]
        cells.counts[at] -= HIT_NOW
        if cells.counts[at] == 0 and passing(earlier, where[k] // columns, where[k] % columns) > 0:
            cells.surfaces[at, 5] = CAME
        if cells.counts[at] < SURE:
            where[n], n = where[k], n + 1
        cells.counts[at] = min(cells.counts[at] + HIT, MOST)
    return np.concatenate((freed, where[:n]))


class Grid:
    """Cells of `cell` m, each with a count of readings, a surface and its room up to `limit` m.

    x0, y0: m, the corner of the first cell.
    """

    def __init__(self, x: float, y: float, cell: float, limit: float) -> None:
        self.cell, self._limit = cell, limit
        self._margin = (
            limit + 3 * cell
        )  # around all that is seen, so that there is room to pass outside of it
        side = 2 * math.ceil(CHUNK / cell / SIDE)
        self.x0, self.y0 = x - 0.5 * side * SIDE * cell, y - 0.5 * side * SIDE * cell
        self._begin((side, side))

    def _begin(self, blocks: tuple[int, int]) -> None:
        counts, surfaces = np.zeros(64 * BLOCK, np.int8), np.zeros((64 * BLOCK, 6), np.float32)
        self.cells = Cells(np.zeros(blocks, np.int32), counts, surfaces)
        self._used = np.ones(1, np.int64)  # of the blocks
        self._barred: list[tuple[float, float]] = []  # m
        self._earlier: list[tuple[float, float, float, Rays]] = []  # two scans: s, m, m
        self._make_room(np.full(self.shape, self._limit, np.float32), np.zeros(self.shape, np.uint16))

    def _make_room(self, clear: Room, towards: Towards) -> None:
        self._clear, self._towards = clear, towards
        self._growth: Growth | None = None
        self._field: FloatArray | None = None
        self._changed: list[Index] = []
        self._was: list[tuple[Index, Room]] = []

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.cells.table.shape
        return rows * SIDE, columns * SIDE

    @property
    def frame(self) -> tuple[float, float, float]:
        """x and y of the first cell's corner, and the cells' side, m."""
        return self.x0, self.y0, self.cell

    def counts(self) -> NDArray[np.int8]:
        """How often each cell was hit of late, (rows, columns); occupied from SURE on."""
        return self.cells.counts.reshape(-1, SIDE, SIDE)[self.cells.table].swapaxes(1, 2).reshape(self.shape)

    def enter(
        self, x: float, y: float, ranges: FloatArray, begin: float, step: float, range_min: float, limit: float,
        time: float = 0.0,
    ) -> None:  # fmt: skip
        """Enter a scan taken at (x, y) and a time in s, as `see`, after the grid has grown to hold it.

        ranges: (n,) m, inf for none; begin, step: the first one's angle in the grid's frame and that between two, rad;
        range_min, limit: m, from and to where they count.
        """
        angles = begin + step * np.arange(ranges.size)
        directions = np.column_stack((np.cos(angles), np.sin(angles)))
        left, right, low, high = reach(x, y, ranges, directions, range_min, limit)
        self._hold((x, y), (left, low), (right, high), limit)
        self._spare(ranges.size)
        u, v, cell = (x - self.x0) / self.cell, (y - self.y0) / self.cell, self.cell
        rays = Rays(u, v, ranges / cell, directions, begin, step, range_min / cell, limit / cell)
        _, x_then, y_then, then = self._earlier[0] if self._earlier else (time, x, y, rays._replace(ranges=ranges[:0]))
        then = then._replace(u=(x_then - self.x0) / cell, v=(y_then - self.y0) / cell)
        self.touch(see(self.cells, self._used, rays, then))
        if not self._earlier or time - self._earlier[-1][0] >= EARLIER:
            self._earlier = [*self._earlier[-1:], (time, x, y, rays)]

    def touch(self, cells: Index) -> None:
        """Measure the room around these cells, row · columns + column, anew before it is asked for."""
        if cells.size:
            self._changed.append(cells)

    def bar(self, x: float, y: float) -> None:
        """Take the cell at a place, m, for occupied, whatever scans say, until `unbar` or `forget`."""
        self._barred.append((x, y))
        self._count(x, y, BARRED)

    def unbar(self) -> bool:
        """Open all that was barred; whether anything was."""
        barred, self._barred = self._barred, []
        for x, y in barred:
            self._count(x, y, 0)
        return bool(barred)

    def _count(self, x: float, y: float, count: int) -> None:
        """Set the count of the cell at a place, m, in the grid or not."""
        i, j = math.floor((y - self.y0) / self.cell), math.floor((x - self.x0) / self.cell)
        rows, columns = self.shape
        if not (0 <= i < rows and 0 <= j < columns):
            return
        self._spare(1)
        table, counts, surfaces = self.cells
        if table[i // SIDE, j // SIDE] == 0:
            table[i // SIDE, j // SIDE] = self._used[0]
            self._used += 1
        at = place(table, i, j)
        counts[at], surfaces[at] = count, 0.0
        self.touch(np.array([i * columns + j]))

    def clear(self) -> Room:
        """The room of each cell, (rows, columns) m: from its middle to what is nearest, at most the limit.

        The same array, brought up to date, until the grid has grown or forgotten.
        """
        if self._changed:
            changed = np.unique(np.concatenate(self._changed))
            self._changed = []
            was = renew(self.cells, self._clear, self._towards, self.cell, self._limit, changed)
            self._was.append(was)
            if self._growth is not None:
                self._growth.follow(was[0])
        return self._clear

    def changes(self) -> tuple[Index, Room]:
        """The cells whose room is another one since this was called last, some more than once, and what it was."""
        was, self._was = self._was, []
        if not was:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        return np.concatenate([w for w, _ in was]), np.concatenate([b for _, b in was])

    def take_field(self) -> FloatArray:
        """Memory for the values of a front over the grid, (rows, columns), to be used by one alone."""
        field, self._field = self._field, None
        return np.empty(self.shape) if field is None else field

    def forget(self) -> None:
        """Nothing has been seen."""
        rows, columns = self.cells.table.shape
        self._begin((rows, columns))

    def _spare(self, blocks: int) -> None:
        """Let there be so many blocks that are not in use."""
        table, counts, surfaces = self.cells
        if self._used[0] + blocks > counts.size // BLOCK:
            more = max(counts.size, blocks * BLOCK)
            counts = np.concatenate((counts, np.zeros(more, np.int8)))
            surfaces = np.concatenate((surfaces, np.zeros((more, 6), np.float32)))
            self.cells = Cells(table, counts, surfaces)

    def _hold(self, at: tuple[float, float], low: tuple[float, float], high: tuple[float, float], sight: float) -> None:
        """Grow so that the corners, and a margin, lie within; what then is FARTHEST from the robot is forgotten.

        What it will grow to is made little by little, from SOON m on before what is `sight` m from the robot may lie
        beyond the edge, so that no call has much of it to do.
        """
        while any(lacking := self._lacking(at, low, high)):
            if self._growth is None or not self._growth.serves(lacking):
                self._growth = Growth(lacking, self.clear(), self._towards, self._limit)
            self._growth.fill(1.0)
            self._move_over(self._growth)
        soon = self._lacking(at, *_around(at, sight + SOON))
        left = self._inside(at) - sight - self._margin
        if any(soon) and (self._growth is None or not self._growth.serves(soon)):
            by = self._lacking(at, *_around(at, sight + 2.0 * SOON))  # what another side will lack by then, too
            self._growth = Growth(by, self.clear(), self._towards, self._limit, max(left, 0.0))
        if self._growth is not None:
            self._growth.fill_until(left)

    def _inside(self, at: tuple[float, float]) -> float:
        """m from a place to the nearest edge."""
        rows, columns = self.shape
        x, y = at[0] - self.x0, at[1] - self.y0
        return min(x, y, columns * self.cell - x, rows * self.cell - y)

    def _move_over(self, growth: Growth) -> None:
        """Let what has grown take the place of what was."""
        self.clear()
        (top, bottom, left, right), table = growth.by, self.cells.table
        rows, columns = table.shape
        grown = np.zeros((rows + top + bottom, columns + left + right), np.int32)
        to = slice(max(top, 0), rows + top + min(bottom, 0)), slice(max(left, 0), columns + left + min(right, 0))
        grown[to] = table[max(-top, 0) : rows + min(bottom, 0), max(-left, 0) : columns + min(right, 0)]
        self.cells = self.cells._replace(table=grown)
        self._make_room(growth.room, growth.towards)
        self._field = growth.field
        self.x0, self.y0 = self.x0 - left * SIDE * self.cell, self.y0 - top * SIDE * self.cell
        if min(growth.by) < 0:
            self._drop()

    def _drop(self) -> None:
        """Keep the blocks alone that the table has."""
        table, counts, surfaces = self.cells
        kept = table[table > 0]
        self._used[0] = kept.size + 1
        for of, width in ((counts, BLOCK), (surfaces, 6 * BLOCK)):
            blocks = of.reshape(-1, width)
            blocks[1 : kept.size + 1] = blocks[kept]
            blocks[kept.size + 1 :] = 0
        table[table > 0] = np.arange(1, kept.size + 1)

    def _lacking(
        self, at: tuple[float, float], low: tuple[float, float], high: tuple[float, float]
    ) -> tuple[int, int, int, int]:
        """Blocks to add at the top, bottom, left and right, as `_missing`."""
        rows, columns = self.cells.table.shape
        upright = self._missing(at[1], low[1], high[1], self.y0, rows)
        return *upright, *self._missing(at[0], low[0], high[0], self.x0, columns)

    def _missing(self, at: float, low: float, high: float, origin: float, count: int) -> tuple[int, int]:
        """Blocks to add before and behind the `count` of an axis, for all from low to high m and a margin; fewer than
        0: to drop, where others are added."""
        side = SIDE * self.cell
        before = math.ceil((origin - low + self._margin) / side)
        behind = math.ceil((high + self._margin - origin) / side) - count
        if before <= 0 and behind <= 0:
            return 0, 0
        step = max(math.ceil(CHUNK / side), count // 4)
        far, here = int(FARTHEST / side), math.floor((at - origin) / side)
        before = min(max(before, step) if before > 0 else 0, far - here)
        behind = min(max(behind, step) if behind > 0 else 0, far + here - count)
        return before, behind


def _around(at: tuple[float, float], away: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """The corners of the square around a place, so many m to every side."""
    return (at[0] - away, at[1] - away), (at[0] + away, at[1] + away)

"""What the lidar has seen, cell by cell: occupied or not, where its surfaces lie, and how much room there is.

The grid begins where the robot is and grows with what is seen; where nothing has been seen, in it or beyond its edge,
counts as free.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Counts = NDArray[np.int16]
Surfaces = NDArray[np.float32]
Box = tuple[int, int, int, int]  # first row and the one behind the last, likewise columns

HIT, SURE, MOST = 3, 3, 9  # what a reading adds, from where on a cell is taken for occupied, and the most
FREE = -3  # of a cell that has surely been free
TAKEN = -1.0  # in place of the time of the first reading: where it had been free something has come
CHUNK = 4.0  # m by which it grows at least
FARTHEST = 100.0  # m from the robot beyond which a grid that grows forgets
NEIGHBOURS = 0.1  # rad, between two beams that nothing is taken to stand between, at most
NOWHERE: Box = (0, 0, 0, 0)


@numba.njit(cache=True, nogil=True)
def see(
    counts: Counts,
    surfaces: Surfaces,
    frame: tuple[float, float, float],
    x: float,
    y: float,
    ranges: FloatArray,
    angles: FloatArray,
    range_min: float,
    limit: float,
) -> Box:
    """Enters one scan, taken at (x, y): rays clear cells by 1, down to FREE, their ends add HIT to 0 or more.

    counts: (rows, columns); frame: x and y of the first cell's corner and the cells' side, m; angles: (n,) rad in the
    grid's frame; ranges: (n,) m, inf for none. A cell that this scan hit is not cleared by it. Returns the cells within
    which some became occupied or free.
    """
    x0, y0, cell = frame
    rows, columns = counts.shape
    span = int(limit / cell) + 2
    row, column = math.floor((y - y0) / cell), math.floor((x - x0) / cell)
    hit = np.zeros((2 * span + 1, 2 * span + 1), np.bool_)
    top, bottom, left, right = rows, 0, columns, 0
    for k in range(ranges.size):
        if range_min <= ranges[k] <= limit:
            j = math.floor((x + ranges[k] * math.cos(angles[k]) - x0) / cell)
            i = math.floor((y + ranges[k] * math.sin(angles[k]) - y0) / cell)
            if 0 <= i < rows and 0 <= j < columns:
                hit[i - row + span, j - column + span] = True
    for k in range(ranges.size):
        if ranges[k] < range_min:
            continue
        following = (k + 1) % ranges.size
        apart = abs(angles[following] - angles[k])
        reach = min(ranges[k], limit)
        between = 0
        if cell < reach * apart and apart < NEIGHBOURS and ranges[following] >= range_min:
            between = int(min(reach, ranges[following]) * apart / cell)
        for q in range(between + 1):  # rays between two beams, where cells lie that neither passes
            angle = angles[k] + q / (between + 1) * (angles[following] - angles[k])
            c, s = math.cos(angle), math.sin(angle)
            first = int(1.0 / apart) if q > 0 else 0
            last_i, last_j = -1, -1
            for m in range(first, int(min(reach, ranges[following]) / cell) - 1 if q > 0 else int(reach / cell)):
                j = math.floor((x + m * cell * c - x0) / cell)
                i = math.floor((y + m * cell * s - y0) / cell)
                if not (0 <= i < rows and 0 <= j < columns):
                    break
                if (
                    (i != last_i or j != last_j)
                    and counts[i, j] > (FREE if q == 0 else 0)  # between beams something thin may stand
                    and not hit[i - row + span, j - column + span]
                ):
                    counts[i, j] -= 1
                    if counts[i, j] == SURE - 1:
                        top, bottom = min(top, i), max(bottom, i + 1)
                        left, right = min(left, j), max(right, j + 1)
                    if counts[i, j] == 0:
                        surfaces[i, j, :] = 0.0
                last_i, last_j = i, j
    for i in range(max(0, row - span), min(rows, row + span + 1)):
        for j in range(max(0, column - span), min(columns, column + span + 1)):
            if hit[i - row + span, j - column + span]:
                if counts[i, j] < SURE:
                    top, bottom = min(top, i), max(bottom, i + 1)
                    left, right = min(left, j), max(right, j + 1)
                if counts[i, j] == FREE:
                    surfaces[i, j, 5] = TAKEN
                counts[i, j] = min(max(counts[i, j], 0) + HIT, MOST)
    return top, bottom, left, right


@numba.njit(cache=True, nogil=True)
def measure(clear: Surfaces, counts: Counts, surfaces: Surfaces, cell: float, limit: float, box: Box) -> None:
    """Set `clear` anew in a box: the distance in m of each cell's middle to what is nearest, at most `limit`.

    An occupied cell stands for the mean of the readings in it, or for its middle where that is not known; its own
    distance is 0.
    """
    rows, columns = counts.shape
    span = int(limit / cell) + 1
    for p in range(box[0], box[1]):
        for q in range(box[2], box[3]):
            clear[p, q] = limit
    for i in range(max(0, box[0] - span), min(rows, box[1] + span)):
        for j in range(max(0, box[2] - span), min(columns, box[3] + span)):
            if counts[i, j] < SURE:
                continue
            u, v = 0.5 * cell, 0.5 * cell
            if surfaces[i, j, 0] > 0.0:
                u, v = surfaces[i, j, 1] / surfaces[i, j, 0], surfaces[i, j, 2] / surfaces[i, j, 0]
            for p in range(max(box[0], i - span), min(box[1], i + span + 1)):
                dv = (p - i + 0.5) * cell - v
                for q in range(max(box[2], j - span), min(box[3], j + span + 1)):
                    du = (q - j + 0.5) * cell - u
                    near = math.sqrt(du * du + dv * dv)
                    if p == i and q == j:
                        near = 0.0
                    clear[p, q] = min(clear[p, q], near)


def joined(a: Box, b: Box) -> Box:
    """The least box around two; one without cells counts for nothing."""
    if a[0] >= a[1]:
        return b
    if b[0] >= b[1]:
        return a
    return min(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), max(a[3], b[3])


class Grid:
    """Cells of `cell` m, each with a count of readings, a surface and its room up to `limit` m.

    counts: (rows, columns), occupied from SURE on, below 0 where it was seen to be free. surfaces: (rows, columns, 6), of a cell the number of readings, the
    sums of their x and y from its corner in m, the sum of their normals, and the time in s of the first. x0, y0: m, the
    corner of the first cell.
    """

    def __init__(self, x: float, y: float, cell: float, limit: float) -> None:
        self.cell, self._limit = cell, limit
        self._margin = (
            limit + 3 * cell
        )  # around all that is seen, so that there is room to pass outside of it
        side = 2 * math.ceil(CHUNK / cell)
        self.x0, self.y0 = x - 0.5 * side * cell, y - 0.5 * side * cell
        self._make((side, side))
        self._changed = NOWHERE

    def _make(self, shape: tuple[int, int]) -> None:
        self.counts = np.zeros(shape, np.int16)
        self.surfaces = np.zeros((*shape, 6), np.float32)
        self._clear = np.full(shape, self._limit, np.float32)

    @property
    def frame(self) -> tuple[float, float, float]:
        """x and y of the first cell's corner, and the cells' side, m."""
        return self.x0, self.y0, self.cell

    def enter(
        self, x: float, y: float, ranges: FloatArray, angles: FloatArray, range_min: float, limit: float
    ) -> None:
        """Enter a scan taken at (x, y), as `see`, after the grid has grown to hold it."""
        near = np.isfinite(ranges) & (range_min <= ranges) & (ranges <= limit)
        across = np.append(x + ranges[near] * np.cos(angles[near]), x)
        along = np.append(y + ranges[near] * np.sin(angles[near]), y)
        self._hold(
            (x, y), (float(across.min()), float(along.min())), (float(across.max()), float(along.max()))
        )
        seen = see(self.counts, self.surfaces, self.frame, x, y, ranges, angles, range_min, limit)
        self._changed = joined(self._changed, seen)

    def clear(self) -> Surfaces:
        """The room of each cell, (rows, columns) m: from its middle to what is nearest, at most the limit."""
        top, bottom, left, right = self._changed
        if top < bottom:
            span, (rows, columns) = int(self._limit / self.cell) + 1, self.counts.shape
            box = (
                max(0, top - span),
                min(rows, bottom + span),
                max(0, left - span),
                min(columns, right + span),
            )
            measure(self._clear, self.counts, self.surfaces, self.cell, self._limit, box)
            self._changed = NOWHERE
        return self._clear

    def forget(self) -> None:
        """Nothing has been seen."""
        self._make(self.counts.shape)
        self._changed = NOWHERE

    def _hold(self, at: tuple[float, float], low: tuple[float, float], high: tuple[float, float]) -> None:
        """Grow so that the corners, and a margin, lie within; what then is FARTHEST from the robot is forgotten."""
        rows, columns = self.counts.shape
        top, bottom = self._missing(at[1], low[1], high[1], self.y0, rows)
        left, right = self._missing(at[0], low[0], high[0], self.x0, columns)
        if top == bottom == left == right == 0:
            return
        counts, surfaces, clear = self.counts, self.surfaces, self.clear()
        self._make((rows + top + bottom, columns + left + right))
        to = (
            slice(max(top, 0), rows + top + min(bottom, 0)),
            slice(max(left, 0), columns + left + min(right, 0)),
        )
        of = slice(max(-top, 0), rows + min(bottom, 0)), slice(max(-left, 0), columns + min(right, 0))
        self.counts[to], self.surfaces[to], self._clear[to] = counts[of], surfaces[of], clear[of]
        self.x0, self.y0 = self.x0 - left * self.cell, self.y0 - top * self.cell

    def _missing(self, at: float, low: float, high: float, origin: float, count: int) -> tuple[int, int]:
        """Cells to add before and behind the `count` of an axis, for all from low to high m and a margin; fewer than 0:
        to drop, where others are added."""
        before = math.ceil((origin - low + self._margin) / self.cell)
        behind = math.ceil((high + self._margin - origin) / self.cell) - count
        if before <= 0 and behind <= 0:
            return 0, 0
        step = max(math.ceil(CHUNK / self.cell), count // 4)
        far, here = int(FARTHEST / self.cell), math.floor((at - origin) / self.cell)
        before = min(max(before, step) if before > 0 else 0, far - here)
        behind = min(max(behind, step) if behind > 0 else 0, far + here - count)
        return before, behind

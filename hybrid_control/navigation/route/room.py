"""How much room the cells of a grid have: the distance to what is nearest, kept up to date where something changed.

Every cell knows which occupied one it is nearest to, so that what becomes free concerns those cells alone that had it
(the dynamic brushfire of Lau, Sprunk and Burgard, "Improved updating of Euclidean distance maps and Voronoi diagrams",
IROS 2010; the waves are so short here that they need no order).
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.route.cells import SURE, Cells, place

Index = NDArray[np.int64]
Room = NDArray[np.float32]
Towards = NDArray[np.uint16]  # which cell is nearest: (rows + 128) · 256 + columns + 128 from here; 0 for none

HERE = 128 * 256 + 128
NONE = 0


@numba.njit(cache=True, nogil=True)
def standing(surface: NDArray[np.float32], cell: float) -> tuple[float, float]:
    """Where what stands in an occupied cell does, x and y in m from its corner: at the mean of its readings, or in its
    middle where that is not known."""
    if surface[0] > 0.0:
        return surface[1] / surface[0], surface[2] / surface[0]
    return 0.5 * cell, 0.5 * cell


@numba.njit(cache=True, nogil=True)
def away(cell: float, rows: int, columns: int, u: float, v: float) -> np.float32:
    """From the middle of a cell to what stands at (u, v) m in the one so many rows and columns before it, m; 0 in its
    own."""
    if rows == 0 and columns == 0:
        return np.float32(0.0)
    dx, dy = (columns + 0.5) * cell - u, (rows + 0.5) * cell - v
    return np.float32(math.sqrt(dx * dx + dy * dy))


@numba.njit(cache=True, nogil=True)
def _near_to(towards: Towards, clear: Room, span: int, i: int, j: int, where: Index) -> int:
    """Writes the cells that (i, j) is nearest to to `where`, row · columns + column, and returns how many."""
    rows, columns = clear.shape
    n = 0
    for p in range(max(0, i - span), min(rows, i + span + 1)):
        for q in range(max(0, j - span), min(columns, j + span + 1)):
            if towards[p, q] == HERE + (i - p) * 256 + j - q:
                where[n] = p * columns + q
                n += 1
    return n


@numba.njit(cache=True, nogil=True)
def _fill(cells: Cells, clear: Room, towards: Towards, cell: float, open_: Index) -> None:
    """Measure the cells that have lost what was nearest by what their neighbours are near to, until nothing becomes
    nearer."""
    rows, columns = clear.shape
    table, _, surfaces = cells
    nearer, n, forth = True, open_.size, True
    while nearer:
        nearer = False
        for m in range(n):
            index = open_[m] if forth else open_[n - 1 - m]
            p, q = index // columns, index % columns
            best, last, code = clear[p, q], -1, NONE
            for k in range(9):
                a, b = p + k // 3 - 1, q + k % 3 - 1
                if not (0 <= a < rows and 0 <= b < columns) or towards[a, b] == NONE:
                    continue
                i, j = a + (towards[a, b] >> 8) - 128, b + (towards[a, b] & 255) - 128
                if i * columns + j == last or not (0 <= i < rows and 0 <= j < columns):  # forgotten, as the grid grew
                    continue
                last = i * columns + j
                u, v = standing(surfaces[place(table, i, j)], cell)
                near = away(cell, p - i, q - j, u, v)
                if near < best:
                    best, code = near, HERE + (i - p) * 256 + j - q
            if code != NONE:
                clear[p, q], towards[p, q] = best, code
                nearer = True
        forth = not forth


@numba.njit(cache=True, nogil=True)
def _approach(
    towards: Towards, clear: Room, cell: float, span: int, i: int, j: int, u: float, v: float, where: Index, was: Room
) -> int:
    """Let the cells that are nearest to what stands at (u, v) m in (i, j) know; writes those that did not to `where`,
    and to `was` what room they had, and returns how many."""
    rows, columns = clear.shape
    n = 0
    for p in range(max(0, i - span), min(rows, i + span + 1)):
        for q in range(max(0, j - span), min(columns, j + span + 1)):
            near, code = away(cell, p - i, q - j, u, v), HERE + (i - p) * 256 + j - q
            if near < clear[p, q] or (towards[p, q] == code and near != clear[p, q]):
                where[n], was[n] = p * columns + q, clear[p, q]
                clear[p, q], towards[p, q] = near, code
                n += 1
    return n


@numba.njit(cache=True, nogil=True)
def renew(
    cells: Cells, clear: Room, towards: Towards, cell: float, limit: float, changed: Index
) -> tuple[Index, Room]:
    """Bring `clear` and `towards` up to date, (rows, columns), after some cells became occupied, free or better known.

    clear: m, at most `limit`, which is less than 127 cells; cell: m, their side; changed: row · columns + column.
    Returns the cells whose room is another one, some more than once, and what it was.
    """
    columns, span = clear.shape[1], int(limit / cell) + 1
    table, counts, surfaces = cells
    most = 2 * changed.size * (2 * span + 1) ** 2
    where, was, n = np.empty(most, np.int64), np.empty(most, np.float32), 0
    for index in changed:
        i, j = index // columns, index % columns
        if towards[i, j] == HERE:
            left = n + _near_to(towards, clear, span, i, j, where[n:])
            if counts[place(table, i, j)] >= SURE:
                continue
            while n < left:
                p, q = where[n] // columns, where[n] % columns
                was[n], clear[p, q], towards[p, q] = clear[p, q], limit, NONE
                n += 1
    _fill(cells, clear, towards, cell, where[:n])
    for index in changed:
        i, j = index // columns, index % columns
        at = place(table, i, j)
        if counts[at] >= SURE:
            u, v = standing(surfaces[at], cell)
            n += _approach(towards, clear, cell, span, i, j, u, v, where[n:], was[n:])
    return where[:n].copy(), was[:n].copy()

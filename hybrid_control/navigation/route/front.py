"""The front that spreads from a goal over the cells of a grid towards a robot: fast marching that is kept up to date.

What becomes known of a few cells concerns only cells that the front reached by way of them: those are forgotten, and
the front goes on from what is left, as in E* (Philippsen and Siegwart, "An Interpolated Dynamic Navigation Function",
ICRA 2005), which in its turn is LPA* and D* with the upwind step of fast marching. Like A* it goes first where the
distance so far and the straight rest are least (the rest counts BIAS of itself, so that a cell's neighbours nearer to
the goal are final before it).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.eikonal import FloatArray, pop, push, upwind
from hybrid_control.navigation.route.room import Room

Index = NDArray[np.int64]
Cell = tuple[int, int]  # row and column

BIAS = 0.6
BEHIND = 3.0  # cells by which the front goes on beyond the robot
EASY_COST, TIGHT_COST = 3.0, 15.0  # of a metre with room `easy`, and with the least
WAITS, KEPT = 1, 2  # of a cell that has a value; the second while a heap is sorted out


class Disc(NamedTuple):
    """How much room a way asks for, m from its middle: least: what has to be there; easy: from where on it costs
    EASY_COST a metre, and more below; wide: from where on it costs its length and no more."""

    least: float
    easy: float
    wide: float


class Front(NamedTuple):
    """Values of the cells that a front has reached, and what they follow from.

    field: (rows, columns) m to the goal, each metre as dear as `cost_of` says, where reached is WAITS; done: where it
    is final. clear: (rows, columns) m, the room of each cell. frame: x and y of the first cell's corner and the cells'
    side, m; goal: x, y in m.
    """

    field: FloatArray
    done: NDArray[np.bool_]
    reached: NDArray[np.uint8]
    clear: Room
    frame: tuple[float, float, float]
    goal: tuple[float, float]
    disc: Disc


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
def source(front: Front, i: int, j: int) -> float:
    """What a cell is worth as one that the front begins at, inf elsewhere: 0 of the goal's; where that lies beyond the
    grid, its distance from a free cell of the edges that face it, as out there nothing is known to be in the way."""
    x0, y0, cell = front.frame
    rows, columns = front.clear.shape
    v, u = (front.goal[1] - y0) / cell - 0.5, (front.goal[0] - x0) / cell - 0.5
    if -0.5 <= u < columns - 0.5 and -0.5 <= v < rows - 0.5:
        return 0.0 if i == round(v) and j == round(u) else math.inf
    faces = (
        (i == 0 and v < 0.0)
        or (i == rows - 1 and v > i)
        or (j == 0 and u < 0.0)
        or (j == columns - 1 and u > j)
    )
    return cell * math.hypot(i - v, j - u) if faces and front.clear[i, j] >= front.disc.least else math.inf


@numba.njit(cache=True, nogil=True)
def rest(front: Front, i: int, j: int, to: Cell) -> float:
    """What a cell's value is lifted by for its place in the heap."""
    return BIAS * front.frame[2] * math.hypot(i - to[0], j - to[1])


@numba.njit(cache=True, nogil=True)
def _put(
    front: Front, keys: FloatArray, items: Index, size: int, to: Cell, i: int, j: int, value: float
) -> int:
    front.field[i, j], front.reached[i, j] = value, WAITS
    return push(keys, items, size, value + rest(front, i, j, to), i * front.clear.shape[1] + j)


@numba.njit(cache=True, nogil=True)
def begin(
    front: Front, keys: FloatArray, items: Index, size: int, to: Cell, first: int, most: int
) -> tuple[int, int]:
    """Set the cells that a front begins at, at most so many, of the edges' cells from the first on.

    Returns how many wait on the heap, and the edges' cell to go on from, 2 · (rows + columns) where none is left.
    """
    x0, y0, cell = front.frame
    rows, columns = front.clear.shape
    edges, made = 2 * (rows + columns), 0
    i, j = math.floor((front.goal[1] - y0) / cell), math.floor((front.goal[0] - x0) / cell)
    if 0 <= i < rows and 0 <= j < columns:
        return _put(front, keys, items, size, to, i, j, 0.0), edges
    for k in range(first, edges):
        if made == most:
            return size, k
        if k < 2 * columns:
            i, j = (k % 2) * (rows - 1), k // 2
        else:
            i, j = (k - 2 * columns) // 2, (k % 2) * (columns - 1)
        value = source(front, i, j)
        if value < math.inf and not front.reached[i, j]:
            size, made = _put(front, keys, items, size, to, i, j, value), made + 1
    return size, edges


@numba.njit(cache=True, nogil=True)
def touch(front: Front, where: Index, was: Room, lost: Index, until: FloatArray, n: int) -> int:
    """Forget the cells that cost something else now; adds them to the n that are lost, and returns how many there are.

    where: row · columns + column; was: their room before, m. until: beside those lost, what a neighbour's value must
    exceed to have come by way of it.
    """
    field, done, reached, clear = front.field, front.done, front.reached, front.clear
    rows, columns = clear.shape
    least, easy, wide = front.disc
    for k in range(where.size):
        i, j = where[k] // columns, where[k] % columns
        before, now = cost_of(was[k], least, easy, wide), cost_of(clear[i, j], least, easy, wide)
        edge = i == 0 or j == 0 or i == rows - 1 or j == columns - 1
        if before == now or (now > before and not reached[i, j]) or source(front, i, j) == 0.0:
            continue
        beyond = field[i, j] if done[i, j] else math.inf
        if now < before:  # it may be as near to the goal as the nearest of its neighbours
            for p, q in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
                if 0 <= p < rows and 0 <= q < columns and done[p, q]:
                    beyond = min(beyond, field[p, q])
            if beyond == math.inf and not reached[i, j] and not edge:
                continue
        done[i, j], reached[i, j] = False, 0
        lost[n], until[n] = where[k], beyond
        n += 1
    return n


@numba.njit(cache=True, nogil=True)
def forget(
    front: Front, lost: Index, until: FloatArray, first: int, n: int, most: int
) -> tuple[int, int]:
    """Forget what was reached by way of the lost cells from the first on, of which it looks at so many at most.

    Returns the first that was not looked at, and how many are lost then.
    """
    field, done, reached = front.field, front.done, front.reached
    rows, columns = field.shape
    m = first
    while m < n and m < first + most:
        m += 1
        if until[m - 1] == math.inf:
            continue
        i, j = lost[m - 1] // columns, lost[m - 1] % columns
        for p, q in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
            if not (0 <= p < rows and 0 <= q < columns) or not reached[p, q]:
                continue
            if not done[p, q] or field[p, q] > until[m - 1]:
                lost[n], until[n] = p * columns + q, field[p, q] if done[p, q] else math.inf
                done[p, q], reached[p, q] = False, 0
                n += 1
    return m, n


@numba.njit(cache=True, nogil=True)
def sort_out(front: Front, keys: FloatArray, items: Index, size: int, before: Cell, to: Cell) -> int:
    """Drop from the heap what is final, forgotten or has a better value, and order the rest for another robot's cell.

    before: the cell that it was ordered for. Returns how many are left.
    """
    field, done, reached = front.field, front.done, front.reached
    columns, n = field.shape[1], 0
    for k in range(size):
        i, j = items[k] // columns, items[k] % columns
        if reached[i, j] == WAITS and not done[i, j] and keys[k] == field[i, j] + rest(front, i, j, before):
            reached[i, j], items[n], n = KEPT, items[k], n + 1
    for k in range(n):
        i, j = items[k] // columns, items[k] % columns
        reached[i, j] = WAITS
        push(keys, items, k, field[i, j] + rest(front, i, j, to), items[k])
    return n


@numba.njit(cache=True, nogil=True)
def seed(
    front: Front, keys: FloatArray, items: Index, size: int, to: Cell, lost: Index, first: int, last: int
) -> int:
    """Let the front go on from what is left around the lost cells from the first to before the last. Returns how many
    wait on the heap."""
    rows, columns = front.field.shape
    least, easy, wide = front.disc
    for m in range(first, last):
        i, j = lost[m] // columns, lost[m] % columns
        if front.reached[i, j]:
            continue
        value, cost = source(front, i, j), cost_of(front.clear[i, j], least, easy, wide)
        beside = False
        for p, q in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
            beside = beside or (0 <= p < rows and 0 <= q < columns and front.done[p, q])
        if beside and cost < math.inf:
            value = min(value, upwind(front.field, front.done, i, j, front.frame[2] * cost))
        if value < math.inf:
            size = _put(front, keys, items, size, to, i, j, value)
    return size


@numba.njit(cache=True, nogil=True)
def spread(
    front: Front, keys: FloatArray, items: Index, size: int, to: Cell, most: int
) -> tuple[int, int, int]:
    """Goes on by at most so many cells: how many wait on the heap then, what is `Found`, and how many it were."""
    field, done, reached, clear = front.field, front.done, front.reached, front.clear
    rows, columns = field.shape
    least, easy, wide = front.disc
    row, column = to
    cell = front.frame[2]
    beyond = BEHIND * cell
    for made in range(most):
        if size == 0:
            return size, 1 if done[row, column] else 2, made
        if done[row, column] and keys[0] > field[row, column] + beyond:
            return size, 1, made
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
            if not reached[p, q] or value < field[p, q]:
                size = _put(front, keys, items, size, to, p, q, value)
    return size, 0, most

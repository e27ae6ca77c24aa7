"""A larger grid that takes the place of one which is about to be left: filled a few rows at a time while that is used.

To fill it at once takes longer than whoever drives by the grid may wait.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.eikonal import FloatArray
from hybrid_control.navigation.route.cells import SIDE
from hybrid_control.navigation.route.room import NONE, Room, Towards

AT_ONCE = 300_000  # cells that are filled in one call, where it need not be ready
Index = NDArray[np.int64]
Sides = tuple[int, int, int, int]  # top, bottom, left, right


class Growth:
    """What a grid of so many rows and columns becomes: `room` and `towards`, (rows, columns), as its own are, and as
    much memory for the values of a front, `field`, which is slow where it is touched for the first time.

    by: blocks that are added on each side, or below 0 left out. limit: m, the room where nothing was seen. within: m
    that are left until it is needed.
    """

    def __init__(self, by: Sides, room: Room, towards: Towards, limit: float, within: float = 0.0) -> None:
        self.by, self._from, self._limit = by, (room, towards), limit
        self._within = within
        (rows, columns), (top, bottom, left, right) = room.shape, (side * SIDE for side in by)
        shape = rows + top + bottom, columns + left + right
        self.room: Room = np.empty(shape, np.float32)
        self.towards: Towards = np.empty(shape, np.uint16)
        self.field: FloatArray = np.empty(shape)
        self._shift = top, left
        self._rows = max(top, 0), min(rows + top, shape[0])  # that are kept, by the new numbers
        self._columns = max(left, 0), min(columns + left, shape[1])
        self._filled = 0

    def serves(self, lacking: Sides) -> bool:
        """Whether it grows on every side on which blocks are lacking."""
        return all(by > 0 for by, more in zip(self.by, lacking, strict=True) if more > 0)

    def fill_until(self, left: float) -> None:
        """Fill as much as is to be there when so many m are left, but not more than AT_ONCE cells."""
        share = 1.0 - left / self._within if 0.0 < left < self._within else float(left <= 0.0)
        self.fill(min(share, (self._filled + 1 + AT_ONCE // self.room.shape[1]) / self.room.shape[0]))

    def fill(self, share: float) -> None:
        """Fill rows until so much of them is there, 0 .. 1."""
        rows = self.room.shape[0]
        first, last = self._filled, max(self._filled, min(rows, math.ceil(share * rows)))
        if first == last:
            return
        self.room[first:last], self.towards[first:last], self.field[first:last] = self._limit, NONE, 0.0
        top, bottom = max(first, self._rows[0]), min(last, self._rows[1])
        if top < bottom:
            new = slice(top, bottom), slice(*self._columns)
            old = tuple(slice(s.start - by, s.stop - by) for s, by in zip(new, self._shift, strict=True))
            self.room[new], self.towards[new] = self._from[0][old], self._from[1][old]
        self._filled = last

    def follow(self, cells: Index) -> None:
        """Take over from the grid what has changed of these cells, row · columns + column by its own numbers."""
        rows, columns = np.divmod(cells, self._from[0].shape[1])
        i, j = rows + self._shift[0], columns + self._shift[1]
        kept = (i >= self._rows[0]) & (i < min(self._rows[1], self._filled))
        kept &= (j >= self._columns[0]) & (j < self._columns[1])
        old, new = (rows[kept], columns[kept]), (i[kept], j[kept])
        self.room[new], self.towards[new] = self._from[0][old], self._from[1][old]

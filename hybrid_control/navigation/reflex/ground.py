"""The ground around the robot as the scans have seen it: which places were free, and where something came to one.

A ring of cells on the odometry's frame, each of which stands for the place near the robot that falls on it.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.reflex.percept import MAX_BEAMS
from hybrid_control.navigation.reflex.tracks import FARTHEST

CELL = 0.1  # m, of the ground around the robot on which the memory of free places lies
BITS = 8
CELLS = 1 << BITS  # to a side, more than twice FARTHEST
SEEN_FREE = 5  # rays that must have passed a cell for it to have been free
NEW = 0.5  # s that a place that was free counts as newly taken
GONE = 0.15  # s without a reading after which a ray that passes a cell makes it free

GROUND = np.dtype(
    [
        # which place of the odometry's frame the cell stands for now, times 8, and the number of rays that have passed
        # since something was last there, SEEN_FREE at most
        ("mark", np.int32, (CELLS * CELLS,)),
        ("was_free", np.int8, (CELLS * CELLS,)),  # whether it was free before what is there now
        ("since", np.float64, (CELLS * CELLS,)),  # s, when that was first seen; negative for nothing
        ("hit", np.float64, (CELLS * CELLS,)),  # s, when it was last seen
    ],
    align=True,
)

Float32Array = NDArray[np.float32]


@numba.njit(cache=True, nogil=True)
def _cell(x: float, y: float) -> tuple[Any, Any]:
    """The cell on which a place of the odometry's frame falls, in cells, and its mark before a ray has passed."""
    i, j = np.int32(np.floor(x)), np.int32(np.floor(y))  # of 32 bits, of which a loop takes more at once
    mark = (((i >> BITS) + (1 << 13)) << 14 | ((j >> BITS) + (1 << 13))) << 3
    return (j & (CELLS - 1)) << BITS | (i & (CELLS - 1)), mark


@numba.njit(cache=True, nogil=True)
def _claim(ground: Any, at: int, mark: int) -> None:
    """Empty a cell that stood for another place than that of the mark."""
    if ground.mark[at] >> 3 != mark >> 3:
        ground.mark[at], ground.was_free[at] = mark, 0
        ground.since[at] = ground.hit[at] = -1.0


@numba.njit(cache=True, nogil=True)
def mark_met(watched: Any, ranges: Float32Array, sweep: Any) -> None:
    """Note where a scan has met something. watched: a WATCHED that knows where it was taken; sweep: a SWEEP."""
    ground, time = watched.ground, watched.time
    x, y = watched.sensor_x, watched.sensor_y
    farthest = min(sweep.range_max, FARTHEST)
    for k in range(ranges.shape[0]):
        r = ranges[k]
        if sweep.range_min <= r <= farthest:
            c, s = watched.directions[k, 0], watched.directions[k, 1]
            at, mark = _cell((x + r * c) / CELL, (y + r * s) / CELL)
            _claim(ground, at, mark)
            if ground.since[at] < 0.0:
                ground.since[at], ground.was_free[at] = time, (ground.mark[at] & 7) >= SEEN_FREE
            ground.hit[at], ground.mark[at] = time, mark


@numba.njit(cache=True, nogil=True)
def mark_passed(watched: Any, ranges: Float32Array, range_min: float) -> None:
    """Note which ground the scan that `watch` took in last has passed over.

    Apart from `watch`, which does not need it before the next scan: a walk over some 10,000 cells.
    """
    ground, time = watched.ground, watched.time
    x, y = watched.sensor_x / CELL, watched.sensor_y / CELL
    cells, marks = np.empty(int(FARTHEST / CELL), np.uint32), np.empty(int(FARTHEST / CELL), np.int32)
    for k in range(0, min(ranges.shape[0], MAX_BEAMS), max(1, ranges.shape[0] // 180)):
        r = ranges[k]
        if r >= range_min:
            c, s = watched.directions[k, 0], watched.directions[k, 1]
            n = int((min(r, FARTHEST) - 0.15) / CELL)
            for m in range(1, n):  # in a loop of its own, which goes over several at once
                at, mark = _cell(x + m * c, y + m * s)
                cells[m], marks[m] = at, mark + SEEN_FREE
            for m in range(1, n):
                at = cells[m]
                if ground.mark[at] == marks[m]:
                    continue  # nothing has been met there since
                _claim(ground, at, marks[m] - SEEN_FREE)
                if time - ground.hit[at] > GONE:
                    ground.since[at] = -1.0
                    ground.mark[at] += 1


@numba.njit(cache=True, nogil=True)
def newly_taken(ground: Any, time: float, x: float, y: float) -> bool:
    """Whether something has come to a free cell lately, and nothing stood in it or beside it before; x, y: m."""
    i, j = math.floor(x / CELL), math.floor(y / CELL)
    at, mark = _cell(i, j)
    _claim(ground, at, mark)
    since = ground.since[at]
    if not (ground.was_free[at] and since >= 0.0 and time - since < NEW):
        return False
    for p in range(-1, 2):
        for q in range(-1, 2):
            at, mark = _cell(i + p, j + q)
            _claim(ground, at, mark)
            since = ground.since[at]
            lately = since >= 0.0 and time - ground.hit[at] < 2.0 * GONE
            if lately and (time - since >= NEW or not ground.was_free[at]):
                return False
    return True

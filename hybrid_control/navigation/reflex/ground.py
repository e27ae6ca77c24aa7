"""The ground around the robot as the scans have seen it: which places were free, and where something came to one.

A ring of cells on the odometry's frame, each of which stands for the place near the robot that falls on it.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.reflex.tracks import FARTHEST

CELL = 0.1  # m, of the ground around the robot on which the memory of free places lies
CELLS_BITS = 8
CELLS = 1 << CELLS_BITS  # to a side, more than twice FARTHEST
SEEN_FREE = 5  # rays that must have passed a cell for it to have been free
NEW = 0.5  # s that a place that was free counts as newly taken
GONE = 0.15  # s without a reading after which a ray that passes a cell makes it free

GROUND = np.dtype(
    [
        ("since", np.float64),  # s, when what is there now was first seen; negative for nothing
        ("hit", np.float64),  # s, when it was last seen
        ("key", np.int32),  # which place of the odometry's frame the cell stands for now
        ("free", np.int16),  # rays that have passed since something was last there, SEEN_FREE at most
        ("was_free", np.int16),  # whether it was free before what is there now
    ],
    align=True,
)

Float32Array = NDArray[np.float32]


@numba.njit(cache=True, nogil=True)
def _cell(ground: Any, i: int, j: int) -> Any:
    """The record of the cell at column i and row j of the odometry's frame, empty where it stood for another."""
    g = ground[j & (CELLS - 1), i & (CELLS - 1)]
    key = ((i >> CELLS_BITS) + (1 << 14)) << 16 | ((j >> CELLS_BITS) + (1 << 14))
    if g.key != key:
        g.key, g.free, g.was_free, g.since, g.hit = key, 0, 0, -1.0, -1.0
    return g


@numba.njit(cache=True, nogil=True)
def mark_met(ground: Any, time: float, place: Any, ranges: Float32Array, sweep: Any) -> None:
    """Note where a scan, taken by a sensor at place (x, y, yaw) at `time` s, has met something; sweep: a SWEEP."""
    x, y, first = place[0], place[1], place[2] + sweep.angle_min
    farthest = min(sweep.range_max, FARTHEST)
    for k in range(ranges.shape[0]):
        r = ranges[k]
        if sweep.range_min <= r <= farthest:
            angle = first + k * sweep.angle_increment
            i, j = math.floor((x + r * math.cos(angle)) / CELL), math.floor((y + r * math.sin(angle)) / CELL)
            g = _cell(ground, i, j)
            if g.since < 0.0:
                g.since, g.was_free = time, g.free >= SEEN_FREE
            g.hit, g.free = time, 0


@numba.njit(cache=True, nogil=True)
def mark_passed(watched: Any, ranges: Float32Array, sweep: Any) -> None:
    """Note which ground the scan that `watch` took in last has passed over.

    Apart from `watch`, which does not need it before the next scan: a walk over some 10,000 cells.
    """
    ground, time = watched.ground, watched.time
    x, y, first = watched.sensor_x / CELL, watched.sensor_y / CELL, watched.sensor_yaw + sweep.angle_min
    for k in range(0, ranges.shape[0], max(1, ranges.shape[0] // 180)):
        r = ranges[k]
        if r >= sweep.range_min:
            angle = first + k * sweep.angle_increment
            c, s = math.cos(angle), math.sin(angle)
            for m in range(1, int((min(r, FARTHEST) - 0.15) / CELL)):
                g = _cell(ground, math.floor(x + m * c), math.floor(y + m * s))
                if time - g.hit > GONE:
                    g.since = -1.0
                    if g.free < SEEN_FREE:
                        g.free += 1


@numba.njit(cache=True, nogil=True)
def newly_taken(ground: Any, time: float, i: int, j: int) -> bool:
    """Whether something has come to a free cell lately, and nothing stood in it or beside it before."""
    g = _cell(ground, i, j)
    if not (g.was_free and g.since >= 0.0 and time - g.since < NEW):
        return False
    for p in range(-1, 2):
        for q in range(-1, 2):
            b = _cell(ground, i + p, j + q)
            if b.since >= 0.0 and time - b.hit < 2.0 * GONE and (time - b.since >= NEW or not b.was_free):
                return False
    return True

"""The cells of a grid, in blocks: readings and surfaces of those blocks alone in which something was hit."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

HIT, SURE, MOST = 3, 3, 9  # what a reading adds, from where on a cell is taken for occupied, and the most
CAME = -1.0  # in place of the time of the first reading: to where there was nothing something has come
SIDE = 8  # cells of a block's side
BLOCK = SIDE * SIDE


class Cells(NamedTuple):
    """Cells by blocks.

    table: (rows / SIDE, columns / SIDE), the number of each block, 0 where nothing was hit. By `place`: counts: (n,) of
    readings, occupied from SURE on; surfaces: (n, 6), of a cell the number of readings, the sums of their x and y from
    its corner in m, the sum of their normals, and the time in s of the first. All of block 0 stays 0.
    """

    table: NDArray[np.int32]
    counts: NDArray[np.int8]
    surfaces: NDArray[np.float32]


@numba.njit(cache=True, nogil=True)
def place(table: NDArray[np.int32], i: int, j: int) -> int:
    """Where the cell of a row and column is among counts and surfaces."""
    return table[i >> 3, j >> 3] * BLOCK + ((i & 7) << 3) + (j & 7)

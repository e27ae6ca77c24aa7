"""The 72 headings around the robot that planner, reflex and sensors all count in, from straight behind to the left.

A sector is 5 degrees wide; the neuron that stands for it prefers its middle. Angles in rad, body frame.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

SECTORS = 72

#: The middle of each sector, (SECTORS,), counter-clockwise from -pi; number 36: 2.5 degrees left.
HEADINGS: NDArray[np.float64] = np.linspace(-np.pi, np.pi, SECTORS, endpoint=False) + np.pi / SECTORS
HEADINGS.flags.writeable = False

_PER_RADIAN = SECTORS / (2.0 * math.pi)


@numba.njit(cache=True, nogil=True)
def wrapped(angle: float) -> float:
    """The same angle within -pi .. pi."""
    return angle - 2.0 * math.pi * round(angle / (2.0 * math.pi))


@numba.njit(cache=True, nogil=True)
def sector_of(bearing: float) -> int:
    """The sector that a bearing within -pi .. pi lies in."""
    return int((bearing + math.pi) * _PER_RADIAN) % SECTORS


def sectors_of(bearings: NDArray[np.floating]) -> NDArray[np.int64]:
    """The sector of each bearing within -pi .. pi, in the shape of the bearings."""
    return ((bearings + math.pi) * _PER_RADIAN).astype(np.int64) % SECTORS

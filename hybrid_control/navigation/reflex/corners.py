"""Blind corners: where somebody may step out from behind what hides them, and how fast to drive past."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.reflex.guard import REACTION
from hybrid_control.navigation.reflex.percept import goes_round

CORNERS = 64  # that are kept of a scan
HIDES = 0.5  # m that a beam goes on beyond its neighbour, where there is room for somebody
FARTHEST = 5.0  # m
LEAST_BESIDE = 0.15  # m beside the outline; what is in the way itself is driven around
LEAST = 0.2  # m/s, at which any corner is passed


@numba.njit(cache=True, nogil=True)
def find_corners(ranges: NDArray[np.float32], sweep: Any, beams: Any, corners: NDArray[np.float32]) -> int:
    """Fill `corners`, (CORNERS, 2) m in the body frame, with the edges that a scan sees past; how many there are.

    ranges: (n,) m, above the sweep's limits for no echo; sweep: a SWEEP; beams: its BEAMS.
    """
    n, count = ranges.shape[0], 0
    around = goes_round(n, sweep.angle_increment)
    for i in range(n):
        near = ranges[i]
        if not sweep.range_min <= near <= min(sweep.range_max, FARTHEST):
            continue
        for side in (-1, 1):
            j = i + side
            if (0 <= j < n or around) and ranges[j % n] > near + HIDES:
                corners[count, 0] = sweep.mount_x + near * beams.body[i, 0]
                corners[count, 1] = sweep.mount_y + near * beams.body[i, 1]
                count += 1
                break
        if count == corners.shape[0]:
            break
    return count


@numba.njit(cache=True, nogil=True)
def fastest_past(corners: NDArray[np.float32], count: int, hidden_speed: float, g: Any) -> float:
    """m/s at which the robot stands before somebody who steps out at hidden_speed m/s is in its way, inf without
    corners.

    Past a corner d m ahead of the outline and b m beside it, with a m/s² of braking after t s: either it can stop
    before it, v t + v² / (2 a) = d, or it stands by the time that they need, t + v / a = b / hidden_speed.
    """
    fastest, a, soon = math.inf, g.deceleration, g.scan_age + REACTION
    for k in range(count):
        ahead = float(corners[k, 0]) - g.outline.half_length - g.outline.middle
        if ahead < -2.0 * g.outline.half_length:
            continue
        beside = max(abs(float(corners[k, 1])) - g.outline.half_width, LEAST_BESIDE)
        before = a * (math.sqrt(soon * soon + 2.0 * max(ahead, 0.0) / a) - soon)
        fastest = min(fastest, max(before, a * (beside / hidden_speed - soon), LEAST))
    return fastest

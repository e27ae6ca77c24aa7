"""What crosses the way ahead of a robot that drives straight, by its event camera, before scans can tell that it moves.

As the robot drives on, whatever stands drifts outward, away from straight ahead; the robot's own turn moves all alike
and is taken off. What goes inward all the same moves by itself, and towards the way. Only what lies above the horizon
counts: below, the ground shows edges of every direction.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.sensors.events import LONG_AGO, columns, normal_flow
from hybrid_control.signals.headings import SECTORS, sectors_of

_UPRIGHT = 0.9  # of the flow that is sideways: an edge that slants shows its motion up and down as one aside
_INWARD = 0.5  # rad/s that it must go inward, and more by a share of the robot's turn, of which flow may be off by that
_CARE = 0.5
_TURNING = 0.3  # rad/s, a robot that turns faster sees nothing by this, nor for a while after
_MOVING = 0.3  # m/s, nor one that is slower
_FORGET = 0.03  # s, time constant of the sums
_MANY = 100.0  # events that must have gone inward, in a sector and its neighbours,
_ALIKE = 0.95  # and share of all there,
_LASTING = 20_000_000  # ns for which that must have been so: what errs does so for a packet or two


class Crossing:
    """The sectors in which something comes into the way of a robot whose event camera looks straight ahead.

    width, height: pixels; fov: rad across the image; pitch: rad, positive looks down. Tried with 128 x 96 pixels over
    90 degrees; with 64 x 48 it errs.
    """

    def __init__(self, width: int, height: int, fov: float, pitch: float = 0.0) -> None:
        focal, beside = columns(width, fov)
        self._bearings = np.arctan2(beside, focal)
        self._turns = focal / (focal**2 + beside**2)  # rad by which a pixel differs
        self._sector = sectors_of(self._bearings)
        rows = min(max(int(height / 2 - focal * math.tan(pitch)), 0), height)  # above the horizon
        self._times = np.full((2, rows, width), LONG_AGO, np.int64)
        self._sums = np.zeros((2, SECTORS))  # events that went inward, and all whose flow is known
        self._coming = np.zeros(SECTORS, np.bool_)  # where enough of them agree
        self._time_ns = self._since_ns = 0  # of the newest packet, and since when there has been something

    def put(self, events: NDArray[Any], time_ns: int, speed: float, turn: float) -> None:
        """Take in the events up to a time, in order; speed, turn: m/s and rad/s of the robot, by odometry."""
        passed, self._time_ns = (time_ns - self._time_ns) * 1e-9, time_ns
        if not 0.0 <= passed < 1.0 or abs(turn) > _TURNING or speed < _MOVING:
            self._times[:] = LONG_AGO
            self._sums[:] = 0.0
            self._coming[:] = False
            self._since_ns = time_ns
            return
        self._sums *= math.exp(-passed / _FORGET)
        _inward(events, self._times, (self._bearings, self._turns, self._sector), turn, self._sums)
        inward, known = (sums + np.roll(sums, 1) + np.roll(sums, -1) for sums in self._sums)
        self._coming = (inward > _MANY) & (inward > _ALIKE * known)
        if not self._coming.any():
            self._since_ns = time_ns

    def sectors(self) -> NDArray[np.bool_]:
        """(SECTORS,), true where something comes into the way."""
        return self._coming & (self._time_ns - self._since_ns > _LASTING)


@numba.njit(cache=True, nogil=True)
def _inward(events: Any, times: Any, columns: Any, turn: float, sums: Any) -> None:
    """Count the events whose edges go inward, and all that tell how they go, in their sectors."""
    bearings, turns, sector = columns
    for i in range(events.size):
        x, y = int(events[i].x), int(events[i].y)
        if y >= times.shape[1] or x >= times.shape[2]:
            continue
        known, nx, _, speed = normal_flow(times, events[i].t, x, y, int(events[i].on) & 1)
        if not known or abs(nx) < _UPRIGHT:
            continue
        rate = turn - speed / nx * turns[x]  # of the bearing, rad/s in the world
        inward = -rate if bearings[x] > 0.0 else rate
        sums[1, sector[x]] += 1.0
        if inward > _INWARD + _CARE * abs(turn):
            sums[0, sector[x]] += 1.0

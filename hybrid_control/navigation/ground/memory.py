"""What was seen of the ground around the robot, in cells that odometry carries along: it cannot see under itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.sensors.fusion import nearest_by_sector
from hybrid_control.signals import FREE_SIDE, FreeGround, Pose, RateVector, layout
from hybrid_control.signals.headings import SECTORS

FloatArray = NDArray[np.float64]

CELL = 0.1  # m
SIDE = 128  # cells, of the square that is remembered around the robot
MAX_RATE = 200.0  # Hz, of a class that is seen right before the robot
LOOKS, NEEDED = 3, 2  # a cell is taken for seen where it was in NEEDED of its last LOOKS looks
YES, MAYBE, NO = 3.0, 1.0, -0.5  # added to the odds of a cell that a look sees closed, is in doubt of, and sees free
LEAST_ODDS, CLOSED_ODDS, MOST_ODDS = 1.0, 5.0, 9.0  # below 0 at most; from which on it is closed; at most
_FULL = (1 << LOOKS) - 1
_COUNT = np.array([bin(n).count("1") for n in range(_FULL + 1)], np.int8)


class SeenCells:
    """Cells of CELL m of the odometry's frame in which one class of ground was seen, SIDE cells around the robot.

    Two looks of three make a cell count, and the same two make it forgotten: what a single frame took for something is
    never acted upon. What is farther away than half of SIDE is forgotten.
    """

    def __init__(self) -> None:
        self._history = np.zeros((SIDE, SIDE), np.uint8)
        self._owner = np.full((SIDE, SIDE, 2), np.iinfo(np.int64).min)  # the cell that each place stands for

    def put(self, points: FloatArray, seen: NDArray[np.bool_], pose: Pose) -> None:
        """One look: points (n, 2) m in the body's frame, and whether the class was seen at each. A cell with several
        counts as most of them do; pose: of the robot in the odometry's frame."""
        cells, inverse = _cells(in_odometry(points, pose))
        votes = np.bincount(inverse, np.where(seen, 1.0, -1.0), len(cells))
        i, j, before = _places(self._history, self._owner, cells)
        self._history[i, j] = ((before << 1) & _FULL) | (votes > 0)

    def middles(self) -> FloatArray:
        """The middles of the cells that count, (n, 2) m in the odometry's frame."""
        i, j = np.nonzero(_COUNT[self._history] >= NEEDED)
        return (self._owner[i, j] + 0.5) * CELL


class ClosedCells:
    """Cells of CELL m of the odometry's frame by what all looks weigh together, SIDE cells around the robot.

    Each holds the logarithm of the odds that it is closed (H. Moravec, A. Elfes, "High resolution maps from wide angle
    sonar", ICRA 1985), bounded so that it can change its mind. A planner that sees what is there in half of its looks,
    and what is not there in one of a hundred, says more by a yes than by a no: log(0.5 / 0.01) = 3.9, log(0.5 / 0.99) =
    -0.7. Looks that follow each other err together, so a yes counts as 3 and a no as -0.5: two of three looks close a
    cell, and it takes nine that see it free to open one that was closed for long. A look that is in doubt counts as 1:
    what is thin, such as a wire, is seldom more than that, and five such looks in a row close a cell.
    """

    def __init__(self) -> None:
        self._odds = np.zeros((SIDE, SIDE), np.float32)
        self._owner = np.full((SIDE, SIDE, 2), np.iinfo(np.int64).min)

    def put(self, points: FloatArray, odds: FloatArray, pose: Pose) -> None:
        """One look: points (n, 2) m in the body's frame, and what it adds at each, YES, MAYBE or NO. Of a cell with
        several the greatest counts; pose: of the robot in the odometry's frame."""
        cells, inverse = _cells(in_odometry(points, pose))
        most = np.full(len(cells), NO)
        np.maximum.at(most, inverse, odds)
        i, j, before = _places(self._odds, self._owner, cells)
        self._odds[i, j] = np.clip(before + most, -LEAST_ODDS, MOST_ODDS)

    def close(self, places: FloatArray) -> None:
        """Close the cells of places (n, 2) m in the odometry's frame, whatever was seen there."""
        i, j, _ = _places(self._odds, self._owner, _cells(places)[0])
        self._odds[i, j] = MOST_ODDS

    def middles(self) -> FloatArray:
        """The middles of the cells that are closed, (n, 2) m in the odometry's frame."""
        i, j = np.nonzero(self._odds >= CLOSED_ODDS)
        return (self._owner[i, j] + 0.5) * CELL

    def free(self, pose: Pose, stamp_ns: int, nearest: float) -> FreeGround:
        """The cells around a pose of the odometry's frame that were seen to be free, and are not in doubt. nearest: m,
        from which on ground is looked at."""
        first = np.floor(np.array((pose.x, pose.y)) / CELL).astype(np.int64) - FREE_SIDE // 2
        along = np.arange(FREE_SIDE)
        i, j = np.ix_((first[0] + along) % SIDE, (first[1] + along) % SIDE)
        own = (self._owner[i, j, 0] == (first[0] + along)[:, None]) & (self._owner[i, j, 1] == first[1] + along)
        x, y = (first * CELL).tolist()
        return FreeGround(stamp_ns, x, y, CELL, nearest, own & (self._odds[i, j] < 0.0))


def _cells(places: FloatArray) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """The cells in which places (n, 2) m of the odometry's frame lie, (k, 2), and in which of them each does, (n,)."""
    cells = np.floor(places / CELL).astype(np.int64)
    numbers = (cells[:, 0] << 32) + cells[:, 1]  # one for each cell, which sorts several times faster than two
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    return cells[first], inverse


def _places(
    values: NDArray[Any], owner: NDArray[np.int64], cells: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
    """Where the values of cells (k, 2) are kept, and what they are: 0 where the place stood for another cell."""
    i, j = cells[:, 0] % SIDE, cells[:, 1] % SIDE
    strange = (owner[i, j] != cells).any(axis=1)
    before = np.where(strange, 0, values[i, j])
    owner[i, j] = cells
    return i, j, before


@dataclass(frozen=True, eq=False)
class SeenGround:
    """What is remembered of the ground, as it was after one look; never changed, so that any thread may read it.

    cells: the middles, (n, 2) m in the odometry's frame, of the cells in which each class with an effect was seen;
    effects: by class.
    """

    cells: Mapping[str, FloatArray] = field(default_factory=dict)
    effects: Mapping[str, str] = field(default_factory=dict)

    def points(self, effect: str, pose: Pose) -> FloatArray:
        """The middles of the cells of all classes with an effect, (n, 2) m in the body's frame at a pose."""
        found = [near(cells, pose) for label, cells in self.cells.items() if self.effects.get(label) == effect]
        return np.concatenate(found) if found else np.empty((0, 2))

    def rates(self, pose: Pose, stamp_ns: int) -> RateVector:
        """A population of SECTORS headings for each class with an effect: MAX_RATE where it is seen right before the
        robot, less the farther it is, 0 where it is not seen."""
        sight = CELL * SIDE / 2
        rates = [
            MAX_RATE * np.clip(1.0 - nearest_by_sector(near(cells, pose)) / sight, 0.0, 1.0)
            for cells in self.cells.values()
        ]
        found = np.concatenate(rates) if rates else np.empty(0)
        return RateVector(stamp_ns, found.astype(np.float32), layout(**dict.fromkeys(self.cells, SECTORS)))


def around(cells: FloatArray, pose: Pose) -> NDArray[np.bool_]:
    """Which of cells (n, 2) m in the odometry's frame lie around a pose, (n,)."""
    away: FloatArray = np.abs(cells - (pose.x, pose.y)).max(axis=1, initial=0.0)
    return away < CELL * SIDE / 2


def near(cells: FloatArray, pose: Pose) -> FloatArray:
    """Those of cells (n, 2) m in the odometry's frame that lie around a pose, in the body's frame."""
    dx, dy = (cells[around(cells, pose)] - (pose.x, pose.y)).T
    c, s = math.cos(pose.yaw), math.sin(pose.yaw)
    return np.stack([c * dx + s * dy, c * dy - s * dx], axis=1)


def in_odometry(points: FloatArray, pose: Pose) -> FloatArray:
    """Points (n, 2) m of the frame of a robot at a pose in the frame that the pose is in."""
    c, s = math.cos(pose.yaw), math.sin(pose.yaw)
    x, y = points[:, 0], points[:, 1]
    return np.stack([pose.x + c * x - s * y, pose.y + s * x + c * y], axis=1)

"""What was seen of the ground around the robot, in cells that odometry carries along: it cannot see under itself."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hybrid_control.signals import Pose

FloatArray = NDArray[np.float64]

CELL = 0.1  # m
SIDE = 128  # cells, of the square that is remembered around the robot
LOOKS, NEEDED = 3, 2  # a cell is taken for seen where it was in NEEDED of its last LOOKS looks
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
        if not len(points):
            return
        cells = np.floor(in_odometry(points, pose) / CELL).astype(np.int64)
        unique, inverse = np.unique(cells, axis=0, return_inverse=True)
        inverse = inverse.reshape(-1)
        votes = np.bincount(inverse, np.where(seen, 1.0, -1.0), len(unique))
        i, j = unique[:, 0] % SIDE, unique[:, 1] % SIDE
        strange = (self._owner[i, j] != unique).any(axis=1)
        before = np.where(strange, 0, self._history[i, j])
        self._history[i, j] = ((before << 1) & _FULL) | (votes > 0)
        self._owner[i, j] = unique

    def points(self, pose: Pose) -> FloatArray:
        """The middles of the cells that count, (n, 2) m in the body's frame."""
        i, j = np.nonzero(_COUNT[self._history] >= NEEDED)
        middles = (self._owner[i, j] + 0.5) * CELL
        dx, dy = middles[:, 0] - pose.x, middles[:, 1] - pose.y
        near = np.maximum(np.abs(dx), np.abs(dy)) < CELL * SIDE / 2
        c, s = math.cos(pose.yaw), math.sin(pose.yaw)
        return np.stack([c * dx + s * dy, c * dy - s * dx], axis=1)[near]


def in_odometry(points: FloatArray, pose: Pose) -> FloatArray:
    """Points (n, 2) m of the frame of a robot at a pose in the frame that the pose is in."""
    c, s = math.cos(pose.yaw), math.sin(pose.yaw)
    x, y = points[:, 0], points[:, 1]
    return np.stack([pose.x + c * x - s * y, pose.y + s * x + c * y], axis=1)

"""Stops for nothing: a robot that stands although the way ahead of it is free, by the map."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.outline import Outline
from hybrid_control.geometry.shapes import footprint_distance
from hybrid_control.sim.worlds import World

STANDS, TURNS = 0.03, 0.1  # m/s and rad/s, below which a robot stands
FOR = 0.3  # s for which it stands before that counts
BEGINS = 1.0  # s, before which it may still be getting ready
AHEAD, BESIDE = 0.5, 0.1  # m that are free before it, and on either side of that


class FalseStops:
    """Counts them, look by look. world: whose movers are given to `look`; outline: the robot's."""

    def __init__(self, world: World, outline: Outline) -> None:
        self._known, self._outline = world.as_known(), outline
        self._radii = np.array([mover.radius for mover in world.movers])
        self.count = 0
        self._since: float | None = None  # s, since when it stands; inf once that was judged

    def look(
        self, time: float, pose: tuple[float, float, float], speed: float, turn: float, movers: NDArray[np.float64]
    ) -> None:
        """What the robot does at a time in s: x, y, yaw in m and rad, m/s and rad/s; movers: (m, 2) m, or more columns.
        """
        if abs(speed) >= STANDS or abs(turn) >= TURNS or time < BEGINS:
            self._since = None
            return
        if self._since is None:
            self._since = time
        if time - self._since >= FOR:
            self._since = math.inf
            self.count += self._free(pose, movers)

    def _free(self, pose: tuple[float, float, float], movers: NDArray[np.float64]) -> bool:
        x, y, yaw = pose
        length, width, ahead = 2.0 * self._outline.half_length, 2.0 * self._outline.half_width, self._outline.middle
        middle = ahead + 0.5 * AHEAD
        people = np.column_stack((movers[:, :2], self._radii)) if len(self._radii) else np.empty((0, 3))
        gap = footprint_distance(
            x + middle * math.cos(yaw), y + middle * math.sin(yaw), yaw, length + AHEAD, width,
            np.concatenate((self._known.cylinders, people)), self._known.boxes,
        )  # fmt: skip
        return gap > BESIDE

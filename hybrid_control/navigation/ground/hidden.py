"""Where the planner saw something that a scan does not show, in cells that odometry carries along."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.camera import CameraMount
from hybrid_control.navigation.ground.classes import AVOID
from hybrid_control.navigation.ground.memory import CELL, MAYBE, NO, YES, ClosedCells, SeenGround, around
from hybrid_control.navigation.planner.closed import (
    HIDDEN,
    HIDDEN_AT,
    STANDING,
    STANDING_AT,
    ClosedDirections,
)
from hybrid_control.signals import FreeGround, Pose, RateVector
from hybrid_control.signals.headings import HEADINGS, SECTORS

FloatArray = NDArray[np.float64]

CLOSED = "closed"  # its population, and the one class that it remembers
DEPTH = 0.15  # m, of what is taken for closed behind the edge that the planner names: a cell of its own at least
REACH = 2.0  # m from the camera's foot, up to which the planner is listened to
SURE, DOUBT = 0.5, 0.35  # confidence from which on ground is closed, and from which on perhaps
ACROSS = (-1 / 3, 0.0, 1 / 3)  # of a heading's sector, where it is looked at: at 2 m three cover all its cells
STEP = CELL / 2  # m, between two places along a heading
BEFORE_NS = 1_000_000_000  # what counted so long before the planner lost its trust is kept


class HiddenMemory:
    """What the planner saw hidden, as `ClosedCells`, by what all its looks weigh together.

    mount: of the planner's camera; reach: m; sure: the least confidence that closes ground. seen: what is remembered
    since the last look; replaced, never changed, so that any thread may read it.

    Of a heading that the planner sees, the ground from the nearest in the camera's view up to what closes it first is
    free, and DEPTH behind an edge that a scan does not show is closed: by a third as much where it is in doubt of it
    (DOUBT .. sure). Nothing is said of what lies behind the first edge, and where something stands before it, nothing
    is closed. Ground under the bumper is out of view, so what was closed there stays.
    """

    def __init__(self, mount: CameraMount, *, reach: float = REACH, sure: float = SURE) -> None:
        self.reach, self._sure, self._doubt = reach, sure, min(DOUBT, sure)
        self._away = np.arange(STEP / 2, reach, STEP)
        angles = HEADINGS[:, None, None] + 2 * np.pi / SECTORS * np.array(ACROSS)  # (72, 1, 3)
        x, y = (self._away[None, :, None] * turned for turned in (np.cos(angles), np.sin(angles)))
        self._places = np.stack([mount.x + x, y], axis=-1)  # (72, n, 3, 2) m, in the body's frame
        self._nearest = mount.nearest(HEADINGS)
        # m from the middle of the robot, a cell more than to the nearest ground that it sees straight ahead
        self._blind = abs(mount.x) + float(mount.nearest(np.zeros(1))[0]) + CELL
        self.reset()

    def reset(self) -> None:
        """Nothing was seen."""
        self._cells = ClosedCells()
        self._before: deque[tuple[int, FloatArray]] = deque()
        self._show()

    def look(self, closed: ClosedDirections, pose: Pose) -> None:
        """One answer of the planner. pose: of the robot in the odometry's frame when the image was taken."""
        rows, away = closed.rows, self._away
        behind = (rows[STANDING] >= self._sure) & (rows[STANDING_AT] < rows[HIDDEN_AT])
        likely = (rows[HIDDEN] >= self._doubt) & ~behind
        free = (away >= self._nearest[:, None]) & (away < closed.first(self._doubt)[:, None])
        edge = np.where(likely, rows[HIDDEN_AT], np.inf)[:, None]
        taken = (away >= edge) & (away < edge + DEPTH)
        odds = np.where(taken, np.where(rows[HIDDEN] >= self._sure, YES, MAYBE)[:, None], NO)
        said = free | taken
        self._cells.put(self._places[said].reshape(-1, 2), np.repeat(odds[said], len(ACROSS)), pose)
        self._show()
        while self._before and not 0 <= closed.stamp_ns - self._before[0][0] <= BEFORE_NS:
            self._before.popleft()
        self._before.append((closed.stamp_ns, self.seen.cells[CLOSED]))

    def keep(self) -> None:
        """The planner is no longer trusted: what counted at any time in the second before is closed, whatever it said
        since. Of what it saw wrong in that time more stays closed than is, and nothing that it saw before is lost."""
        if self._before:
            cells = np.concatenate([cells for _, cells in self._before])
            self._cells.close(cells)
        self._before.clear()
        self._show()

    def free(self, pose: Pose, stamp_ns: int) -> FreeGround:
        """The ground around a pose that was seen to be free."""
        return self._cells.free(pose, stamp_ns, self._blind)

    def points(self, pose: Pose) -> FloatArray:
        """The middles of the closed cells, (n, 2) m in the body's frame at a pose."""
        return self.seen.points(AVOID, pose)

    def near(self, pose: Pose) -> FloatArray:
        """The middles of the closed cells around a pose, (n, 2) m in the odometry's frame."""
        cells = self.seen.cells[CLOSED]
        return cells[around(cells, pose)]

    def rates(self, pose: Pose, stamp_ns: int) -> RateVector:
        """A population CLOSED of 72 headings: the nearer the closed ground in it, the higher, as `SeenGround.rates`."""
        return self.seen.rates(pose, stamp_ns)

    def _show(self) -> None:
        self.seen = SeenGround({CLOSED: self._cells.middles()}, {CLOSED: AVOID})

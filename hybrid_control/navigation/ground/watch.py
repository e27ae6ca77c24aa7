"""What a planner saw hidden and how far it is trusted, from its answers, the odometry and the scans, as they come."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TypeVar

from hybrid_control.geometry.camera import CameraMount
from hybrid_control.navigation.ground.hidden import CLOSED, HiddenMemory
from hybrid_control.navigation.ground.overlay import FloatArray, corners
from hybrid_control.navigation.ground.trust import Trust, judge, shown_to
from hybrid_control.navigation.planner.closed import ClosedDirections
from hybrid_control.signals import FreeGround, Odometry, RangeScan

APART_NS = 100_000_000  # between an image and the odometry, or the scan, that it is looked at with
EDGE = 0.02  # m, by which a hidden cell is taken for wider on each side
TRACK = 128  # readings that are kept, by which an image finds those of its own time

Lidar = tuple[float, float, float]  # x and y in m and yaw in rad of a range sensor in the body
Stamped = TypeVar("Stamped", Odometry, RangeScan)


class Watch:
    """Memory and trust of a planner of contract 2.

    mount: of its camera; memory: what it saw hidden; trust: in it. Odometry, scans and answers may come from a thread
    each. It outlives the planner: what was seen stays.
    """

    def __init__(
        self, mount: CameraMount, memory: HiddenMemory | None = None, trust: Trust | None = None
    ) -> None:
        self._mount = mount
        self.memory, self.trust = memory or HiddenMemory(mount), trust or Trust()
        self.reset()

    def reset(self) -> None:
        """Nothing was seen."""
        self.memory.reset()
        self.trust.reset()
        self._track: deque[Odometry] = deque(maxlen=TRACK)
        self._scans: deque[RangeScan] = deque(maxlen=TRACK)
        self._lidar: Lidar = (0.0, 0.0, 0.0)

    def moved(self, odometry: Odometry) -> None:
        """The robot's newest place."""
        self._track.append(odometry)

    def scanned(self, scan: RangeScan, lidar: Lidar) -> None:
        """The newest scan, as the lidar at that place gave it."""
        self._lidar = lidar
        self._scans.append(scan)

    @property
    def place(self) -> Odometry | None:
        """The newest; None before the first."""
        return self._track[-1] if self._track else None

    def look(self, closed: ClosedDirections) -> None:
        """One answer of the planner: what it saw hidden is entered, where it is trusted.

        It is judged by the scan, and entered at the place, of its image's time; where no odometry is of that time it is
        neither.
        """
        place = _of_time(self._track, closed.stamp_ns)
        if place is None:
            return
        trusted = self.trust.enters
        scan = _of_time(self._scans, closed.stamp_ns)
        at = None if scan is None else _of_time(self._track, scan.stamp_ns)
        if scan is not None and at is not None:
            shown = shown_to(self._mount, scan, self._lidar, at.pose, place.pose)
            self.trust.put(judge(closed, shown, self.memory.reach), closed.stamp_ns)
        if self.trust.enters:
            self.memory.look(closed, place.pose)
        elif trusted:
            self.memory.keep()

    def free(self, stamp_ns: int) -> FreeGround | None:
        """The ground around the robot that was seen to be free; None where the planner is not trusted, and before the
        first odometry."""
        place = self.place
        return self.memory.free(place.pose, stamp_ns) if place is not None and self.trust.enters else None

    def cells(self) -> FloatArray:
        """The hidden cells as `overlay.corners` widens them, (n, 4, 2) m in the odometry's frame."""
        return corners(self.memory.seen.cells[CLOSED], 0.0, EDGE).reshape(-1, 4, 2)


def _of_time(readings: Sequence[Stamped], stamp_ns: int) -> Stamped | None:
    """The reading whose stamp is nearest to one, None where none is near it."""
    nearest = min(list(readings), key=lambda r: abs(r.stamp_ns - stamp_ns), default=None)
    return None if nearest is None or abs(nearest.stamp_ns - stamp_ns) > APART_NS else nearest

"""What a planner saw hidden and how far it is trusted, from its plans, the odometry and the scans, as they come."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TypeVar

from hybrid_control.geometry.camera import CameraMount
from hybrid_control.geometry.outline import Outline
from hybrid_control.navigation.ground.hidden import HiddenMemory
from hybrid_control.navigation.ground.overlay import FloatArray, outside, overlay
from hybrid_control.navigation.ground.trust import Trust, judge, shown_to
from hybrid_control.navigation.planner.states import Plan
from hybrid_control.signals import Odometry, Pose, RangeScan, RateVector

APART_NS = 100_000_000  # between an image and the odometry, or the scan, that it is looked at with
TRACK = 128  # readings that are kept, by which an image finds those of its own time

Stamped = TypeVar("Stamped", Odometry, RangeScan)


class Watch:
    """Memory and trust of a planner of contract 2.

    mount: of its camera; lidar: x and y in m and yaw in rad of the range sensor in the body; outline: the robot's;
    memory: what it saw hidden; trust: in it. Odometry, scans and plans may come from a thread each.
    """

    def __init__(
        self,
        mount: CameraMount,
        lidar: tuple[float, float, float],
        outline: Outline,
        memory: HiddenMemory | None = None,
        trust: Trust | None = None,
    ) -> None:
        self._mount, self._lidar, self._outline = mount, lidar, outline
        self.memory, self.trust = memory or HiddenMemory(mount), trust or Trust()
        self.reset()

    def reset(self) -> None:
        """Nothing was seen."""
        self.memory.reset()
        self.trust.reset()
        self._track: deque[Odometry] = deque(maxlen=TRACK)
        self._scans: deque[RangeScan] = deque(maxlen=TRACK)

    def moved(self, odometry: Odometry) -> None:
        """The robot's newest place."""
        self._track.append(odometry)

    def scanned(self, scan: RangeScan) -> None:
        """The newest scan, as the lidar gave it."""
        self._scans.append(scan)

    @property
    def place(self) -> Odometry | None:
        """The newest; None before the first."""
        return self._track[-1] if self._track else None

    def plan(self, rates: RateVector) -> RateVector | None:
        """What of a plan counts, None where it is withheld; what it saw hidden is entered, where it is trusted.

        An answer is judged by the scan, and entered at the place, of its image's time; where no odometry is of that
        time it is neither.
        """
        closed = rates.closed if isinstance(rates, Plan) else None
        place = None if closed is None else _of_time(self._track, rates.stamp_ns)
        if closed is not None and place is not None:
            trusted = self.trust.enters
            scan = _of_time(self._scans, rates.stamp_ns)
            at = None if scan is None else _of_time(self._track, scan.stamp_ns)
            if scan is not None and at is not None:
                shown = shown_to(self._mount, scan, self._lidar, at.pose, place.pose)
                self.trust.put(judge(closed, shown, self.memory.reach), rates.stamp_ns)
            if self.trust.enters:
                self.memory.look(closed, place.pose)
            elif trusted:
                self.memory.keep()
        return self.trust.of(rates)

    def laid(self, scan: RangeScan, pose: Pose) -> RangeScan:
        """A scan taken at a pose with what is hidden in it; no beam becomes longer."""
        return overlay(scan, self.memory.points(pose), self._lidar, self._outline)

    def outlying(self, pose: Pose) -> FloatArray:
        """`HiddenMemory.points` outside the robot's outline."""
        return outside(self.memory.points(pose), self._outline)


def _of_time(readings: Sequence[Stamped], stamp_ns: int) -> Stamped | None:
    """The reading whose stamp is nearest to one, None where none is near it."""
    nearest = min(list(readings), key=lambda r: abs(r.stamp_ns - stamp_ns), default=None)
    return None if nearest is None or abs(nearest.stamp_ns - stamp_ns) > APART_NS else nearest

"""How right a planner has been about what a scan shows as well, and how much its answers therefore count."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.camera import CameraMount
from hybrid_control.navigation.ground.hidden import DOUBT, REACH, SURE
from hybrid_control.navigation.ground.memory import in_odometry
from hybrid_control.navigation.planner.closed import (
    HIDDEN,
    HIDDEN_AT,
    STANDING,
    STANDING_AT,
    ClosedDirections,
)
from hybrid_control.parameters import ParameterError
from hybrid_control.signals import Pose, RangeScan, RateVector, SpikeTrain
from hybrid_control.signals.headings import SECTORS, sectors_of

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

TIME = 0.3  # s, of the average
ENOUGH = 3  # headings that were judged, from which on a look counts fully
OFF, OFF_SHARE = 0.15, 0.1  # m, and share of the distance, by which a planner may be off
COUNTS = 0.5  # trust from which on what it sees hidden is entered
LEAST = 0.25  # trust below which its plans are withheld
FAR = 100.0  # m, for a beam that met nothing
ADAPTIVE = "adaptive"
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


def read_trust(text: str) -> float | None:
    """A fixed trust, or None for one that follows what was seen; ParameterError for what is neither."""
    if text.strip() == ADAPTIVE:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value <= 1.0:
        raise ParameterError(f"trust: {text[:40]!r}; expected {ADAPTIVE}, or a number within 0 .. 1")
    return value


class Judged(NamedTuple):
    """Which headings, (72,), a scan has confirmed, and which it has refuted. The others had nothing to judge."""

    right: BoolArray
    wrong: BoolArray


class Trust:
    """How right the planner has been, 0 .. 1: an exponential average over TIME of the share of the judged headings that
    were confirmed. It begins at 1, and stays where it is while there is nothing to judge.

    fixed: what it is always, where it is not to follow what was seen.
    """

    def __init__(self, fixed: float | None = None) -> None:
        self.fix(fixed)

    def fix(self, value: float | None) -> None:
        """From now on it is this, or, where None, as was seen, beginning at 1. ValueError for what it can't be."""
        if value is not None and not 0.0 <= value <= 1.0:
            raise ValueError(f"trust: {value:g} must be within 0 .. 1")
        self._fixed = value
        self.reset()

    def reset(self) -> None:
        """As before the first look."""
        self.value = 1.0 if self._fixed is None else self._fixed
        self._stamp_ns: int | None = None
        self._owed: FloatArray = np.empty(0)  # of each neuron, the share of a spike that was not let through yet

    def put(self, judged: Judged, stamp_ns: int) -> None:
        """One look, by its image's time. A look with fewer than ENOUGH judged headings counts for less."""
        before, self._stamp_ns = self._stamp_ns, stamp_ns
        right, wrong = int(judged.right.sum()), int(judged.wrong.sum())
        if self._fixed is not None or before is None or right + wrong == 0:
            return
        elapsed = min(max((stamp_ns - before) * 1e-9, 0.0), TIME)
        share = min((right + wrong) / ENOUGH, 1.0) * -math.expm1(-elapsed / TIME)
        self.value += share * (right / (right + wrong) - self.value)

    @property
    def enters(self) -> bool:
        """Whether what the planner sees hidden is entered."""
        return self.value >= COUNTS

    def of(self, plan: RateVector) -> RateVector | None:
        """A plan's rates times the trust; None below LEAST, so that the reflex goes on as it does without a planner."""
        if self.value >= 1.0:
            return plan
        if self.withholds:
            return None
        return RateVector(plan.stamp_ns, np.float32(self.value) * plan.rates, plan.populations)

    @property
    def withholds(self) -> bool:
        """Whether nothing of the planner's plans counts."""
        return self.value < LEAST

    def of_spikes(self, train: SpikeTrain) -> SpikeTrain | None:
        """A window of a plan's spikes, as `of` has its rates: of each neuron's spikes every so-manieth is let through,
        from window to window, which are as many as the trust times its rate would give. None below LEAST."""
        if self.value >= 1.0:
            return train
        if self.withholds:
            return None
        if self._owed.size != train.size:  # begun apart, so that not all wait for their first
            self._owed = _GOLDEN * np.arange(train.size, dtype=np.float64) % 1.0
        order = np.argsort(train.neuron, kind="stable")
        neuron = train.neuron[order]
        before = np.arange(neuron.size) - np.searchsorted(neuron, neuron)  # spikes of the same neuron in the window
        owed = self._owed[neuron] + self.value * before
        kept = np.sort(order[np.floor(owed + self.value) > np.floor(owed)])
        self._owed = (self._owed + self.value * train.counts()) % 1.0
        return SpikeTrain(
            train.stamp_ns, train.duration_ns, train.populations, train.neuron[kept], train.offset_ns[kept]
        )


def judge(closed: ClosedDirections, shown: FloatArray, reach: float = REACH) -> Judged:
    """What a scan says of one answer of the planner.

    shown: as `shown_to` gives it. A heading that is closed within reach by what stands is confirmed where the scan has
    something there, in it or beside it, and refuted where all three show a free way clearly beyond. Any heading is
    refuted where all three show something clearly nearer than the planner calls free. A heading that is free in both
    says nothing: a planner that always says free would be right of most.
    """
    rows = closed.rows
    beside = np.stack([np.roll(shown, by) for by in (-1, 0, 1)])
    nearest, farthest = beside.min(axis=0), beside.max(axis=0)  # NaN where one of them was not looked at
    at, free = rows[STANDING_AT].astype(np.float64), np.minimum(closed.first(DOUBT), reach)
    hides = (rows[HIDDEN] >= DOUBT) & (rows[HIDDEN_AT] < at)
    stands = (rows[STANDING] >= SURE) & (at <= reach) & ~hides
    off = OFF + OFF_SHARE * at
    right = stands & (np.abs(beside - at) <= off).any(axis=0)
    wrong = stands & (nearest > at + off) | (farthest < free - OFF - OFF_SHARE * free)
    return Judged(right, wrong & ~right)


def shown_to(
    mount: CameraMount, scan: RangeScan, lidar: tuple[float, float, float], at: Pose, seen_from: Pose
) -> FloatArray:
    """m from the camera's foot to the nearest that a scan shows in each of the 72 headings, NaN where no beam went.

    A beam that met nothing ends at FAR. lidar: x and y in m and yaw in rad of the range sensor in the body; at: the
    robot's pose when it scanned, seen_from: when the image was taken, both in the odometry's frame.
    """
    valid = scan.ranges >= scan.range_min  # NaN and too near are no reading
    away = np.where(scan.ranges <= scan.range_max, scan.ranges, FAR)[valid].astype(np.float64)
    angles = scan.angles()[valid] + lidar[2]
    points = np.stack([lidar[0] + away * np.cos(angles), lidar[1] + away * np.sin(angles)], axis=1)
    x, y = in_odometry(points, at).T
    c, s = math.cos(seen_from.yaw), math.sin(seen_from.yaw)
    dx, dy = x - seen_from.x, y - seen_from.y
    ahead, aside = c * dx + s * dy - mount.x, c * dy - s * dx
    shown = np.full(SECTORS, np.inf)
    np.minimum.at(shown, sectors_of(np.arctan2(aside, ahead)), np.hypot(ahead, aside))
    return np.where(np.isfinite(shown), shown, np.nan)

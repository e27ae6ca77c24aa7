"""Learns at which bearings a lidar sees the robot itself, from scans of a robot that stands with nothing near it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.reflex.returns import FARTHEST_ECHO, read_mask
from hybrid_control.signals import Pose, RangeScan

FEWEST = 5  # scans from which something is learnt
STILL = 0.02  # m and rad by which odometry may wander while the robot stands
_STEP = 0.01  # rad, of the cells that a lidar of one beam is seen in
_COLUMNS, _ROWS, _SHOWN = 49, 25, 1.2  # of the picture, and m that half of it shows

Grid = NDArray[np.float64]


@dataclass
class Standing:
    """What was heard of a robot that should stand: scans, the frames that they are in, and poses by its odometry."""

    scans: list[RangeScan] = field(default_factory=list)
    frames: set[str] = field(default_factory=set)
    poses: list[Pose] = field(default_factory=list)

    def moved(self) -> tuple[float, float]:
        """How far the poses lie from the first one at most, m and rad; 0 where there is no odometry."""
        if not self.poses:
            return 0.0, 0.0
        first = self.poses[0]
        turns = [math.remainder(p.yaw - first.yaw, math.tau) for p in self.poses]
        return max(math.hypot(p.x - first.x, p.y - first.y) for p in self.poses), max(map(abs, turns))


def body_mask(heard: Standing, farthest: float, max_unknown: float) -> str:
    """The `body_mask` that these scans tell. farthest: m. max_unknown: share of all bearings that it may cover.

    ValueError for what nothing is to be learnt from: too few scans or blind ones, several lidars, a robot that moved,
    more masked than it may drive with.
    """
    if len(heard.scans) < FEWEST:
        raise ValueError(f"body_mask: {len(heard.scans)} scans; expected {FEWEST} at least")
    if len(heard.frames) > 1:
        names = ", ".join(sorted(heard.frames))
        raise ValueError(
            f"body_mask: scans of {len(heard.frames)} frames ({names}); expected those of one lidar"
        )
    way, turn = heard.moved()
    if way > STILL or turn > STILL:
        raise ValueError(
            f"body_mask: the robot moved by {way:.2f} m and {turn:.2f} rad meanwhile; expected one that stands"
        )
    if not any(bool(_hits(scan).any()) for scan in heard.scans):
        raise ValueError("body_mask: no beam of any scan has a range; expected a lidar that is not covered")
    mask = learn_mask(heard.scans, farthest)
    share = covered(mask)
    if share > max_unknown:
        raise ValueError(
            f"body_mask: {100 * share:.0f} % of all bearings see something nearer than {farthest:g} m, and the reflex "
            f"drives with {100 * max_unknown:.0f} % masked at most; expected a robot with nothing near it"
        )
    return mask


def _hits(scan: RangeScan) -> NDArray[np.bool_]:
    return (
        (scan.ranges > 0.0)
        & (scan.ranges >= scan.range_min)
        & (scan.ranges <= min(scan.range_max, FARTHEST_ECHO))
    )


def learn_mask(scans: list[RangeScan], farthest: float = 0.6, slack: float = 0.05) -> str:
    """The bearings at which more than half of the scans that look there see something nearer than `farthest` m.

    slack: m and rad/2 kept around it. Scans may be of several shapes, as segments of a turn are. Empty for nothing.
    ValueError for no scans.
    """
    if not scans:
        raise ValueError("body_mask: 0 scans; expected some")
    first = float(scans[0].angle_min)
    cells = round(math.tau / (max(abs(s.angle_increment) for s in scans) or _STEP))
    step = math.tau / cells
    looked, near, reach = np.zeros(cells), np.zeros(cells), np.zeros(cells)
    for scan in scans:
        nearest = _nearest(scan, first, step, cells)
        own = nearest < farthest
        looked += ~np.isnan(nearest)
        near += own
        reach[own] = np.maximum(reach, nearest)[own]
    parts = []
    for begin, end in _runs(near > 0.5 * looked):
        low, high = first + step * begin - slack / 2, first + step * end + slack / 2
        distance = max(reach[k % cells] for k in range(begin, end + 1)) + slack
        turn = math.tau if high > math.pi and low > 0.0 else 0.0  # across the rear: from below -pi
        parts.append(f"{max(low - turn, -6.28):.3f}..{min(high - turn, 6.28):.3f}:{distance:.2f}")
    return ", ".join(sorted(parts, key=lambda part: float(part.split("..")[0])))


def _nearest(scan: RangeScan, first: float, step: float, cells: int) -> Grid:
    """Of a scan the nearest range in each cell of the circle, (cells,) m; inf for no hit, NaN where no beam looks."""
    angles = scan.angle_min + scan.angle_increment * np.arange(scan.ranges.size)
    at = np.round((angles - first) / step).astype(np.int64) % cells
    nearest = np.full(cells, np.nan)
    np.fmin.at(nearest, at, np.where(_hits(scan), scan.ranges, np.inf).astype(np.float64))
    return nearest


def _runs(own: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last of each run of cells on the circle that are true; the last may be beyond the end of the array."""
    if own.all():
        return [(0, own.size - 1)]
    runs: list[tuple[int, int]] = []
    open_at = int(np.flatnonzero(~own)[0])  # a cell at which no run goes on
    for k in range(open_at, open_at + own.size):
        if not own[k % own.size]:
            continue
        if runs and runs[-1][1] == k - 1:
            runs[-1] = runs[-1][0], k
        else:
            runs.append((k, k))
    return [(a % own.size, a % own.size + b - a) for a, b in runs]


def covered(mask: str) -> float:
    """The share of all bearings that a `body_mask` covers."""
    angles = np.arange(3600) * (math.tau / 3600)
    return float(_masked(angles, np.zeros(3600), mask).mean())


def _masked(angles: NDArray[Any], ranges: NDArray[Any], mask: str) -> NDArray[np.bool_]:
    """Which readings, at these bearings and ranges, are the robot's own body."""
    own = np.zeros(angles.size, bool)
    for low, high, distance in read_mask(mask):
        own |= ((angles - low) % math.tau <= high - low) & (ranges < distance)
    return own


def picture(scan: RangeScan, mask: str) -> str:
    """A scan from above as text, ahead is up: the lidar L, what the mask takes for the robot #, what else is near o."""
    canvas = [[" "] * _COLUMNS for _ in range(_ROWS)]
    hit = _hits(scan) & (scan.ranges < _SHOWN * math.sqrt(2.0))
    angles, ranges = scan.angles()[hit], scan.ranges[hit]
    own = _masked(angles, ranges, mask)
    for k in np.argsort(own):  # the body last, on top
        row = round(_ROWS / 2 - 0.5 - ranges[k] * math.cos(angles[k]) / _SHOWN * (_ROWS // 2))
        column = round(_COLUMNS / 2 - 0.5 - ranges[k] * math.sin(angles[k]) / _SHOWN * (_COLUMNS // 2))
        if 0 <= row < _ROWS and 0 <= column < _COLUMNS:
            canvas[row][column] = "#" if own[k] else "o"
    canvas[_ROWS // 2][_COLUMNS // 2] = "L"
    lines = "\n".join("".join(row).rstrip() for row in canvas).strip("\n")
    head = f"ahead is up, a row is {_SHOWN / (_ROWS // 2):.1f} m: L the lidar, # the robot's own body, o else"
    return f"{head}\n{lines}"

"""What each beam of a driver's sweep says, in one language: a hit, nothing in range, too close, or nothing valid.

Drivers differ in what they give where nothing came back, in how many beams they send and in whether a limit is one.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping

import numba
import numpy as np

from hybrid_control.navigation.reflex.evasion import outline_of
from hybrid_control.navigation.reflex.percept import MAX_BEAMS
from hybrid_control.parameters import ParameterError, Value
from hybrid_control.signals import RangeScan
from hybrid_control.signals.spikes import Float32Array

MOST_BEAMS = 16_384  # of a sweep; more than MAX_BEAMS are thinned to the nearest of neighbours
OWN_BODY = -1.0  # m, a reading that is none
FARTHEST_ECHO = 30.0  # m, beyond which a lidar is not taken at its word that nothing is there
Mask = tuple[tuple[float, float, float], ...]

_MASK = re.compile(r"\s*([-+.\deE]+?)\s*\.\.\s*([-+.\deE]+?)\s*:\s*([-+.\deE]+?)\s*")


def read_mask(text: str) -> Mask:
    """The parts of a `body_mask`: (first and last bearing in rad, range in m) each. ParameterError for a mistake."""
    parts = []
    for part in (p for p in text.split(",") if p.strip()):
        match = _MASK.fullmatch(part)
        try:
            low, high, distance = (float(v) for v in match.groups()) if match else (1.0, 0.0, 0.0)
        except ValueError:
            low, high, distance = 1.0, 0.0, 0.0
        if not (-2 * math.pi <= low <= high <= 2 * math.pi and 0.0 < distance <= FARTHEST_ECHO):
            raise ParameterError(
                f"body_mask: {part.strip()!r}; expected LOW..HIGH:RANGE in rad and m, such as '2.6..2.9:0.35'"
            )
        parts.append((low, high, distance))
    return tuple(parts)


@numba.njit(cache=True, nogil=True)
def _within(ranges: Float32Array, reach: np.float32) -> bool:
    """Whether any reading lies nearer than that."""
    found = False
    for r in ranges:
        found |= 0.0 < r <= reach
    return found


@numba.njit(cache=True, nogil=True)
def _read(
    ranges: Float32Array, nearest: np.float32, farthest: np.float32, nan_is_free: bool, zero_is_free: bool
) -> Float32Array:
    """A sweep with +inf for nothing in range, -inf for too close, NaN for nothing valid, and hits as they are."""
    out = np.empty(ranges.size, np.float32)
    for k in range(ranges.size):
        r = ranges[k]
        if r > farthest or (nan_is_free and math.isnan(r)) or (zero_is_free and r == 0.0):
            out[k] = np.inf
        elif (r >= nearest and r > 0.0) or r == -np.inf:
            out[k] = r
        else:
            out[k] = np.nan
    return out


class Returns:
    """Reads sweeps as a reflex with these settings does: `no_echo`, `body_mask`, its outline and its lidar's mount.

    ParameterError for a body_mask that can't be.
    """

    def __init__(self, settings: Mapping[str, Value]) -> None:
        echo = str(settings["no_echo"])
        self._nan, self._zero = "invalid" in echo, "zero" in echo
        self._mask = read_mask(str(settings["body_mask"]))
        self._outline = outline_of(settings)
        self._mount = float(settings["lidar_x"]), float(settings["lidar_y"]), float(settings["lidar_yaw"])

    def read(self, scan: RangeScan) -> RangeScan:
        """`echoes`; and what lies in the outline is the robot's own body, which hides what is behind: nothing valid."""
        mount_x, mount_y, turn = self._mount
        reach = self._outline.reach + math.hypot(mount_x, mount_y)
        if _within(scan.ranges, np.float32(reach)):
            angle = scan.angle_min + scan.angle_increment * np.arange(scan.ranges.size)
            r = np.where(np.isfinite(scan.ranges), scan.ranges, np.float32(FARTHEST_ECHO))
            x, y = mount_x + r * np.cos(angle + turn), mount_y + r * np.sin(angle + turn)
            own = self._outline.holds(x, y) & (scan.ranges > 0.0)
            scan = dataclasses.replace(scan, ranges=np.where(own, np.float32(OWN_BODY), scan.ranges))
        return self.echoes(scan)

    def echoes(self, scan: RangeScan) -> RangeScan:
        """The sweep with hits in its limits, +inf for nothing in range, -inf for too close, NaN for nothing valid."""
        farthest = min(scan.range_max, FARTHEST_ECHO)
        r = scan.ranges
        ranges = _read(r, np.float32(scan.range_min), np.float32(farthest), self._nan, self._zero)
        if self._mask:
            hit = np.isfinite(ranges)
            angle = scan.angle_min + scan.angle_increment * np.arange(r.size)
            for low, high, distance in self._mask:
                ranges[hit & ((angle - low) % (2 * math.pi) <= high - low) & (r < distance)] = np.nan
        group = -(-r.size // MAX_BEAMS)
        first, step = scan.angle_min, scan.angle_increment
        if group > 1:
            ranges = np.append(ranges, np.full(-r.size % group, np.nan, np.float32)).reshape(-1, group)
            ranges = np.fmin.reduce(ranges, axis=1)
            first, step = first + 0.5 * (group - 1) * step, step * group
        return RangeScan(scan.stamp_ns, first, step, scan.range_min, farthest, ranges)

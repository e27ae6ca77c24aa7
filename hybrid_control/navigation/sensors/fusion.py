"""Several sources as one: the newest of each, as long as none is too old."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.outline import Outline
from hybrid_control.navigation.reflex.guard import DEAD, KNOWN, UNLOOKED
from hybrid_control.navigation.reflex.percept import APPROACH_SMOOTHING, approach_speeds
from hybrid_control.navigation.sensors.events import ENCODINGS, EventDecoder
from hybrid_control.navigation.sensors.eye import Eye
from hybrid_control.navigation.sensors.mounts import Mount
from hybrid_control.navigation.sensors.readings import (
    DepthImage,
    Points,
    depth_points,
    laser_points,
    nearest_of_each_bearing,
)
from hybrid_control.navigation.sensors.sources import Source, read_sources
from hybrid_control.navigation.sensors.views import View
from hybrid_control.signals import RangeScan
from hybrid_control.signals.events import EVENT
from hybrid_control.signals.headings import SECTORS, sectors_of
from hybrid_control.signals.stamps import MAX_FUTURE_NS, age_of

_STEADY = 0.5  # s between two readings beyond which nothing is said of speeds


@dataclass(frozen=True, eq=False)
class Fused:
    """What all sources say together.

    points: (n, 2) m, the nearest obstacle of each bearing in the robot's frame. sectors: (SECTORS,) m, the nearest in
    each, inf for none. approach: (SECTORS,) m/s, how fast it comes nearer. states: (SECTORS,) of the guard's KNOWN,
    DEAD and UNLOOKED. sight: m that they see at most. stamps: ns, of the oldest reading in it, and the time at which
    the first of them is too old.
    """

    points: Points
    sectors: NDArray[np.float32]
    approach: NDArray[np.float32]
    states: NDArray[np.int8]
    sight: float
    stamps: tuple[int, int]


_ALL = View(np.ones(SECTORS, np.bool_), np.ones(SECTORS, np.bool_))
_NONE = View(np.zeros(SECTORS, np.bool_), np.zeros(SECTORS, np.bool_), 0.0)


@dataclass
class _State:
    stamp_ns: int = -1
    points: Points = field(default_factory=lambda: np.empty((0, 2), np.float32))
    sectors: NDArray[np.float32] = field(default_factory=lambda: np.full(SECTORS, np.inf, np.float32))
    approach: NDArray[np.float32] = field(default_factory=lambda: np.zeros(SECTORS, np.float32))
    seen_ns: NDArray[np.int64] = field(default_factory=lambda: np.full(SECTORS, -(1 << 62)))  # by sector
    looked_ns: NDArray[np.int64] = field(default_factory=lambda: np.full(SECTORS, -(1 << 62)))
    sight: float = math.inf


def nearest_by_sector(points: NDArray[np.floating]) -> NDArray[np.float32]:
    """Distance from the robot's centre to the nearest obstacle of each sector, (SECTORS,) m, inf for none."""
    result = np.full(SECTORS, np.inf, np.float32)
    if points.shape[0]:
        bearing = np.arctan2(points[:, 1], points[:, 0])
        np.minimum.at(result, sectors_of(bearing), np.hypot(points[:, 0], points[:, 1]).astype(np.float32))
    return result


class Fusion:
    """Keeps the newest reading of each source, and says what they see together.

    ValueError from the put methods for a stamp that is too old, of the future or not after the one before it.
    outline: what lies in it is the robot itself. open_space: whether there may be nothing in range of any sensor.
    """

    def __init__(
        self, sources: Sequence[Source], outline: Outline = Outline(0.0, 0.0), *, open_space: bool = False
    ) -> None:
        self._outline, self._open_space = outline, open_space
        self._sources = {s.topic: s for s in sources}
        self._states = {s.topic: _State() for s in sources}

    def reset(self) -> None:
        """Forget every reading."""
        self._states = {topic: _State() for topic in self._sources}

    def _take(self, topic: str, stamp_ns: int, now_ns: int) -> _State:
        source, state = self._sources[topic], self._states[topic]
        age_of(stamp_ns, now_ns, "timeout", source.timeout)
        # a clock that was set back makes the old stamp a future one, which then does not count
        if stamp_ns <= state.stamp_ns <= now_ns + MAX_FUTURE_NS:
            raise ValueError(
                f"its stamp is {(state.stamp_ns - stamp_ns) * 1e-9:.3f} s before the one before it"
            )
        return state

    def put_points(self, topic: str, points: Points, stamp_ns: int, now_ns: int, view: View = _ALL) -> None:
        """A ranging source's obstacles, (n, 2) m in the robot's frame. view: where they may come from; what others of
        its messages saw beside that stays until it is too old, so that a turn may come in segments."""
        state = self._take(topic, stamp_ns, now_ns)
        if not self._sources[topic].looking:  # each message is all that is remembered
            view, state.points = _NONE, points[:0]
        body = self._outline.holds(points[:, 0], points[:, 1])
        seen = view.seen.copy()
        if body.any():  # the robot itself hides what is behind it
            at, outside = (sectors_of(np.arctan2(p[:, 1], p[:, 0])) for p in (points[body], points[~body]))
            seen[np.setdiff1d(at, outside)] = False
            points = points[~body]
        oldest = stamp_ns - round(self._sources[topic].timeout * 1e9)
        if state.points.shape[0]:
            at = sectors_of(np.arctan2(state.points[:, 1], state.points[:, 0]))
            points = np.concatenate([points, state.points[~seen[at] & (state.seen_ns[at] >= oldest)]])
        state.seen_ns[seen], state.looked_ns[view.looked], state.sight = stamp_ns, stamp_ns, view.sight
        sectors = nearest_by_sector(points)
        interval = (stamp_ns - state.stamp_ns) * 1e-9 if state.stamp_ns >= 0 else 0.0
        if not 0.0 < interval < _STEADY:
            state.approach[:] = 0.0
            interval = 0.0
        approach_speeds(sectors, state.sectors, interval, APPROACH_SMOOTHING, state.approach)
        state.stamp_ns, state.points, state.sectors = stamp_ns, points, sectors

    def put_rates(self, topic: str, rates: NDArray[np.float32], stamp_ns: int, now_ns: int) -> None:
        """An event camera's: the inverse of the time to contact in each sector, (SECTORS,) 1/s, 0 where unknown."""
        state = self._take(topic, stamp_ns, now_ns)
        state.stamp_ns, state.approach = stamp_ns, rates.astype(np.float32)

    def ages(self, now_ns: int) -> dict[str, float]:
        """Age of each source's newest reading, s; NaN where there is none."""
        return {
            topic: (now_ns - s.stamp_ns) * 1e-9 if s.stamp_ns >= 0 else math.nan
            for topic, s in self._states.items()
        }

    def missing(self, now_ns: int) -> list[str]:
        """The ranging sources whose newest reading is too old, or that have none, each with a word why."""
        missing = []
        for topic, age in self.ages(now_ns).items():
            source = self._sources[topic]
            if source.ranging and not age <= source.timeout:
                missing.append(f"{topic} ({'nothing yet' if math.isnan(age) else f'{age:.2f} s old'})")
        return missing

    def fuse(self, now_ns: int, horizon: float) -> Fused | None:
        """What all see now; None while a ranging source is missing.

        horizon: m, the distance at which something is assumed where only an event camera sees it come nearer.
        """
        if self.missing(now_ns):
            return None
        ranging = [(s, self._states[t]) for t, s in self._sources.items() if s.ranging]
        points = nearest_of_each_bearing(np.concatenate([state.points for _, state in ranging]))
        approach = np.stack([state.approach for _, state in ranging]).max(axis=0)
        sectors = np.stack([state.sectors for _, state in ranging]).min(axis=0)
        for topic, source in self._sources.items():
            state = self._states[topic]
            if source.ranging or state.stamp_ns < 0 or (now_ns - state.stamp_ns) * 1e-9 > source.timeout:
                continue
            seen = state.approach > 0
            sectors[seen] = np.minimum(sectors[seen], np.float32(horizon))
            # speed = distance / time to contact
            approach[seen] = np.maximum(approach[seen], state.approach[seen] * sectors[seen])
        states = np.full(SECTORS, UNLOOKED, np.int8)
        stamps = []
        echoes = any(state.points.shape[0] for source, state in ranging if source.looking)
        for source, state in ranging:
            after = now_ns - round(source.timeout * 1e9)
            states[(state.looked_ns >= after) & (states == UNLOOKED)] = DEAD
            known = state.seen_ns >= after
            if echoes or self._open_space:
                states[known] = KNOWN
            stamps.append(int(state.seen_ns[known].min()) if known.any() else state.stamp_ns)
        expires = min(s + round(source.timeout * 1e9) for s, (source, _) in zip(stamps, ranging, strict=True))
        sight = max(state.sight for _, state in ranging)
        return Fused(points, sectors, approach, states, sight, (min(stamps), expires))


def warm() -> None:
    """Compile everything that a source calls, so that nothing compiles while a robot drives."""
    scan = RangeScan(0, 0.0, 0.1, 0.1, 5.0, np.ones(3, np.float32))
    points = laser_points(scan, Mount.of())
    image = DepthImage(np.ones((2, 2), np.float32).tobytes(), "32FC1", 2, 2, 8, False)
    depth_points(image, (1.0, 1.0, 0.5, 0.5), Mount.of(), -1.0, 1.0, 5.0)
    fusion = Fusion(read_sources("scan laser"))
    fusion.put_points("scan", points, 1, 1)
    fusion.fuse(1, 1.0)
    eye = Eye((8, 8), 1.0, (1.0, 0.0, 0.0))
    for encoding in ENCODINGS:
        eye.put(EventDecoder().decode(encoding, bytes(8), 8, 8, 0), 1, 1.0, 0.0)
    eye.put(np.zeros(1, EVENT), 2, 1.0, 0.0)
    eye.rates()
    eye.crossing()

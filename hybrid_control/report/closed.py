"""What a planner of contract 2 saw closed: over the camera's pictures, and on the map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.camera import CameraMount
from hybrid_control.navigation.ground.hidden import DOUBT
from hybrid_control.navigation.ground.memory import CELL, near
from hybrid_control.navigation.planner.closed import (
    HIDDEN,
    HIDDEN_AT,
    STANDING,
    STANDING_AT,
    ClosedDirections,
)
from hybrid_control.report.cells import by_middles
from hybrid_control.report.recording import RecordingError, Topic
from hybrid_control.report.run import FloatArray, Run, populations_of, stamp_ns
from hybrid_control.signals import StateVector
from hybrid_control.signals.headings import HEADINGS, SECTORS

_STALE = 0.5  # s after which what was said is no longer shown
_TALLEST = 1 / 10  # of the picture's height, a mark of what the planner is wholly sure of
_STATES = "hybrid_control_msgs/msg/StateVector"

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Marks:
    """Over a picture, as SVG paths: what closes a heading that a scan shows as well, what a scan does not show, and the
    hidden cells that are remembered."""

    standing: str = ""
    hidden: str = ""
    remembered: str = ""


class Closed:
    """What a run's planner said of closed directions, and what was remembered of it."""

    def __init__(self, run: Run) -> None:
        self._run, self._hidden = run, run.recording.topic("planner/hidden")
        self._said = _answers(run.recording.topic("planner/directions"))
        self._t = np.array([(said.stamp_ns - run.clock.start_ns) / 1e9 for said in self._said])
        self._heard = np.zeros(0) if self._hidden is None else run.clock.at(self._hidden.received)

    @staticmethod
    def of(run: Run) -> Closed | None:
        """Of a run; None where its planner says nothing of the kind. RecordingError where it was something else that
        was said."""
        topics = (run.recording.topic(f"planner/{name}") for name in ("directions", "hidden"))
        return Closed(run) if any(topic is not None and len(topic) for topic in topics) else None

    def said(self, t: float) -> ClosedDirections | None:
        """The newest answer to an image of that time or before; None where there is none, or it is too old."""
        i = int(np.searchsorted(self._t, t, side="right")) - 1
        return self._said[i] if i >= 0 and t - self._t[i] <= _STALE else None

    def cells(self, t: float) -> IntArray:
        """The hidden cells that are remembered at a time, (n, 2), counted in CELL along the axes of the odometry's
        frame; none where nobody said so for too long, or odometry was not recorded."""
        topic = self._hidden
        i = int(np.searchsorted(self._heard, t, side="right")) - 1
        if topic is None or i < 0 or t - self._heard[i] > _STALE or not len(self._run.odometry):
            return np.empty((0, 2), np.int64)
        return np.floor(by_middles(topic, topic.decode(i)) / CELL).astype(np.int64)

    def marks(self, mount: CameraMount, t: float, width: int, height: int) -> Marks:
        """Over a picture of a time, so many pixels wide and high."""
        said, cells = self.said(t), self.cells(t)
        standing, hidden = "", ""
        if said is not None:
            rows = said.rows.astype(np.float64)
            standing = fence(mount, rows[STANDING], rows[STANDING_AT], width, height)
            hidden = fence(mount, rows[HIDDEN], rows[HIDDEN_AT], width, height)
        if not len(cells):
            return Marks(standing, hidden)
        around = near((cells.astype(np.float64) + 0.5) * CELL, self._run.odometry.pose(t))
        return Marks(standing, hidden, dots(mount, around, width, height))


def _answers(topic: Topic | None) -> list[ClosedDirections]:
    """By their images' times."""
    found = []
    for i in range(0 if topic is None else len(topic)):
        assert topic is not None
        if topic.type != _STATES:
            raise RecordingError(f"{topic.name}: a {topic.type}, expected {_STATES}")
        message = topic.decode(i)
        try:
            values = np.asarray(message.values, np.float32)
            found.append(ClosedDirections.of(StateVector(stamp_ns(message), values, populations_of(message))))
        except ValueError as error:
            raise RecordingError(f"{topic.name}: message {i}: {error}") from None
    return sorted(found, key=lambda said: said.stamp_ns)


def fence(mount: CameraMount, sure: FloatArray, away: FloatArray, width: int, height: int) -> str:
    """A bar on the ground across each heading that is closed and in view, the taller the surer, as an SVG path.

    sure: (72,), 0 .. 1; away: (72,) m from the camera's foot. What lies nearer than the picture shows stands on its
    lower edge.
    """
    sides = HEADINGS[:, None] + np.pi / SECTORS * np.array([1.0, -1.0])  # left and right
    x, y = mount.across(sides, away[:, None]) * width, mount.down(sides, away[:, None]) * height
    middle = mount.across(HEADINGS, away)
    drawn = (sure >= DOUBT) & (middle >= 0.0) & (middle <= 1.0) & np.isfinite(x).all(axis=1)
    y, tall = np.clip(y, 0.0, height), _TALLEST * height * np.minimum(sure, 1.0)
    bars = zip(*x[drawn].T, *y[drawn].T, tall[drawn], strict=True)
    return "".join(f"M{a:.1f} {c:.1f}L{b:.1f} {d:.1f}v{-up:.1f}L{a:.1f} {c - up:.1f}Z" for a, b, c, d, up in bars)


def dots(mount: CameraMount, points: FloatArray, width: int, height: int) -> str:
    """Points of the ground, (n, 2) m in the body's frame, as far as they are in view: an SVG path of a dot for each
    pixel that one falls on."""
    x, y = points[:, 0] - mount.x, points[:, 1]
    bearing, away = np.arctan2(y, x), np.hypot(x, y)
    places = np.column_stack([mount.across(bearing, away), mount.down(bearing, away)])
    places = places[((places >= 0.0) & (places <= 1.0)).all(axis=1)]
    pixels = np.unique(np.rint(places * (width, height)).astype(np.int64), axis=0)
    return "".join(f"M{a} {b}h0" for a, b in pixels)


def stays(moments: Sequence[IntArray]) -> list[list[int]]:
    """How long each cell was remembered: its two numbers, and the first and the last of the moments, which follow each
    other, in which it was; one that was forgotten in between is there twice."""
    found, begun = [], dict[tuple[int, int], int]()
    for k, cells in enumerate([*moments, np.empty((0, 2), np.int64)]):
        now = {(int(i), int(j)) for i, j in cells}
        found += [[*cell, begun.pop(cell), k - 1] for cell in sorted(begun.keys() - now)]
        begun |= dict.fromkeys(now - begun.keys(), k)
    return found

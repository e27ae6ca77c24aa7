"""Obstacles that move by themselves: upright cylinders that walk, stop, step out before a robot, or come after it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np

from hybrid_control.geometry.shapes import FloatArray

KINDS = ("patrol", "once", "chase")
PATROL, ONCE, CHASE = range(3)
KEEP = 0.3  # m at which one who chases stands before the circle around the robot
NEVER = math.inf

# columns of a mover's row, and of where it is
RADIUS, AX, AY, BX, BY, SPEED, PHASE, KIND, TRIGGER, PAUSE = range(10)
PX, PY, BEGAN = range(3)


@dataclass(frozen=True, slots=True)
class Mover:
    """An upright cylinder that walks at constant speed, and turns or halts at once.

    radius: m; a, b: (x, y) m, the ends of its way; speed: m/s. kind: "patrol" walks to and fro for ever, "once" from a
    to b, where it stays, "chase" comes after the robot as far from a as b is, and stands 0.3 m before it. pause: s for
    which it stands half-way, each time that it comes there. trigger: m; it waits until the robot's middle is as near to
    its way, and 0 waits for nothing. phase: where on its way it begins, 0 .. 1, of a patrol in its round trip (0 at a,
    0.5 at b).
    """

    radius: float
    a: tuple[float, float]
    b: tuple[float, float]
    speed: float
    phase: float = 0.0
    kind: str = "patrol"
    trigger: float = 0.0
    pause: float = 0.0

    def __post_init__(self) -> None:
        values = (self.radius, *self.a, *self.b, self.speed, self.phase, self.trigger, self.pause)
        if self.kind not in KINDS:
            raise ValueError(f"mover: kind {self.kind!r}, expected one of {', '.join(KINDS)}")
        if not all(math.isfinite(v) for v in values) or self.radius <= 0 or self.speed < 0:
            raise ValueError(f"mover: {self} must be finite, with radius > 0 and speed >= 0")
        if self.trigger < 0 or self.pause < 0:
            raise ValueError(f"mover: {self} must have a trigger and a pause of 0 or more")

    @property
    def row(self) -> tuple[float, ...]:
        """Its numbers: radius, a, b, speed, phase, the kind's place in KINDS, trigger, pause."""
        kind = KINDS.index(self.kind)
        return (self.radius, *self.a, *self.b, self.speed, self.phase, kind, self.trigger, self.pause)

    @classmethod
    def of(cls, row: Sequence[float]) -> Mover:
        """The mover of a `row`, or of one that ends with the phase; ValueError for what is none."""
        if len(row) not in (PHASE + 1, PAUSE + 1):
            raise ValueError(f"mover: {len(row)} numbers, expected {PHASE + 1} or {PAUSE + 1}")
        radius, ax, ay, bx, by, speed, phase, kind, trigger, pause = (*row, 0.0, 0.0, 0.0)[: PAUSE + 1]
        if kind not in range(len(KINDS)):
            raise ValueError(f"mover: kind {kind:g}, expected 0 .. {len(KINDS) - 1}")
        return cls(radius, (ax, ay), (bx, by), speed, phase, KINDS[int(kind)], trigger, pause)

    def at(self, time_s: float) -> tuple[float, float]:
        """Where it is, (x, y) m, so long after it began to walk; one who chases is where it begins."""
        if self.kind == "chase":
            return self.a
        share = _share(np.array(self.row), time_s)
        (ax, ay), (bx, by) = self.a, self.b
        return ax + share * (bx - ax), ay + share * (by - ay)


@numba.njit(cache=True, nogil=True)
def walk(
    movers: FloatArray, places: FloatArray, now: float, dt: float, x: float, y: float, radius: float
) -> None:
    """Brings movers up to date, s after the beginning, dt s after they were last.

    movers: (m, 10) rows; places: (m, 3) x, y, m, and the time in s at which each began to walk, inf for not yet; x, y,
    radius: m, the robot's middle and the circle around its outline.
    """
    for i in range(movers.shape[0]):
        m, place = movers[i], places[i]
        if place[BEGAN] == NEVER and _distance(m, x, y) <= m[TRIGGER]:
            place[BEGAN] = now
        if m[KIND] == CHASE:
            if place[BEGAN] != NEVER:
                _chase(m, place, dt, x, y, radius)
            continue
        share = _share(m, max(now - place[BEGAN], 0.0))
        place[PX], place[PY] = m[AX] + share * (m[BX] - m[AX]), m[AY] + share * (m[BY] - m[AY])


@numba.njit(cache=True, nogil=True)
def _share(m: FloatArray, walked: float) -> float:
    """How far along its way a mover is, 0 .. 1, so many s after it began to walk."""
    length = math.hypot(m[BX] - m[AX], m[BY] - m[AY])
    if length == 0.0:
        return 0.0
    halt = m[PAUSE] * m[SPEED]  # m that it would go while it stands
    if m[KIND] == ONCE:
        share = min(m[PHASE] + walked * m[SPEED] / (length + halt), 1.0)
    else:
        trip = (m[PHASE] + walked * m[SPEED] / (2.0 * (length + halt))) % 1.0
        share = 2.0 * trip if trip < 0.5 else 2.0 - 2.0 * trip
    if halt == 0.0:
        return share
    way = share * (length + halt)
    return min(max(0.5 * length, way - halt), way) / length


@numba.njit(cache=True, nogil=True)
def _distance(m: FloatArray, x: float, y: float) -> float:
    """m from a point to a mover's way."""
    dx, dy = m[BX] - m[AX], m[BY] - m[AY]
    square = dx * dx + dy * dy
    along = min(max(((x - m[AX]) * dx + (y - m[AY]) * dy) / square, 0.0), 1.0) if square > 0.0 else 0.0
    return math.hypot(x - m[AX] - along * dx, y - m[AY] - along * dy)


@numba.njit(cache=True, nogil=True)
def _chase(m: FloatArray, place: FloatArray, dt: float, x: float, y: float, radius: float) -> None:
    """One step towards the robot, up to KEEP before it, no farther from a than b is."""
    leash, out = math.hypot(m[BX] - m[AX], m[BY] - m[AY]), math.hypot(x - m[AX], y - m[AY])
    room = math.hypot(x - place[PX], y - place[PY]) - (m[RADIUS] + radius + KEEP)
    if out > leash:
        x, y = m[AX] + (x - m[AX]) * leash / out, m[AY] + (y - m[AY]) * leash / out
    away = math.hypot(x - place[PX], y - place[PY])
    step = min(m[SPEED] * dt, away, room)
    if step > 0.0:
        place[PX] += step * (x - place[PX]) / away
        place[PY] += step * (y - place[PY]) / away


class Walk:
    """Where a world's movers are, as time goes on and a robot drives among them.

    rows: (m, 10) of the movers; places: (m, 3) as `walk` has them, at time_s; radius: m, of the circle around the
    robot's outline.
    """

    def __init__(self, movers: Sequence[Mover], radius: float, x: float, y: float) -> None:
        self.rows = np.array([m.row for m in movers], np.float64).reshape(-1, 10)
        self.places = np.zeros((len(movers), 3))
        self.radius, self.time_s = radius, 0.0
        self.places[:, :BEGAN] = self.rows[:, AX:BX]
        self.places[:, BEGAN] = np.where(self.rows[:, TRIGGER] > 0.0, NEVER, 0.0)
        walk(self.rows, self.places, 0.0, 0.0, x, y, radius)

    def to(self, time_s: float, x: float, y: float) -> None:
        """Lets time pass, with the robot's middle at (x, y) m; back in time nothing changes."""
        if time_s > self.time_s:
            walk(self.rows, self.places, time_s, time_s - self.time_s, x, y, self.radius)
            self.time_s = time_s

    @property
    def circles(self) -> FloatArray:
        """(m, 3) x, y, radius, now."""
        return np.column_stack((self.places[:, :BEGAN], self.rows[:, RADIUS]))

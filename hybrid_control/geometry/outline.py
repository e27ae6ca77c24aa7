"""A rectangular outline that moves: how far points are from it, and whether its way keeps clear of them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]

STEPS = 6  # poses checked along a way, and along each further part of a long one
MAX_PARTS = 200
TURN_STEP = 0.4  # rad between two of them
OUTLINE = np.dtype(
    [(name, np.float64) for name in ("half_length", "half_width", "margin", "middle")], align=True
)  # m; the margin is what is to be kept around it, the middle lies so far ahead of the body's frame


class Outline(NamedTuple):
    """A rectangle that is fixed to a body: half its sides, and how far its middle lies ahead of the body's frame, m."""

    half_length: float
    half_width: float
    middle: float = 0.0

    @property
    def reach(self) -> float:
        """m from the body's frame to the farthest corner."""
        return math.hypot(self.half_length + abs(self.middle), self.half_width)

    def holds(self, x: NDArray[Any], y: NDArray[Any], more: float = 0.0) -> NDArray[np.bool_]:
        """Which points, (n,) m in the body's frame, lie in it, or in one that is wider by `more` m on each side."""
        inside: NDArray[np.bool_] = (np.abs(x - self.middle) < self.half_length + more) & (
            np.abs(y) < self.half_width + more
        )
        return inside


@numba.njit(cache=True, nogil=True)
def outline_distance(x: float, y: float, half_length: float, half_width: float) -> float:
    """Signed distance in m from a point in the frame of the outline's middle to the outline; negative inside."""
    dx = abs(x) - half_length
    dy = abs(y) - half_width
    return math.hypot(dx, dy) if dx > 0.0 and dy > 0.0 else max(dx, dy)


@numba.njit(cache=True, nogil=True)
def nearest_distance(points: Float32Array, count: int, outline: Any) -> float:
    """Signed distance in m from an OUTLINE to the nearest of the first `count` points, (n, 2) m in the body frame; inf
    for none."""
    nearest = np.inf
    for i in range(count):
        x = points[i, 0] - outline.middle
        nearest = min(nearest, outline_distance(x, points[i, 1], outline.half_length, outline.half_width))
    return nearest


@numba.njit(cache=True, nogil=True)
def displacement(x: float, y: float, angular: float, time: float) -> tuple[float, float, float]:
    """Where a body is after a time with a constant twist (x, y m/s, angular rad/s): (x, y, yaw) in its first frame.

    The integral of R(angular t) (x, y): with s = sin(yaw) / angular and c = (1 - cos(yaw)) / angular it is
    (s x - c y, c x + s y); near angular = 0 the series of both.
    """
    yaw = angular * time
    dx, dy = _displaced(x, y, angular, time, yaw, math.cos(yaw), math.sin(yaw))
    return dx, dy, yaw


@numba.njit(cache=True, nogil=True)
def carried_on(
    pose: tuple[float, float, float], twist: tuple[float, float, float], time: float
) -> tuple[float, float, float]:
    """Where a pose (x, y m, yaw rad) has been carried to a little later by a twist (x, y m/s in the body's frame,
    angular rad/s): at its speeds in the heading at the end."""
    x, y, yaw = pose
    ahead, aside, angular = twist
    yaw += angular * time
    c, s = math.cos(yaw), math.sin(yaw)
    return x + (ahead * c - aside * s) * time, y + (ahead * s + aside * c) * time, yaw


@numba.njit(cache=True, nogil=True)
def _displaced(
    x: float, y: float, angular: float, time: float, yaw: float, cosine: float, sine: float
) -> tuple[float, float]:
    """`displacement` where cosine and sine of the yaw are known."""
    if abs(yaw) < 1e-6:
        return x * time - 0.5 * y * time * yaw, 0.5 * x * time * yaw + y * time
    c, along, across = 1.0 - cosine, x / angular, y / angular
    return along * sine - across * c, along * c + across * sine


@numba.njit(cache=True, nogil=True)
def _turned(c: float, s: float, cosine: float, sine: float) -> tuple[float, float]:
    """Cosine and sine of the sum of two angles."""
    return c * cosine - s * sine, s * cosine + c * sine


@numba.njit(cache=True, nogil=True)
def _pose(
    twist: tuple[float, float, float],
    drift: tuple[float, float],
    horizon: float,
    k: int,
    steps: int,
    turn: tuple[float, float],
) -> tuple[float, float, float, float]:
    """Place, cosine and sine of the yaw at step k of `steps`; turn: that cosine and sine."""
    time = horizon * k / steps
    x, y = _displaced(twist[0], twist[1], twist[2], time, twist[2] * time, turn[0], turn[1])
    return x + drift[0] * k / steps, y + drift[1] * k / steps, turn[0], turn[1]


@numba.njit(cache=True, nogil=True)
def _parts(
    twist: tuple[float, float, float], drift: tuple[float, float], horizon: float, outline: Any
) -> int:
    """In how many parts of STEPS poses a way is looked at, so that nothing is stepped over: no pose is farther from the
    one before it than half the outline's smaller side, or turned by more than TURN_STEP."""
    way = math.sqrt(twist[0] ** 2 + twist[1] ** 2) * horizon + math.sqrt(drift[0] ** 2 + drift[1] ** 2)
    way += abs(outline.middle * twist[2]) * horizon
    steps = max(way / min(outline.half_length, outline.half_width), abs(twist[2]) * horizon / TURN_STEP)
    return min(max(math.ceil(steps / STEPS), 1), MAX_PARTS)


@numba.njit(cache=True, nogil=True)
def farthest_corner(outline: Any) -> float:
    """`Outline.reach` of an OUTLINE."""
    return math.hypot(outline.half_length + abs(outline.middle), outline.half_width)


@numba.njit(cache=True, nogil=True)
def reach_of(
    twist: tuple[float, float, float], horizon: float, drift: tuple[float, float], nose: float, outline: Any
) -> float:
    """m from the body's frame within which points lie that `stays_clear` may meet."""
    way = math.sqrt(twist[0] ** 2 + twist[1] ** 2) * horizon + math.sqrt(drift[0] ** 2 + drift[1] ** 2)
    length = outline.half_length + abs(outline.middle) + nose
    return way + math.sqrt(length**2 + outline.half_width**2) + outline.margin + 1e-3


@numba.njit(cache=True, nogil=True)
def stays_clear(
    points: Float32Array,
    count: int,
    twist: tuple[float, float, float],
    horizon: float,
    drift: tuple[float, float],
    nose: float,
    outline: Any,
) -> bool:
    """Whether the outline stays its margin off all points for `horizon` s, at six poses along each part of the way.

    points: (n, 2) m in the body frame, the first `count` of them valid. twist: x and y m/s, angular rad/s; drift: x
    and y m that the body moves besides. nose: m by which the outline is longer ahead. outline: an OUTLINE.
    A point that is nearer than the margin at the start is no reason to refuse motion that does not bring it nearer.
    """
    parts = _parts(twist, drift, horizon, outline) if count > 0 else 0
    for part in range(parts):
        if not _part_is_clear(points, count, twist, horizon, drift, nose, outline, (part, parts)):
            return False
    return True


@numba.njit(cache=True, nogil=True)
def _part_is_clear(
    points: Float32Array,
    count: int,
    twist: tuple[float, float, float],
    horizon: float,
    drift: tuple[float, float],
    nose: float,
    outline: Any,
    part: tuple[int, int],
) -> bool:
    """`stays_clear` for one part of the way, (which, of how many)."""
    margin, width = outline.margin, outline.half_width
    k, steps = STEPS * part[0], STEPS * part[1]
    shift = outline.middle + 0.5 * nose
    length = outline.half_length + 0.5 * nose
    step = twist[2] * horizon / steps
    c, s = math.cos(step), math.sin(step)  # of one step's turn; the others' follow from it
    before = (1.0, 0.0) if k == 0 else (math.cos(k * step), math.sin(k * step))
    one = _turned(c, s, *before)
    two = _turned(c, s, *one)
    three = _turned(c, s, *two)
    four = _turned(c, s, *three)
    five = _turned(c, s, *four)
    six = _turned(c, s, *five)
    poses = (  # a tuple, which needs no memory
        _pose(twist, drift, horizon, k + 1, steps, one), _pose(twist, drift, horizon, k + 2, steps, two),
        _pose(twist, drift, horizon, k + 3, steps, three), _pose(twist, drift, horizon, k + 4, steps, four),
        _pose(twist, drift, horizon, k + 5, steps, five), _pose(twist, drift, horizon, k + 6, steps, six),
    )  # fmt: skip
    # the box around all of them: what lies outside need not be looked at closer
    left = low = np.inf
    right = high = -np.inf
    for px, py, c, s in poses:
        along = abs(c) * (length + margin) + abs(s) * (width + margin) + 1e-9
        across = abs(s) * (length + margin) + abs(c) * (width + margin) + 1e-9
        x, y = px + c * shift, py + s * shift
        left, right = min(left, x - along), max(right, x + along)
        low, high = min(low, y - across), max(high, y + across)
    for i in range(count):
        x = points[i, 0]
        y = points[i, 1]
        if x < left or x > right or y < low or y > high:
            continue
        for px, py, c, s in poses:
            dx = x - px
            dy = y - py
            bx, by = c * dx + s * dy - shift, c * dy - s * dx
            # most points are beside, where no root is needed to see that they are farther than the margin
            if abs(bx) - length >= margin or abs(by) - width >= margin:
                continue
            distance = outline_distance(bx, by, length, width)
            if distance < margin and distance < outline_distance(x - shift, y, length, width) - 1e-4:
                return False
    return True

"""The planner's rate follows need: while next to nothing has changed since the last inference, its rates hold.

What counts is what the network sees: the image, the goal's bearing and distance, and the robot's speeds. A newer image
that shows the same gets the same rates, with its own stamp, so the encoder and the reflex see no gap.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.planner.images import UInt8Array
from hybrid_control.navigation.planner.planner import Planner
from hybrid_control.signals import Goal, Odometry, RangeScan, RateVector

GRID = (12, 16)  # pixels of the image that are looked at
IMAGE_CHANGE = 12.0  # grey levels, mean over the pixels, above which the image shows something else
MOVED = 0.25  # m
TURNED = math.radians(4.0)
SPEED_CHANGE = 0.2  # m/s
EVEN = 8.0  # grey levels of deviation below which an image may show nothing: the planner is to judge that


class _Seen(NamedTuple):
    """What an inference was made of, and what came of it."""

    stamp_ns: int
    pixels: NDArray[np.float32]
    pose: tuple[float, float, float]
    speed: float
    bearing: float
    rates: RateVector


class PlannerOnNeed:
    """A planner that is asked when something has changed, at the latest after `hold` seconds; 0: for every image.

    planner: what it asks. inferences, images: how many there were. Errors are the planner's.
    """

    def __init__(self, planner: Planner, hold: float) -> None:
        self._planner, self._hold_ns = planner, round(hold * 1e9)
        self.reset()

    def reset(self) -> None:
        """Nothing was seen."""
        self._last: _Seen | None = None
        self.inferences = self.images = 0

    @property
    def max_rate(self) -> float:
        """The planner's, in Hz."""
        return self._planner.max_rate

    @property
    def closes(self) -> bool:
        """As the planner's; rates that hold say nothing of directions, for nothing new was seen."""
        return self._planner.closes

    @property
    def scans(self) -> bool:
        """As the planner's."""
        return self._planner.scans

    @property
    def depths(self) -> bool:
        """As the planner's."""
        return self._planner.depths

    def plan(
        self,
        image: UInt8Array,
        odometry: Odometry,
        goal: Goal,
        stamp_ns: int,
        *,
        states: bool = False,
        scan: RangeScan | None = None,
        depth: NDArray | None = None,
    ) -> RateVector:
        """As `Planner.plan`; rates that hold bring no states along, for nothing has turned."""
        self.images += 1
        last, more = self._last, {"states": states, "scan": scan, "depth": depth}
        if not self._hold_ns or not isinstance(image, np.ndarray) or image.ndim != 3 or 0 in image.shape:
            return self._ask((image, odometry, goal, stamp_ns), more, None)
        pixels = _pixels(image)
        if last is not None and self._same(last, pixels, odometry, goal, stamp_ns):
            return RateVector(stamp_ns, last.rates.rates, last.rates.populations)
        return self._ask((image, odometry, goal, stamp_ns), more, pixels)

    def _ask(
        self,
        seen: tuple[UInt8Array, Odometry, Goal, int],
        more: dict[str, Any],
        pixels: NDArray[np.float32] | None,
    ) -> RateVector:
        self.inferences += 1
        self._last = None
        rates = self._planner.plan(*seen, **more)
        _, odometry, goal, stamp_ns = seen
        if pixels is not None:
            pose = odometry.pose
            bearing = pose.to_body(goal.x, goal.y)[1]
            speed = odometry.twist.linear_x
            self._last = _Seen(stamp_ns, pixels, (pose.x, pose.y, pose.yaw), speed, bearing, rates)
        return rates

    def _same(
        self, last: _Seen, pixels: NDArray[np.float32], odometry: Odometry, goal: Goal, stamp_ns: int
    ) -> bool:
        """Whether the last inference's rates hold for this image."""
        pose = odometry.pose
        x, y, yaw = last.pose
        return bool(
            0 <= stamp_ns - last.stamp_ns <= self._hold_ns
            and float(pixels.std()) >= EVEN
            and math.hypot(pose.x - x, pose.y - y) <= MOVED
            and _turn(pose.yaw - yaw) <= TURNED
            and _turn(pose.to_body(goal.x, goal.y)[1] - last.bearing) <= TURNED
            and abs(odometry.twist.linear_x - last.speed) <= SPEED_CHANGE
            and float(np.abs(pixels - last.pixels).mean()) <= IMAGE_CHANGE
        )

    def state(self) -> Any:
        """What it goes on from."""
        return self._last, self.inferences, self.images

    def set_state(self, state: Any) -> None:
        """Go on from a state."""
        self._last, self.inferences, self.images = state


def _pixels(image: UInt8Array) -> NDArray[np.float32]:
    """GRID means of blocks of the image, of grey levels; a few of each block's pixels stand for it."""
    height, width = image.shape[:2]
    rows = np.linspace(0, height - 1, 3 * GRID[0]).astype(np.intp)
    columns = np.linspace(0, width - 1, 3 * GRID[1]).astype(np.intp)
    grey = image[rows[:, None], columns].mean(axis=2, dtype=np.float32)
    means: NDArray[np.float32] = grey.reshape(GRID[0], 3, GRID[1], 3).mean(axis=(1, 3))
    return means


def _turn(angle: float) -> float:
    """How far an angle is from 0, in 0 .. pi."""
    return abs(math.remainder(angle, 2.0 * math.pi))

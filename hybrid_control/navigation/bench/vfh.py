"""VFH+: Ulrich and Borenstein, "VFH+: reliable obstacle avoidance for fast mobile robots", ICRA 1998.

Of the paper's histogram grid the newest scan alone is kept: certainty 1 in the cells that it met.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.shapes import FloatArray
from hybrid_control.navigation.bench.gap import gaps
from hybrid_control.navigation.bench.scan_driver import ScanDriver, View, turn_to

SECTORS = 72  # of 5 degrees, as in the paper
ANGLES: NDArray[Any] = -math.pi + (np.arange(SECTORS) + 0.5) * (2.0 * math.pi / SECTORS)
WIDE = 16  # sectors of a wide opening, the paper's s_max
GOAL, PRESENT, PREVIOUS = 5.0, 2.0, 2.0  # the paper's mu 1, 2 and 3 for a goal-oriented robot


def difference(a: Any, b: Any) -> Any:
    """How far two angles are apart, 0 .. pi rad; each within a turn of the other."""
    turned = np.asarray(a) - b + math.pi
    # as a remainder by a turn, to the bit, which takes several times as long
    turned = turned + 2.0 * math.pi * (turned < 0.0) - 2.0 * math.pi * (turned >= 2.0 * math.pi)
    return np.abs(turned - math.pi)


def primary_histogram(points: FloatArray, radius: float, reach: float) -> FloatArray:
    """Obstacle density of each sector, (72,): the sum of m over the points whose enlargement covers it.

    points: (n, 2) m, body frame. m = c² (a - b d²) with c = 1, a = 1 and b so that m is 0 at `reach` m; each point
    is enlarged by asin(radius / d), radius being the robot's with its margin (the paper's r_r+s).
    """
    distance = np.hypot(points[:, 0], points[:, 1])
    near = distance <= reach
    points, distance = points[near], np.maximum(distance[near], 1e-6)
    magnitude = 1.0 - (distance / reach) ** 2
    enlarged = np.arcsin(np.minimum(radius / distance, 1.0))
    covered = (
        difference(ANGLES[None, :], np.arctan2(points[:, 1], points[:, 0])[:, None]) <= enlarged[:, None]
    )
    return (covered * magnitude[:, None]).sum(axis=0)


def binary_histogram(
    primary: FloatArray, before: NDArray[np.bool_], low: float, high: float
) -> NDArray[np.bool_]:
    """Blocked above `high`, free below `low`, in between as before: the paper's hysteresis. (72,) each."""
    return np.where(primary > high, True, np.where(primary < low, False, before))


def masked_histogram(
    blocked: NDArray[np.bool_], points: FloatArray, turning_radius: float, radius: float, reach: float
) -> NDArray[np.bool_]:
    """Blocked sectors, and those behind an obstacle that lies in the way of turning to them.

    An obstacle within turning_radius + radius of a turning circle's centre blocks everything from its bearing on,
    backwards on that side (the paper's limit angles phi_l and phi_r).
    """
    if len(points) == 0:
        return blocked
    near = np.hypot(points[:, 0], points[:, 1]) <= reach
    points = points[near]
    left_limit, right_limit = math.pi, -math.pi
    if len(points):
        bearing = np.arctan2(points[:, 1], points[:, 0])
        for side in (1.0, -1.0):
            hits = np.hypot(points[:, 0], points[:, 1] - side * turning_radius) < turning_radius + radius
            mine = hits & (side * bearing > 0)
            if mine.any():
                if side > 0:
                    left_limit = float(bearing[mine].min())
                else:
                    right_limit = float(bearing[mine].max())
    return blocked | (left_limit < ANGLES) | (right_limit > ANGLES)


def candidates(blocked: NDArray[np.bool_], goal: float) -> FloatArray:
    """Candidate directions in rad: the middle of a narrow opening; of a wide one a place WIDE / 2 sectors from
    either border, and the goal's direction where it lies between those.
    """
    if not blocked.any():
        return np.array([goal])
    shift = int(np.flatnonzero(blocked)[0])  # start in a blocked sector, so that no opening is cut in two
    step = 2.0 * math.pi / SECTORS
    found = []
    for first, last in gaps(~np.roll(blocked, -shift)):
        right = ANGLES[0] + (first + shift) * step
        left = ANGLES[0] + (last + shift) * step
        if last - first + 1 <= WIDE:
            found.append(0.5 * (right + left))
            continue
        inner_right, inner_left = right + 0.5 * WIDE * step, left - 0.5 * WIDE * step
        found += [inner_right, inner_left]
        turned = inner_right + (goal - inner_right) % (2.0 * math.pi)
        if turned <= inner_left:
            found.append(turned)
    return (np.array(found) + math.pi) % (2.0 * math.pi) - math.pi


def cost(direction: Any, goal: float, present: float, previous: float) -> Any:
    """The paper's equation for g(c), angles in rad: mu1 D(c, goal) + mu2 D(c, heading) + mu3 D(c, previous)."""
    return (
        GOAL * difference(direction, goal)
        + PRESENT * difference(direction, present)
        + PREVIOUS * difference(direction, previous)
    )


class Vfh(ScanDriver):
    """VFH+ with speed by the free way ahead.

    reach: m, of the active window; margin: m kept beside the half width; low, high: thresholds of the histogram.
    """

    def __init__(
        self, reach: float = 2.0, margin: float = 0.10, low: float = 0.15, high: float = 0.35
    ) -> None:
        self.reach, self.margin, self.low, self.high = reach, margin, low, high

    def prepare(self, seed: int) -> None:
        """An empty histogram; the first direction is straight ahead."""
        self._blocked = np.zeros(SECTORS, np.bool_)
        self._previous = 0.0

    def steer(self, view: View) -> tuple[float, float]:
        """One decision of the method."""
        radius = 0.5 * self.robot.width + self.margin
        reach = min(self.reach, max(view.distance, 0.5))
        primary = primary_histogram(view.points, radius, reach)
        self._blocked = binary_histogram(primary, self._blocked, self.low, self.high)
        turning = abs(view.linear) / self.robot.max_yaw_rate
        choices = candidates(
            masked_histogram(self._blocked, view.points, turning, radius, reach), view.bearing
        )
        if choices.size == 0:
            choices = candidates(self._blocked, view.bearing)
        if choices.size == 0:
            return 0.0, math.copysign(1.0, view.bearing)
        previous = self._previous - view.angular * 0.05  # it was chosen in the body frame of 50 ms ago
        heading = float(choices[np.argmin(cost(choices, view.bearing, 0.0, previous))])
        self._previous = heading
        ahead = view.points[(view.points[:, 0] > 0) & (np.abs(view.points[:, 1]) < radius)]
        free = max(float(ahead[:, 0].min()) - self.robot.front - 0.1, 0.0) if len(ahead) else 10.0
        braking = math.sqrt(2.0 * 0.5 * self.robot.deceleration * free)
        crowded = max(1.0 - float(primary[SECTORS // 2 - 3 : SECTORS // 2 + 3].max()) / 10.0, 0.25)
        return turn_to(heading, min(self.robot.max_speed * crowded, braking), self.robot)

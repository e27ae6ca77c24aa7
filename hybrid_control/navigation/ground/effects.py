"""What taught ground does to a plan: headings inhibited, a pull towards something, less speed."""

from __future__ import annotations

import math

import numpy as np

from hybrid_control.navigation.ground.classes import APPROACH, AVOID, SLOW
from hybrid_control.navigation.ground.memory import SeenGround
from hybrid_control.navigation.planner.contract import encode_speed
from hybrid_control.navigation.sensors.fusion import nearest_by_sector
from hybrid_control.signals import Odometry, RateVector
from hybrid_control.signals.headings import HEADINGS

NEAR = 1.6  # m, within which ground to be avoided inhibits its heading
PULL = 0.8  # of a plan that becomes the pull towards what is to be approached
WIDTH = 0.17  # rad, standard deviation of that pull
AHEAD, ASIDE = 1.0, 0.3  # m, where ground on which to go slowly counts
SLOW_SPEED = 0.3  # m/s, there
GROWS = 0.35  # by which the wish to go slowly grows with each plan, for each m/s above that
MOST = 4.0  # of it: times the rates of a planner's wish to stand


class Effects:
    """What the ground does to one plan after another. slow_speed: m/s, on ground on which to go slowly."""

    def __init__(self, slow_speed: float = SLOW_SPEED) -> None:
        self._slow_speed = slow_speed
        self._wish = 0.0  # to go slowly

    def blended(
        self, plan: RateVector, seen: SeenGround, odometry: Odometry, fastest: float = math.inf
    ) -> RateVector:
        """A plan's rates (heading and speed) with what the ground around the robot does to them.

        Headings in which ground to be avoided was seen within NEAR are silent. Where something to be approached was
        seen, a bump in its direction takes PULL of the plan's place. Where slow ground lies ahead, and where fastest,
        m/s, says so, the speed's code asks to stand, with rates that grow until the robot is as slow as it is to be:
        how much the reflex makes of them depends on all else that excites it.
        """
        heading, speed, pose = plan.of("heading").copy(), plan.of("speed"), odometry.pose
        target = seen.points(APPROACH, pose)
        if len(target):
            x, y = target[np.hypot(target[:, 0], target[:, 1]).argmin()]
            away = np.remainder(HEADINGS - np.arctan2(y, x) + np.pi, 2 * np.pi) - np.pi
            bump = np.exp(-0.5 * (away / WIDTH) ** 2)
            heading = (1.0 - PULL) * heading + PULL * float(heading.max()) * bump.astype(np.float32)
        heading[nearest_by_sector(seen.points(AVOID, pose)) < NEAR] = 0.0
        slow = seen.points(SLOW, pose)
        if ((slow[:, 0] > 0) & (slow[:, 0] < AHEAD) & (np.abs(slow[:, 1]) < ASIDE)).any():
            fastest = min(fastest, self._slow_speed)
        if fastest < math.inf:
            above = odometry.twist.linear_x - fastest
            self._wish = min(max(self._wish + GROWS * above, 0.0), MOST)
            speed = np.maximum(speed, self._wish * encode_speed(0.0, float(speed.max())))
        else:
            self._wish = 0.0
        return RateVector(plan.stamp_ns, np.concatenate([heading, speed]), plan.populations)

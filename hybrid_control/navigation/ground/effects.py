"""What taught ground does to a plan: headings inhibited, a pull towards something, less speed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.ground.learner import APPROACH, AVOID, SLOW, GroundLearner
from hybrid_control.navigation.planner.contract import PREFERRED_SPEEDS, encode_speed
from hybrid_control.navigation.sensors.fusion import nearest_by_sector
from hybrid_control.signals import Pose, RateVector
from hybrid_control.signals.headings import HEADINGS

NEAR = 1.6  # m, within which ground to be avoided inhibits its heading
PULL = 0.8  # of a plan that becomes the pull towards what is to be approached
WIDTH = 0.17  # rad, standard deviation of that pull
CREEP = 0.3  # of the greatest speed, at most, before ground on which to go slowly
AHEAD, ASIDE = 1.0, 0.3  # m, where such ground counts


def blended(plan: RateVector, learner: GroundLearner, pose: Pose) -> RateVector:
    """A plan's rates (heading and speed) with what the ground around a pose of the odometry's frame does to them.

    Headings in which ground to be avoided was seen within NEAR are silent. Where something to be approached was seen, a
    bump in its direction takes PULL of the plan's place. Where slow ground lies ahead, the speed is CREEP at most.
    """
    heading, speed = plan.of("heading").copy(), plan.of("speed").copy()
    target = learner.points(APPROACH, pose)
    if len(target):
        x, y = target[np.hypot(target[:, 0], target[:, 1]).argmin()]
        away = np.remainder(HEADINGS - np.arctan2(y, x) + np.pi, 2 * np.pi) - np.pi
        bump = np.exp(-0.5 * (away / WIDTH) ** 2)
        heading = (1.0 - PULL) * heading + PULL * float(heading.max()) * bump.astype(np.float32)
    heading[nearest_by_sector(learner.points(AVOID, pose)) < NEAR] = 0.0
    slow = learner.points(SLOW, pose)
    if ((slow[:, 0] > 0) & (slow[:, 0] < AHEAD) & (np.abs(slow[:, 1]) < ASIDE)).any():
        speed = _at_most(speed, CREEP)
    return RateVector(plan.stamp_ns, np.concatenate([heading, speed]), plan.populations)


def _at_most(speed: NDArray[np.float32], fraction: float) -> NDArray[np.float32]:
    """A speed's code, cut to a fraction of the greatest speed."""
    total = float(speed.sum())
    if total <= 0 or float(speed @ PREFERRED_SPEEDS) / total <= fraction:
        return speed
    code = encode_speed(fraction, 1.0)
    return (float(speed.max()) * code / code.max()).astype(np.float32)

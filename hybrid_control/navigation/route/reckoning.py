"""Where the robot is on the grid by odometry, what odometry does wrong all the time, and how sure both are.

A wheel that is larger than was measured, and a base that slips as it turns, err alike on every metre. So the filter of
the pose has three more states: the shares of its way and of its turn by which the robot does more than odometry says,
and by how much it turns, to the left, per metre ahead. As long as something that stands is in sight, scans tell them
along with the pose (`route.align`); where nothing is, they keep the pose true for longer.
"""

from __future__ import annotations

import math

import numpy as np

from hybrid_control.geometry.eikonal import FloatArray
from hybrid_control.signals import Pose
from hybrid_control.signals.headings import wrapped

DRIFT, TURN_DRIFT = 0.05, 0.05  # m and rad per m driven, rad per rad turned, by which odometry may err
# What it may do wrong all the time, as standard deviations: of the way a share, as of tyres that are less full than
# they were; of the turn a share, as where wheels slip; rad per m, as of a wheel that is 1 % larger than one 0.35 m
# beside it.
FARTHER, MORE_TURN, BEND = 0.02, 0.05, 0.03
STATES = 6  # x, y, yaw; share of the way, share of the turn, rad per m


def foreseen(spread: FloatArray, dx: float, dy: float, turn: float, ahead: float) -> FloatArray:
    """The covariance (6, 6) after the robot has moved by (dx, dy) m, `ahead` m of it forwards, and turned by `turn`
    rad.

    What it was, carried along, and what odometry adds: shares of the way and of the turn.
    """
    carry = np.eye(STATES)
    carry[0, 2:4] = -dy, dx
    carry[1, 2:4] = dx, dy
    carry[2, 4:6] = turn, ahead
    after = carry @ spread @ carry.T
    way = math.hypot(dx, dy)
    place = (DRIFT * way) ** 2 + 1e-10
    after[0, 0] += place
    after[1, 1] += place
    after[2, 2] += (DRIFT * way + TURN_DRIFT * abs(turn)) ** 2 + 1e-10
    return after


class Reckoning:
    """The way from the odometry's frame to the grid's.

    correction: (x, y, yaw) that leads from the one to the other; errors: (3,) by which odometry errs all the time;
    spread: (6, 6), covariance of the robot's pose on the grid and of the errors.
    """

    def __init__(self) -> None:
        self.correction = Pose()
        self.errors = np.zeros(3)
        self.spread = np.diag((0.0, 0.0, 0.0, FARTHER**2, MORE_TURN**2, BEND**2))
        self._before: Pose | None = None  # where odometry had the robot when this was last looked into

    def place(self, pose: Pose) -> Pose:
        """A pose of the odometry on the grid."""
        t = self.correction
        c, s = math.cos(t.yaw), math.sin(t.yaw)
        return Pose(t.x + c * pose.x - s * pose.y, t.y + s * pose.x + c * pose.y, pose.yaw + t.yaw)

    def to_odometry(self, x: float, y: float) -> tuple[float, float]:
        """A point of the grid in the odometry's frame."""
        t = self.correction
        c, s = math.cos(t.yaw), math.sin(t.yaw)
        dx, dy = x - t.x, y - t.y
        return c * dx + s * dy, c * dy - s * dx

    def go_on(self, odometry: Pose) -> FloatArray:
        """The most likely state (6,) after the way that odometry says, which `spread` then is of."""
        before, self._before = self._before or odometry, odometry
        dx, dy = odometry.x - before.x, odometry.y - before.y
        turn = wrapped(odometry.yaw - before.yaw)
        middle = before.yaw + 0.5 * turn
        ahead = dx * math.cos(middle) + dy * math.sin(middle)
        farther, more, bend = self.errors.tolist()
        missed = more * turn + bend * ahead  # rad
        was, yaw = self.place(before), self.correction.yaw + 0.5 * missed
        c, s = (1.0 + farther) * math.cos(yaw), (1.0 + farther) * math.sin(yaw)
        u, v = c * dx - s * dy, s * dx + c * dy
        self.spread = foreseen(self.spread, u, v, turn, ahead)
        return np.array((was.x + u, was.y + v, was.yaw + turn + missed, farther, more, bend))

    def settle(self, state: FloatArray, spread: FloatArray) -> Pose:
        """Take a state (6,) of the robot, where odometry had it last, and its covariance for true; the pose of it."""
        at = self._before or Pose()
        x, y, yaw = state[:3].tolist()
        turn = yaw - at.yaw
        c, s = math.cos(turn), math.sin(turn)
        self.correction = Pose(x - c * at.x + s * at.y, y - s * at.x - c * at.y, turn)
        self.errors, self.spread = state[3:].copy(), spread
        return Pose(x, y, yaw)

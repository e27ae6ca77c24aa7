"""Narrow places: what the reflex keeps of its clearance between two things, and where it aims."""

import math

import numpy as np
import pytest
from lock_step import Bot

from hybrid_control.geometry.shapes import cast_rays
from hybrid_control.navigation.reflex.feed import ENOUGH, LEAST_CLEARANCE, MOST_SKEW, ONTO, _through
from hybrid_control.navigation.reflex.guard import GUARD_MARGIN, SLIM_MARGIN
from hybrid_control.navigation.reflex.limit import SLOWLY
from hybrid_control.signals import RangeScan


def test_the_line_through_a_gap_leads_through_its_middle_and_square_to_it():
    assert _through(0.3, 0.8, 0.3, 0.8) == pytest.approx(0.0)  # straight ahead
    # 5 cm to the left: aimed at the line half a metre ahead
    assert _through(0.35, 0.8, 0.25, 0.8) == pytest.approx(math.atan2(0.05, ONTO))
    # the right one 0.6 m farther away: the line through leads to the left, square to the one from left to right
    skewed = _through(0.3, 0.5, 0.3, 1.1)
    assert skewed < math.atan2(0.6, 0.6)
    flat = _through(0.3, 0.0, 0.3, 60.0)
    assert math.isfinite(flat)
    assert abs(flat) < math.pi / 2 + MOST_SKEW


def scan_of(gap):
    """A scan of two walls in a row half a metre ahead of the nose, with a gap between them."""
    walls = np.array([[0.55, side * (gap / 2 + 0.5), 0.1, 1.0, 0.0] for side in (-1.0, 1.0)])

    def scan(bot):
        angles = -math.pi + math.tau / 720 * np.arange(720)
        ranges = cast_rays(bot.x, bot.y, bot.yaw + angles, 10.0, np.empty((0, 3)), walls)
        return RangeScan(bot.t, -math.pi, math.tau / 720, 0.05, 10.0, ranges.astype(np.float32))

    return scan


@pytest.mark.parametrize(("gap", "narrow"), [(0.49, 1.0), (0.53, None), (0.70, 0.0), (0.30, 0.0)])
def test_how_narrow_a_gap_is_follows_from_what_it_leaves_beside_the_robot(gap, narrow):
    bot = Bot(goal=(3.0, 0.0))
    bot.drive(0.3, scan_of(gap))
    context = bot.reflex.context[0]
    found = float(context["narrow"])
    if narrow is None:
        assert 0.0 < found < 1.0
    else:
        assert found == pytest.approx(narrow)
    margin = float(context["guard"]["outline"]["margin"])
    assert margin == pytest.approx(GUARD_MARGIN - found * (GUARD_MARGIN - SLIM_MARGIN))
    assert LEAST_CLEARANCE < ENOUGH


def test_a_gap_of_the_robots_width_and_10_cm_is_driven_through_slowly_and_a_narrower_one_than_the_robot_is_not():
    bot = Bot(goal=(3.0, 0.0), gains={"max_speed": 1.0})
    seen = []
    bot.drive(12.0, scan_of(0.53), each=lambda b: seen.append((b.x, b.v)) or b.x > 1.2)
    assert bot.x > 1.2
    assert max(v for x, v in seen if 0.2 < x < 0.8) <= 2 * SLOWLY
    bot = Bot(goal=(3.0, 0.0))
    bot.drive(3.0, scan_of(0.40))
    assert bot.x < 0.3


@pytest.mark.parametrize("turns", [-7, -1, 1, 20])
def test_a_gap_is_driven_through_however_often_the_robot_has_turned_round_by_its_odometry(turns):
    bot = Bot(goal=(3.0, 0.0), gains={"max_speed": 1.0})
    bot.yaw = math.tau * turns
    bearings = []
    bot.drive(12.0, scan_of(0.53), each=lambda b: bearings.append(narrow_bearings(b)) or b.x > 1.2)
    assert bot.x > 1.2
    assert np.abs(bearings).max() <= math.pi


def narrow_bearings(bot):
    context = bot.reflex.context[0]
    return float(context["goal_bearing"]), float(context["gap_bearing"])

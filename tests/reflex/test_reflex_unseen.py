"""How fast a robot drives onto ground that its planner did not see to be free, worked out by hand."""

import math

import numpy as np
import pytest

from hybrid_control.navigation.reflex import Reflex
from hybrid_control.navigation.reflex.guard import GUARD, REACTION
from hybrid_control.navigation.reflex.unseen import DIRECTIONS, LOOKED, STEP, fastest_seen
from hybrid_control.realtime import SteppedLoop
from hybrid_control.signals import FREE_SIDE, FreeGround, Goal, Odometry, Pose, RangeScan, Twist

CELL = 0.1
MIDDLES = (np.arange(FREE_SIDE) - FREE_SIDE // 2 + 0.5) * CELL  # m, of cells around the origin
X, Y = np.meshgrid(MIDDLES, MIDDLES, indexing="ij")
SOON, BRAKING, LEAST = LOOKED + REACTION, 2.0, 0.3


def fastest(free, *twist, pose=(0.0, 0.0, 0.0), nearest=0.0, cell=CELL):
    ground, g = np.zeros(1, DIRECTIONS)[0], np.zeros(1, GUARD)[0]
    ground["x"] = ground["y"] = -FREE_SIDE // 2 * CELL
    ground["cell"], ground["nearest"], ground["free"] = cell, nearest, free
    g["outline"]["half_length"], g["outline"]["half_width"] = 0.25, 0.2
    g["deceleration"] = BRAKING
    return fastest_seen(ground, pose, tuple(map(float, twist)), LEAST, g)


def way(speed):
    """m that it goes on for while it looks, and brakes."""
    return speed * SOON + speed**2 / (2 * BRAKING)


def test_where_all_was_seen_free_no_speed_is_too_fast_and_where_nothing_was_it_is_the_least():
    assert fastest(np.ones((FREE_SIDE, FREE_SIDE)), 2.0, 0.0, 0.0) == math.inf
    assert fastest(np.zeros((FREE_SIDE, FREE_SIDE)), 2.0, 0.0, 0.0) == LEAST
    assert fastest(np.zeros((FREE_SIDE, FREE_SIDE)), LEAST, 0.0, 0.0) == math.inf  # it is so slow already


def test_where_nobody_looks_at_the_ground_nothing_changes():
    assert fastest(np.zeros((FREE_SIDE, FREE_SIDE)), 2.0, 0.0, 0.0, cell=0.0) == math.inf


@pytest.mark.parametrize("turned", [0.0, math.pi / 2])
def test_ground_that_was_seen_up_to_a_metre_is_driven_on_so_that_there_is_time_to_look_and_to_stop(turned):
    # the nose is 0.25 m ahead, so that 0.75 m of it are left
    along = X if turned == 0.0 else Y
    found = fastest(along < 1.0, 1.5, 0.0, 0.0, pose=(0.0, 0.0, turned))
    assert 0.75 - STEP < way(found) < 0.75 + STEP
    assert fastest(along < 1.0, -1.5, 0.0, 0.0, pose=(0.0, 0.0, turned)) == math.inf


def test_the_same_ground_is_nearer_to_a_robot_that_is_nearer():
    found = fastest(X < 1.0, 1.5, 0.0, 0.0, pose=(0.4, 0.0, 0.0))
    assert 0.35 - STEP < way(found) < 0.35 + STEP


def test_what_lies_beside_the_way_does_not_count_and_under_a_corner_of_it_does():
    assert fastest(np.abs(Y) < 0.3, 1.0, 0.0, 0.0) == math.inf
    assert fastest(Y < 0.1, 1.0, 0.0, 0.0) == LEAST


def test_a_robot_that_turns_into_what_it_did_not_see_is_slower_than_one_that_goes_straight_on():
    seen = (X > 0.0) & (np.abs(Y) < X)  # a view of 90 degrees
    assert fastest(seen, 1.0, 0.0, 0.0, nearest=0.6) == math.inf
    assert fastest(seen, 1.0, 0.0, 2.0, nearest=0.6) < 0.7


def test_sideways_the_side_leads():
    found = fastest(Y < 0.8, 0.0, 1.0, 0.0)
    assert 0.6 - STEP < way(found) < 0.6 + STEP


def test_ground_so_near_that_no_camera_sees_it_does_not_hold_the_robot():
    near = np.hypot(X, Y) < 0.5
    assert fastest(~near, 1.0, 0.0, 0.0, nearest=0.6) == math.inf
    assert fastest(~near, 1.0, 0.0, 0.0, nearest=0.3) == LEAST


def test_free_ground_has_one_shape_and_a_place():
    free = np.zeros((FREE_SIDE, FREE_SIDE), bool)
    with pytest.raises(ValueError, match="cells, expected"):
        FreeGround(0, 0.0, 0.0, CELL, 0.5, free[1:])
    with pytest.raises(ValueError, match="must be finite"):
        FreeGround(0, math.nan, 0.0, CELL, 0.5, free)
    with pytest.raises(ValueError, match="must be finite"):
        FreeGround(0, 0.0, 0.0, 0.0, 0.5, free)


def speed_after(seconds, free, said_until=10.0, gains=None):
    """m/s that a reflex with a goal far ahead and nothing within 4 m commands by then."""
    now = [10**9]
    reflex = Reflex(gains=gains, clock=lambda: now[0])
    loop = SteppedLoop(reflex.tick, reflex.context, reflex.rate)
    reflex.activate()
    reflex.put_goal(Goal(now[0], 9.0, 0.0))
    for k in range(round(10 * seconds)):
        now[0] = t = 10**9 + k * 10**8
        reflex.put_odometry(Odometry(t, Pose(), Twist(t)), t)
        if k / 10 < said_until:
            reflex.put_hidden(np.empty((0, 4, 2)), t, t, free)
        reflex.put_scan(RangeScan(t, -math.pi, math.tau / 360, 0.05, 10.0, np.full(360, 4.0, np.float32)), t)
        loop.advance(t)
    return reflex.command().twist.linear_x


def ground(free):
    return FreeGround(0, -FREE_SIDE // 2 * CELL, -FREE_SIDE // 2 * CELL, CELL, 0.3, free)


def test_the_reflex_goes_by_what_was_seen_free_as_long_as_it_is_told_and_the_gain_is_not_zero():
    near, all_of_it = ground(X < 0.4), ground(np.ones((FREE_SIDE, FREE_SIDE), bool))
    fast = speed_after(2.0, None)
    assert fast > 0.45  # half its speed, without a planner
    assert speed_after(2.0, all_of_it) == fast
    assert speed_after(2.0, near) == pytest.approx(LEAST, abs=0.02)
    # 0.15 m before the nose: v (0.4 + 0.1) + v² / 4 = 0.15
    assert speed_after(2.0, near, gains={"unseen_speed": 0.1}) == pytest.approx(0.265, abs=0.01)
    assert speed_after(2.0, near, gains={"unseen_speed": 0.0}) == fast
    assert speed_after(2.5, near, said_until=1.0) == fast  # planner_timeout later

"""When a goal is a new wish: the one that was reached, told again where the robot was carried away, and no other."""

from __future__ import annotations

import math

import numpy as np
from test_reflex_tick import Rig

from hybrid_control.navigation.reflex import Mode
from hybrid_control.navigation.reflex.feed import goal_share
from hybrid_control.signals import Goal, Pose


def test_the_goal_that_it_reached_is_driven_to_again_where_it_was_carried_away_and_is_told_so():
    rig = Rig(goal=(1.0, 0.0))
    rig.run(0.5)
    for _ in range(2):  # carried away once, and once more
        rig.pose = Pose(0.9, 0.0, 0.0)
        assert rig.run(0.1).mode is Mode.ARRIVED
        rig.reflex.put_goal(Goal(rig.now, 1.0, 0.0))
        rig.reflex.put_goal(Goal(rig.now, 1.0, 0.0))
        assert rig.run(0.1).mode is Mode.ARRIVED
        rig.pose = Pose(-1.0, 0.0, 0.0)
        assert rig.run(0.3).mode is Mode.ARRIVED, "nobody has said that it is to go back"
        rig.reflex.put_goal(Goal(rig.now, 1.0, 0.0))
        assert rig.run(0.5).mode is Mode.HYBRID
        assert rig.reflex.command().twist.linear_x > 0.3


def test_the_same_goal_again_on_the_way_changes_no_bit():
    ends = []
    for again in (False, True):
        rig = Rig(goal=(5.0, 0.0), posts=[(0.3, 1.0, 0.2)])
        for k in range(20):
            rig.run(0.05)
            if k == 7:
                rig.reflex.put_waypoint(Goal(rig.now, 3.0, 1.0), rig.now)
            if again:
                rig.reflex.put_goal(Goal(rig.now, 5.0, 0.0))
        ends.append((rig.reflex.command(), rig.reflex.engine.snapshot().tobytes()))
    assert ends[0] == ends[1]


def test_points_on_the_way_lead_nowhere_once_the_goal_was_reached():
    rig = Rig(goal=(1.0, 0.0))
    rig.run(0.3)
    rig.reflex.put_waypoint(Goal(rig.now, 0.8, 0.0), rig.now)
    rig.pose = Pose(0.9, 0.0, 0.0)
    assert rig.run(0.05).mode is Mode.ARRIVED, "at the point on the way"
    rig.reflex.put_waypoint(Goal(rig.now, 1.5, 0.0), rig.now)
    assert rig.run(0.05).mode is Mode.HYBRID, "which was not the goal"
    rig.reflex.put_waypoint(Goal(rig.now, 1.0, 0.0), rig.now)
    assert rig.run(0.05).mode is Mode.ARRIVED
    rig.pose = Pose(-1.0, 0.0, 0.0)
    rig.run(0.05)
    rig.reflex.put_waypoint(Goal(rig.now, 0.0, 0.0), rig.now)
    assert rig.run(0.3).mode is Mode.ARRIVED, "a planner that goes on thinking sends nobody back"
    rig.reflex.put_goal(Goal(rig.now, 1.0, 0.0))
    assert rig.run(0.3).mode is Mode.HYBRID


def test_a_goal_that_is_repeated_starts_nothing_where_the_odometry_has_died_at_it():
    rig = Rig(goal=(1.0, 0.0))
    rig.pose = Pose(0.95, 0.0, 0.0)
    assert rig.run(0.3).mode is Mode.ARRIVED
    rig.moving = False
    rig.run(1.0)
    rig.reflex.put_goal(Goal(rig.now, 1.0, 0.0))
    assert rig.run(0.3).mode is Mode.ARRIVED


def test_the_current_of_a_goal_neuron_is_the_exponential_of_twice_the_cosine_less_one():
    for cosine in np.linspace(-1.0, 1.0, 2001).tolist():
        exact = math.exp(2.0 * (cosine - 1.0))
        assert abs(goal_share(cosine) - exact) <= 4e-15 * exact
        assert np.float32(1.0 + 2.0 * goal_share(cosine)) == np.float32(1.0 + 2.0 * exact)

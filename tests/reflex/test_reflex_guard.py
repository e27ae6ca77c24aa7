"""The outline guard against stopping distances worked out by hand, and against a fine simulation of the motion."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hybrid_control.geometry.outline import displacement, outline_distance
from hybrid_control.navigation.reflex.guard import GUARD, guard, sort_out_near
from hybrid_control.navigation.reflex.scan import SCAN

HALF = (0.25, 0.2)  # m, half length and half width


def guarded(
    points, linear, angular, age=0.0, deceleration=2.0, margin=0.05, front=0.1, motion=(0.0, 0.0), near=False
):
    points = np.asarray(points, np.float32).reshape(-1, 2)
    scan, record = np.zeros(1, SCAN)[0], np.zeros(1, GUARD)[0]
    scan["count"], scan["points"][: len(points)] = len(points), points
    record["outline"], record["yaw_acceleration"] = (*HALF, margin, 0.0), 8.0
    record["stop_distance"], record["deceleration"], record["age"] = front, deceleration, age
    record["speed"], record["turn"] = motion
    if near:
        sort_out_near(scan, max(abs(linear), abs(motion[0])), record)
        assert record["near_reach"] > 0.0
    x, y, w, changed = guard(scan, linear, 0.0, angular, record)
    assert y == 0.0
    return x, w, changed


@pytest.mark.parametrize(
    ("x", "y", "distance"),
    [
        (1.25, 0.0, 1.0),
        (0.0, 0.7, 0.5),
        (0.55, 0.6, 0.5),
        (-0.25, 0.0, 0.0),
        (0.0, 0.0, -0.2),
        (0.2, 0.0, -0.05),
    ],
)
def test_distance_to_the_outline(x, y, distance):
    assert outline_distance(x, y, *HALF) == pytest.approx(distance)


def test_a_quarter_turn_ends_a_radius_ahead_and_a_radius_aside():
    x, y, yaw = displacement(1.0, 0.0, math.pi / 2, 1.0)
    assert (x, y, yaw) == pytest.approx((2 / math.pi, 2 / math.pi, math.pi / 2))
    assert displacement(0.5, 0.0, 0.0, 2.0) == pytest.approx((1.0, 0.0, 0.0))


def test_nothing_in_the_way_changes_nothing():
    assert guarded([], 1.0, 0.5) == (1.0, 0.5, False)
    assert guarded([[5.0, 0.0], [0.5, 1.5]], 1.0, 0.0) == (1.0, 0.0, False)


def test_the_whole_speed_is_kept_while_there_is_room_to_stop():
    # 1 m/s: 0.1 m while reacting and 0.25 m braking at 2 m/s², then 0.1 m to keep: 0.45 m ahead of the outline
    assert guarded([[0.25 + 0.46, 0.0]], 1.0, 0.0) == (1.0, 0.0, False)
    linear, _, changed = guarded([[0.25 + 0.44, 0.0]], 1.0, 0.0)
    assert changed
    assert linear == pytest.approx(0.8)


def test_an_obstacle_within_the_distance_to_keep_stops_forward_motion_but_not_backing_off():
    assert guarded([[0.33, 0.0]], 1.0, 0.0) == (0.0, 0.0, True)
    assert guarded([[0.33, 0.0]], -0.3, 0.0) == (-0.3, 0.0, False)


def test_turning_away_from_a_wall_ahead_is_allowed_where_driving_is_not():
    wall = [[0.36, y] for y in np.linspace(-0.1, 0.1, 9)]
    linear, angular, changed = guarded(wall, 0.8, 1.0)
    assert (linear, angular, changed) == (0.0, 1.0, True)


def test_a_curve_that_is_clear_at_its_speed_is_refused_where_the_turn_comes_before_the_speed():
    post = [[-0.2, -0.27]]  # beside the right flank; a turn to the left swings the rear corner out
    assert guarded(post, 1.0, 1.5, motion=(1.0, 1.5)) == (1.0, 1.5, False)
    linear, angular, _ = guarded(post, 1.0, 1.5, motion=(0.0, 0.0))
    assert linear > 0.0
    assert angular < 1.0
    assert guarded(post, 1.0, 0.0, motion=(0.0, 0.0)) == (1.0, 0.0, False)


def test_a_turn_that_would_swing_a_corner_into_a_post_is_refused():
    post = [
        [0.10, 0.255]
    ]  # beside the left flank; turning left swings the rear corner out, right the front one
    assert guarded([[0.26, 0.245]], 0.0, -1.5)[1] == -1.5
    assert abs(guarded(post, 0.0, 1.5)[1]) <= 1.5
    assert guarded([[0.2, 0.255]], 0.0, 1.5, age=0.2)[1] < 1.5


def test_an_old_scan_costs_the_way_driven_since():
    point = [[0.25 + 0.5, 0.0]]
    assert not guarded(point, 1.0, 0.0)[2]
    assert guarded(point, 1.0, 0.0, age=0.1)[2]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5)), min_size=1, max_size=30),
    st.floats(-0.5, 1.5),
    st.floats(-2.0, 2.0),
)
def test_braking_after_a_guarded_command_never_meets_a_point(points, linear, angular):
    """Drive 0.1 s at the command, brake at 2 m/s² along the same path; the bare outline must stay off all points."""
    points = [p for p in points if outline_distance(*p, *HALF) > 0.06]
    assume(points)
    v, w, _ = guarded(points, linear, angular)
    if v == 0.0:
        return
    way = abs(v) * 0.1 + v * v / 4.0
    for step in np.linspace(0, way, 60):
        x, y, yaw = displacement(v, 0.0, w, step / abs(v))
        c, s = math.cos(yaw), math.sin(yaw)
        for px, py in points:
            dx, dy = px - x, py - y
            assert outline_distance(c * dx + s * dy, -s * dx + c * dy, *HALF) > -0.02


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-1, 2), st.floats(-3, 3))
def test_no_motion_that_is_let_through_is_faster_or_turns_more_or_the_other_way(seed, linear, angular):
    points = np.random.default_rng(seed).uniform(-2, 2, (40, 2))
    v, w, changed = guarded(points, linear, angular)
    assert abs(v) <= abs(linear)
    assert abs(w) <= abs(angular)
    assert v * linear >= 0
    assert w * angular >= 0
    assert changed == ((v, w) != (linear, angular))


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.floats(-1, 2), st.floats(-3, 3), st.floats(-1, 2), st.floats(-3, 3), st.floats(0, 0.3)
)
def test_the_points_nearby_alone_give_what_all_points_give(seed, linear, angular, speed, turn, age):
    points = np.random.default_rng(seed).uniform(-4, 4, (200, 2))
    motion = {"age": age, "motion": (speed, turn)}
    assert guarded(points, linear, angular, **motion, near=True) == guarded(points, linear, angular, **motion)

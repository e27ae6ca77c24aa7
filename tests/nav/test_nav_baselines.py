"""The baselines against what their papers say, and each through an open world to its goal."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_control.navigation.bench import dwa, gap, mppi, vfh
from hybrid_control.navigation.bench.harness import Harness, Setup
from hybrid_control.navigation.bench.policies import POLICIES
from hybrid_control.navigation.bench.scan_driver import points_of, turn_to
from hybrid_control.navigation.bench.scenes import Scene, load_scenes
from hybrid_control.signals import Pose, RangeScan
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.worlds import World

NO_POINTS = np.empty((0, 2))


def test_points_leave_out_what_is_no_reading():
    ranges = np.array([1.0, np.inf, 2.0, 0.01], np.float32)
    scan = RangeScan(0, 0.0, math.pi / 2, 0.05, 10.0, ranges)
    np.testing.assert_allclose(points_of(scan), [[1.0, 0.0], [-2.0, 0.0]], atol=1e-6)


def test_turning_to_a_heading_behind_is_done_on_the_spot():
    assert turn_to(math.pi, 1.0, JACKAL) == (pytest.approx(0.0, abs=1e-12), JACKAL.max_yaw_rate)
    assert turn_to(0.0, 1.0, JACKAL) == (1.0, 0.0)


# follow the gap


def test_gap_centre_of_corners_equally_far_lies_half_way_and_else_follows_the_median():
    assert gap.gap_centre(-0.2, 0.6, 2.0, 2.0) == pytest.approx(0.2)
    # corners at (1, 0) and (0, 2): their middle (0.5, 1) lies at atan2(1, 0.5)
    assert gap.gap_centre(0.0, math.pi / 2, 1.0, 2.0) == pytest.approx(math.atan2(1.0, 0.5))


def test_final_heading_goes_from_goal_to_gap_as_the_obstacle_comes_nearer():
    assert gap.final_heading(1.0, 0.0, math.inf) == 0.0
    assert gap.final_heading(1.0, 0.0, 0.8, alpha=0.8) == pytest.approx(0.5)  # weight 1: the mean
    assert gap.final_heading(1.0, 0.0, 0.2, alpha=0.8) == pytest.approx(0.8)  # weight 4: (4 · 1 + 0) / 5


def test_an_obstacle_closes_the_directions_within_asin_of_its_radius_over_its_distance():
    ranges = gap.free_ranges(np.array([[2.0, 0.0]]), 1.0)  # asin(1 / 2) = 30 degrees to either side
    closed = np.degrees(np.abs(gap.ANGLES[np.isfinite(ranges)]))
    assert closed.max() == pytest.approx(29.5)
    assert np.isfinite(ranges).sum() == 60
    assert np.isinf(gap.free_ranges(NO_POINTS, 1.0)).all()


def test_gaps_are_the_runs_of_open_directions():
    assert gap.gaps(np.array([1, 1, 0, 1, 0, 0, 1], bool)) == [(0, 1), (3, 3), (6, 6)]
    assert gap.gaps(np.zeros(5, bool)) == []


# VFH+


def test_primary_histogram_is_the_enlarged_magnitude_of_the_cells():
    # one point 1 m ahead, reach 2 m: m = 1 - (1 / 2)^2 = 0.75 within asin(0.5 / 1) = 30 degrees: 12 sectors of 5
    histogram = vfh.primary_histogram(np.array([[1.0, 0.0], [3.0, 0.0]]), 0.5, 2.0)
    assert histogram[histogram > 0] == pytest.approx(0.75)
    assert (histogram > 0).sum() == 12


def test_binary_histogram_keeps_what_lies_between_the_thresholds():
    primary = np.array([0.1, 0.2, 0.2, 0.5])
    before = np.array([True, True, False, False])
    assert vfh.binary_histogram(primary, before, 0.15, 0.35).tolist() == [False, True, False, True]


def test_masked_histogram_closes_what_lies_behind_an_obstacle_beside_the_robot():
    # turning left with radius 1 about (0, 1): a point at (0.5, 1) lies in the circle's way, bearing 63.4 degrees
    blocked = vfh.masked_histogram(np.zeros(72, bool), np.array([[0.5, 1.0]]), 1.0, 0.3, 3.0)
    closed = np.degrees(vfh.ANGLES[blocked])
    assert closed.min() == pytest.approx(67.5)
    assert closed.max() == pytest.approx(177.5)
    # far enough from either circle's centre, it closes nothing
    assert not vfh.masked_histogram(np.zeros(72, bool), np.array([[2.5, 0.1]]), 1.0, 0.3, 3.0).any()


def test_candidates_of_a_narrow_opening_are_its_middle_and_of_a_wide_one_its_borders_and_the_goal():
    blocked = np.ones(72, bool)
    blocked[36:40] = False  # 0 to 20 degrees: narrow
    assert np.degrees(vfh.candidates(blocked, 1.0)) == pytest.approx([10.0])
    blocked[20:52] = False  # 32 sectors, middles at -77.5 to 77.5 degrees: borders 8 sectors inside
    assert np.degrees(vfh.candidates(blocked, 0.1)) == pytest.approx([-37.5, 37.5, math.degrees(0.1)])
    assert np.degrees(vfh.candidates(blocked, 1.5)) == pytest.approx([-37.5, 37.5])  # 86 degrees lie outside
    assert vfh.candidates(np.ones(72, bool), 0.3).size == 0
    assert vfh.candidates(np.zeros(72, bool), 0.3).tolist() == [0.3]


def test_an_opening_behind_the_robot_is_not_cut_in_two():
    blocked = np.ones(72, bool)
    blocked[[70, 71, 0, 1]] = False
    assert np.abs(vfh.candidates(blocked, 0.0)) == pytest.approx([math.pi])


def test_the_cost_weighs_goal_above_heading_and_previous_together():
    # the paper: mu1 > mu2 + mu3, so that the robot goes for its goal
    assert vfh.GOAL > vfh.PRESENT + vfh.PREVIOUS
    assert vfh.cost(0.0, 0.1, 0.2, 0.3) == pytest.approx(5 * 0.1 + 2 * 0.2 + 2 * 0.3)
    assert vfh.cost(math.pi, -math.pi, math.pi, math.pi) == pytest.approx(0.0, abs=1e-12)


# DWA


def test_the_dynamic_window_holds_what_can_be_reached_within_the_interval():
    assert dwa.window(1.0, 2.0, 0.25, 0.0, 2.0) == (0.5, 1.5)
    assert dwa.window(0.1, 2.0, 0.25, 0.0, 2.0) == (0.0, 0.6)
    assert dwa.window(1.9, 2.0, 0.25, 0.0, 2.0) == (1.4, 2.0)


def test_admissible_speeds_are_those_that_the_robot_can_stop_from():
    assert dwa.admissible(1.0, 2.0, 0.0, 2.0, 6.0)  # sqrt(2 · 1 · 2) = 2 m/s
    assert not dwa.admissible(1.0, 2.01, 0.0, 2.0, 6.0)
    assert not dwa.admissible(1.0, 0.0, -3.5, 2.0, 6.0)  # sqrt(2 · 1 · 6) = 3.46 rad/s


def test_the_way_ahead_ends_where_the_outline_meets_a_point():
    point = np.array([[2.0, 0.0]])
    straight = dwa.free_way(point, 1.0, 0.0, 0.25, 0.2, 4.0)
    assert straight == pytest.approx(1.75, abs=dwa.STEP)
    assert dwa.free_way(np.array([[2.0, 0.3]]), 1.0, 0.0, 0.25, 0.2, 4.0) == 4.0
    assert dwa.free_way(point, 1.0, 2.0, 0.25, 0.2, 4.0) == 4.0  # a circle of 0.5 m radius does not get there
    assert dwa.free_way(NO_POINTS, 1.0, 0.5, 0.25, 0.2, 4.0) == 4.0


def test_the_heading_is_best_where_the_robot_faces_the_goal_after_braking_its_turn():
    assert dwa.heading_value(0.0, 0.0, 0.25, 6.0, (1.0, 0.0)) == 1.0
    assert dwa.heading_value(0.0, 0.0, 0.25, 6.0, (-1.0, 0.0)) == pytest.approx(0.0)
    # w = 2: 0.5 rad in the interval and 2² / (2 · 4) = 0.5 rad while braking
    assert dwa.heading_value(0.0, 2.0, 0.25, 4.0, (math.cos(1.0), math.sin(1.0))) == pytest.approx(1.0)


def test_smoothing_is_the_mean_of_the_admissible_neighbours():
    values = np.array([[1.0, 2.0], [np.nan, 6.0]])
    np.testing.assert_allclose(dwa.smoothed(values), [[3.0, 3.0], [np.nan, 3.0]])


# MPPI


@given(st.lists(st.floats(0, 1e5), min_size=2, max_size=50), st.floats(0.1, 100))
def test_weights_are_a_distribution_that_prefers_what_costs_less(costs, temperature):
    weights = mppi.weights_of(np.array(costs), temperature)
    assert weights.sum() == pytest.approx(1.0)
    assert weights[int(np.argmin(costs))] == weights.max()


def test_weights_follow_the_exponential_of_the_costs():
    np.testing.assert_allclose(mppi.weights_of(np.array([3.0, 3.0 + math.log(3.0)]), 1.0), [0.75, 0.25])


def test_a_rollout_into_an_obstacle_costs_a_collision_and_one_past_it_does_not():
    grid = mppi.distance_grid(np.array([[1.0, 0.0]]))
    ahead = np.full((1, 20, 2), (1.0, 0.0))
    aside = np.full((1, 20, 2), (1.0, 1.6))
    goal, rates = np.array([3.0, 0.0]), np.array([100.0, 100.0])
    args = (np.zeros(2), goal, rates, 0.25, 0.2, 0.2)
    assert mppi.rollout_costs(grid, ahead, *args)[0] > mppi.COLLISION
    assert mppi.rollout_costs(grid, aside, *args)[0] < mppi.COLLISION


def test_the_distance_grid_holds_distances():
    grid = mppi.distance_grid(np.array([[0.05, 0.05]]))
    middle = mppi.CELLS // 2
    assert grid[middle, middle] == pytest.approx(0.0, abs=1e-9)
    assert grid[middle, middle + 3] == pytest.approx(0.3)
    assert grid[0, 0] == mppi.LIMIT


@pytest.mark.parametrize("policy", sorted(n for n, p in POLICIES.items() if p.baseline))
def test_every_baseline_reaches_its_goal_in_the_open_and_all_but_straight_in_a_forest(policy):
    harness = Harness(Setup(rules="default", level="kinematic"))
    (scene,) = load_scenes("open")
    row = harness.run(policy, scene, 0, 0)
    assert row["success"]
    assert 9.0 < row["path"] < 12.0
    if policy != "straight":
        (forest,) = load_scenes("forest,density=0.2")
        assert harness.run(policy, forest, 0, 0)["contact"] is False


def test_a_led_baseline_gets_out_of_a_dead_end_by_the_points_on_the_way_and_stops_where_there_is_none():
    boxes = np.array([[3.0, 0.0, 0.1, 3.0, 0.0], [2.0, 1.5, 2.0, 0.1, 0.0], [2.0, -1.5, 2.0, 0.1, 0.0]])
    pocket = Scene(World("pocket", Pose(), (8.0, 0.0), (-3.0, -5.0, 10.0, 5.0), boxes=boxes), 10.0)
    harness = Harness(Setup(rules="barn", level="planar", duration=40.0))
    assert harness.run("led-vfh", pocket, 0, 0)["success"]
    assert not harness.run("vfh", pocket, 0, 0)["success"]
    walls = np.array([[2, 0, 0.2, 4, 0], [-2, 0, 0.2, 4, 0], [0, 2, 4, 0.2, 0], [0, -2, 4, 0.2, 0]], float)
    closed = Scene(World("closed", Pose(), (8.0, 0.0), (-3.0, -5.0, 10.0, 5.0), boxes=walls), 10.0)
    row = Harness(Setup(rules="barn", level="planar", duration=5.0)).run("led-vfh", closed, 0, 0)
    assert row["modes"]["STOPPED"] > 0.9
    assert row["path"] < 0.5


def test_a_led_baseline_has_the_settings_of_the_same_without():
    harness = Harness(Setup(rules="barn", settings={"vfh": {"max_speed": 0.5}}))
    assert harness._driven("led-vfh").max_speed == harness._driven("vfh").max_speed == 0.5
    assert harness._driven("led-dwa").max_speed == 2.0

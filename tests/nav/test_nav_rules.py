"""Score, intervals and rules of the navigation benchmark against numbers worked out by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_control.navigation.bench.rules import bootstrap, rules, score, wilson
from hybrid_control.sim.robots.jackal import JACKAL


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (0.0, 0.5),  # OT = 10 / 2 = 5 s; 5 / clip(0, 10, 40) = 5 / 10
        (10.0, 0.5),  # 5 / 10, on the lower edge
        (12.5, 0.4),  # 5 / 12.5
        (20.0, 0.25),  # 5 / 20
        (40.0, 0.125),  # 5 / 40, on the upper edge
        (99.0, 0.125),  # 5 / clip(99, 10, 40) = 5 / 40
    ],
)
def test_the_score_of_a_success_on_a_way_of_ten_metres(time, expected):
    assert score(True, 10.0, time) == pytest.approx(expected, abs=1e-12)


def test_a_failure_scores_nothing_however_fast():
    assert score(False, 10.0, 5.0) == 0.0


@pytest.mark.parametrize(
    ("path", "time"), [(0.0, 1.0), (-1.0, 1.0), (math.inf, 1.0), (5.0, -1.0), (5.0, math.nan)]
)
def test_a_score_of_an_impossible_episode_is_refused(path, time):
    with pytest.raises(ValueError, match="score"):
        score(True, path, time)


@given(st.floats(0.1, 100), st.floats(0, 200), st.floats(0, 200))
def test_the_score_never_rises_with_time_and_stays_within_an_eighth_and_a_half(path, one, other):
    early, late = sorted((one, other))
    assert 0.125 - 1e-12 <= score(True, path, late) <= score(True, path, early) <= 0.5 + 1e-12


def test_wilson_interval_of_81_of_263():
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3: 81/263 -> 0.2553 to 0.3662
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_wilson_intervals_at_the_ends():
    # Newcombe 1998, same table: 0/20 -> 0.0000 to 0.1611; 1/29 -> 0.0061 to 0.1718
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)
    assert wilson(20, 20)[1] == 1.0
    assert wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="21 successes of 20"):
        wilson(21, 20)


def test_bootstrap_interval_of_equal_values_is_that_value_and_of_others_holds_the_mean():
    assert bootstrap([0.5] * 10) == (0.5, 0.5)
    values = [0.0, 0.5] * 50
    low, high = bootstrap(values)
    # the mean 0.25 has standard error 0.25 / sqrt(100) = 0.025: about 0.25 -+ 1.96 * 0.025
    assert low == pytest.approx(0.201, abs=0.01)
    assert high == pytest.approx(0.299, abs=0.01)
    assert bootstrap(values) == (low, high)
    assert all(math.isnan(v) for v in bootstrap([]))


def test_arena_rules_make_the_small_slow_robot_whose_outline_lies_in_the_contact_circle():
    small = rules("arena").robot(JACKAL)
    assert (small.track, small.max_speed) == (0.25, 0.5)
    assert math.hypot(small.length / 2, small.width / 2) == pytest.approx(0.18)
    assert rules("barn").robot(JACKAL) == JACKAL
    assert rules("barn", 1.5).robot(JACKAL).max_speed == 1.5


def test_unknown_rules_and_speeds_are_refused():
    with pytest.raises(ValueError, match="barn, arena"):
        rules("nothing")
    with pytest.raises(ValueError, match="--max-speed"):
        rules("barn", 0.0)

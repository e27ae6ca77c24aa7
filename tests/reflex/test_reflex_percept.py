"""The percept: sectors, points and approach speeds against geometry worked out by hand."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_control.navigation.reflex.percept import (
    BEAMS,
    MAX_APPROACH,
    MAX_POINTS,
    NEAR,
    SWEEP,
    approach_speeds,
    lay_out,
    perceive,
    sector_directions,
)
from hybrid_control.navigation.reflex.scan import SCAN
from hybrid_control.signals.headings import SECTORS


def sense(ranges, angle_min=0.0, increment=0.01, low=0.1, high=10.0, x=0.0, yaw=0.0):
    scan = np.zeros(1, SCAN)[0]
    sweep = np.array([(angle_min, increment, low, high, x, 0.0, yaw, 0.0, -1.0)], SWEEP)[0]
    ranges, beams = np.asarray(ranges, np.float32), np.zeros(1, BEAMS)[0]
    lay_out(beams, ranges.size, sweep)
    count = perceive(ranges, sweep, beams, NEAR, MAX_POINTS, scan)
    return scan["points"][:count], scan["sectors"]


def test_directions_are_five_degrees_apart_and_symmetric():
    directions = np.degrees(sector_directions())
    np.testing.assert_allclose(directions[[0, 35, 36, 71]], [-177.5, -2.5, 2.5, 177.5], atol=1e-4)


def test_a_beam_ahead_falls_into_the_two_middle_sectors_by_its_side():
    _, sectors = sense([2.0], angle_min=math.radians(1))
    assert sectors[36] == 2.0
    _, sectors = sense([2.0], angle_min=math.radians(-1))
    assert sectors[35] == 2.0
    assert np.isinf(np.delete(sectors, 35)).all()


def test_a_sensor_ahead_of_the_centre_and_turned_left_sees_from_there():
    # 0.3 m ahead, turned by 90 degrees: a reading of 0.4 m straight along its axis lies at (0.3, 0.4)
    points, sectors = sense([0.4], x=0.3, yaw=math.pi / 2)
    np.testing.assert_allclose(points, [[0.3, 0.4]], atol=1e-6)
    bearing = math.degrees(math.atan2(0.4, 0.3))
    assert sectors[int((bearing + 180) // 5)] == np.float32(0.5)


def test_readings_out_of_limits_are_none_and_minus_infinity_is_as_near_as_can_be():
    points, sectors = sense([0.05, 11.0, np.inf])
    assert points.size == 0
    assert np.isinf(sectors).all()
    points, _ = sense([-np.inf])
    np.testing.assert_allclose(points, [[0.1, 0.0]], atol=1e-6)


def test_points_are_near_ones_only_and_thinned_evenly_where_there_are_too_many():
    points, sectors = sense([NEAR + 0.1])
    assert points.size == 0
    assert np.isfinite(sectors).sum() == 1
    beams = 4 * MAX_POINTS
    points, _ = sense(np.full(beams, 1.0), angle_min=-math.pi, increment=2 * math.pi / beams)
    assert len(points) == MAX_POINTS
    turns = np.unwrap(np.arctan2(points[:, 1], points[:, 0]))
    np.testing.assert_allclose(np.diff(turns), 8 * math.pi / beams, rtol=1e-2)


def test_approach_is_the_fall_of_the_range_over_the_interval():
    now, before = np.full(SECTORS, 1.9, np.float32), np.full(SECTORS, 2.0, np.float32)
    speeds = np.zeros(SECTORS, np.float32)
    approach_speeds(now, before, 0.05, 1.0, speeds)
    np.testing.assert_allclose(speeds, 2.0, rtol=1e-5)
    approach_speeds(before, now, 0.05, 1.0, speeds)
    np.testing.assert_allclose(speeds, 0.0)


def test_a_turn_by_one_sector_is_no_approach():
    before = np.linspace(1.0, 3.0, SECTORS).astype(np.float32)
    speeds = np.zeros(SECTORS, np.float32)
    approach_speeds(np.roll(before, 1), before, 0.05, 1.0, speeds)
    assert speeds[1:].max() == 0.0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.floats(0, 20, width=32) | st.just(float("inf")) | st.just(float("-inf")), min_size=1, max_size=400
    ),
    st.floats(-7, 7),
    st.floats(-0.02, 0.02),
)
def test_every_point_lies_in_a_sector_that_is_no_farther(ranges, angle_min, increment):
    points, sectors = sense(ranges, angle_min, increment)
    assert np.isfinite(points).all()
    for x, y in points.astype(np.float64):
        sector = int((math.atan2(y, x) + math.pi) * SECTORS / (2 * math.pi)) % SECTORS
        nearest = min(
            sectors[sector - 1], sectors[sector], sectors[(sector + 1) % SECTORS]
        )  # rounding at the edge
        assert nearest <= math.hypot(x, y) + 1e-5


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.3))
def test_approach_speeds_stay_within_bounds(seed, interval):
    rng = np.random.default_rng(seed)
    now, before = rng.uniform(0, 8, (2, SECTORS)).astype(np.float32)
    before[::7] = np.inf
    speeds = np.zeros(SECTORS, np.float32)
    approach_speeds(now, before, interval, 0.5, speeds)
    assert ((speeds >= 0) & (speeds <= MAX_APPROACH)).all()

"""The value types: what exists is valid, and what cannot be is named."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_control.signals import (
    Goal,
    Odometry,
    Population,
    Pose,
    RangeScan,
    RateVector,
    SpikeTrain,
    StateVector,
    Twist,
    layout,
)

LAYOUT = layout(heading=3, speed=2)


def test_a_layout_lines_populations_up():
    assert (Population("heading", 0, 3), Population("speed", 3, 2)) == LAYOUT
    vector = RateVector(0, [1, 2, 3, 4, 5], LAYOUT)
    np.testing.assert_array_equal(vector.of("speed"), [4, 5])
    with pytest.raises(KeyError, match="no population 'turn'"):
        vector.of("turn")


@pytest.mark.parametrize(
    ("rates", "why"),
    [
        ([1, 2], "2 values for populations of 5"),
        ([1, 2, 3, 4, np.nan], "finite"),
        ([1, 2, 3, 4, -1], ">= 0 Hz"),
    ],
)
def test_rates_that_cannot_be_are_refused(rates, why):
    with pytest.raises(ValueError, match=why):
        RateVector(0, rates, LAYOUT)


@pytest.mark.parametrize(
    ("values", "why"),
    [([1, 2], "2 values for populations of 5"), ([1, 2, 3, 4, np.inf], "finite"), ([[1, 2, 3, 4, 5]], "one dimension")],
)
def test_states_that_cannot_be_are_refused(values, why):
    with pytest.raises(ValueError, match=why):
        StateVector(0, values, LAYOUT)
    np.testing.assert_array_equal(StateVector(0, [1, -2, 3, 4, 5], LAYOUT).of("speed"), [4, 5])


@pytest.mark.parametrize(
    ("neuron", "offset", "duration", "why"),
    [
        ([5], [0], 10, "neuron 5 in populations of 5"),
        ([0], [10], 10, "offset 10 ns in a window of 10 ns"),
        ([0, 1], [3, 2], 10, "must not decrease"),
        ([0, 1], [3], 10, "2 neurons and 1 offsets"),
        ([], [], 0, "duration 0 ns"),
        ([], [], 2**32, "duration 4294967296 ns"),
    ],
)
def test_spikes_that_cannot_be_are_refused(neuron, offset, duration, why):
    with pytest.raises(ValueError, match=why):
        SpikeTrain(0, duration, LAYOUT, neuron, offset)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 999)), max_size=50))
def test_counts_add_up_to_the_spikes(spikes):
    spikes.sort(key=lambda s: s[1])
    train = SpikeTrain(0, 1000, LAYOUT, [s[0] for s in spikes], [s[1] for s in spikes])
    assert train.size == 5
    assert list(train.counts()) == [sum(n == k for n, _ in spikes) for k in range(5)]


def test_values_cannot_be_changed_behind_ones_back():
    source = np.ones(5, np.float32)
    vector = RateVector(0, source, LAYOUT)
    source[0] = 9
    assert vector.rates[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        vector.rates[0] = 2


def test_beams_point_where_they_should():
    scan = RangeScan(0, -1.0, 0.5, 0.1, 10.0, [1, 2, 3])
    np.testing.assert_allclose(scan.angles(), [-1.0, -0.5, 0.0])
    with pytest.raises(ValueError, match="are no range"):
        RangeScan(0, 0.0, 0.1, 5.0, 1.0, [1])
    with pytest.raises(ValueError, match="must be finite"):
        RangeScan(0, math.nan, 0.1, 0.1, 1.0, [1])
    with pytest.raises(ValueError, match="expected one dimension"):
        RangeScan(0, 0.0, 0.1, 0.1, 1.0, [[1]])


def test_a_point_to_the_left_has_a_positive_bearing():
    assert Pose(1.0, 1.0, 0.0).to_body(1.0, 3.0) == pytest.approx((2.0, math.pi / 2))
    assert Pose(0.0, 0.0, math.pi / 2).to_body(1.0, 0.0) == pytest.approx((1.0, -math.pi / 2))


@given(
    st.floats(-100, 100), st.floats(-100, 100), st.floats(-20, 20), st.floats(-100, 100), st.floats(-100, 100)
)
def test_distance_and_bearing_lead_back_to_the_point(x, y, yaw, px, py):
    distance, bearing = Pose(x, y, yaw).to_body(px, py)
    assert -math.pi <= bearing <= math.pi
    assert x + distance * math.cos(yaw + bearing) == pytest.approx(px, abs=1e-9)
    assert y + distance * math.sin(yaw + bearing) == pytest.approx(py, abs=1e-9)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nothing_infinite_gets_through(value):
    for build in (lambda: Pose(value), lambda: Twist(0, value), lambda: Goal(0, 0.0, value)):
        with pytest.raises(ValueError, match="must be finite"):
            build()
    assert Odometry(0, Pose(), Twist(0)).twist.linear_x == 0.0

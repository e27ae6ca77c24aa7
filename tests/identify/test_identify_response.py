"""What a step of speed shows: against ramps and lags whose numbers are known, with noise, jitter and wild samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_control.navigation.identify.response import Spread, Step, fit_ramp, identify, rate, respond


def ramp(times, begun, ended, *, speed=1.0, acceleration=2.0, braking=4.0, delay=0.1):
    """Speeds of a base that answers after `delay` s, straight up and straight down."""
    up = np.clip(acceleration * (times - begun - delay), 0.0, speed)
    down = np.clip(speed - braking * (times - ended - delay), 0.0, speed)
    return np.where(times < ended + delay, up, down)


def step_of(rate_hz=50.0, sign=1.0, noise=0.0, jitter=0.0, seed=0, **base):
    """A step with 0.8 s at the speed and 1 s after the stop's answer."""
    speed = base.get("speed", 1.0)
    begun = 1.0
    ended = begun + speed / base.get("acceleration", 2.0) + base.get("delay", 0.1) + 0.8
    rests = ended + base.get("delay", 0.1) + speed / base.get("braking", 4.0)
    times = np.arange(0.5, rests + 1.0, 1.0 / rate_hz)
    rng = np.random.default_rng(seed)
    speeds = sign * ramp(times, begun, ended, **base) + noise * speed * rng.standard_normal(times.size)
    stamps = times + jitter / rate_hz * rng.uniform(-1.0, 1.0, times.size)
    return Step(sign * speed, begun, ended, stamps, speeds)


def test_a_straight_ramp_gives_its_own_numbers():
    found = respond(step_of())
    assert found.speed == pytest.approx(1.0)
    assert found.acceleration == pytest.approx(2.0, rel=0.01)
    assert found.delay == pytest.approx(0.1, abs=0.001)
    assert found.braking == pytest.approx(4.0, rel=0.01)
    assert found.stop_delay == pytest.approx(0.1, abs=0.001)
    assert found.way == pytest.approx(0.225, abs=0.002)  # 1 m/s for 0.1 s, and 1² / (2 · 4) m
    assert found.steady


def test_a_step_backwards_or_of_samples_in_any_order_is_the_same():
    ahead, back = step_of(), step_of(sign=-1.0)
    assert respond(back) == pytest.approx(respond(ahead))
    order = np.random.default_rng(1).permutation(ahead.times.size)
    mixed = Step(1.0, ahead.begun, ahead.ended, ahead.times[order], ahead.speeds[order])
    assert respond(mixed) == respond(ahead)


@settings(max_examples=40, deadline=None)
@given(
    speed=st.floats(0.1, 2.0),
    acceleration=st.floats(0.3, 5.0),
    braking=st.floats(0.3, 5.0),
    delay=st.floats(0.0, 0.4),
    rate_hz=st.sampled_from([20.0, 50.0, 100.0]),
    seed=st.integers(0, 99),
)
def test_noise_of_2_percent_and_jitter_of_a_third_of_a_period_move_it_little(
    speed, acceleration, braking, delay, rate_hz, seed
):
    base = {"speed": speed, "acceleration": acceleration, "braking": braking, "delay": delay}
    found = respond(step_of(rate_hz, noise=0.02, jitter=0.33, seed=seed, **base))
    period = 1.0 / rate_hz
    assert found.speed == pytest.approx(speed, rel=0.04)
    assert found.delay == pytest.approx(delay, abs=1.0 * period + 0.05 * speed / acceleration)
    assert found.stop_delay == pytest.approx(delay, abs=1.0 * period + 0.05 * speed / braking)
    # a ramp's duration is known as far as its ends are
    rise, fall = speed / acceleration, speed / braking
    assert speed / found.acceleration == pytest.approx(rise, abs=2.0 * period + 0.1 * rise)
    assert speed / found.braking == pytest.approx(fall, abs=2.0 * period + 0.1 * fall)


def test_wild_samples_do_not_move_it():
    step = step_of()
    speeds = step.speeds.copy()
    speeds[[20, 40, 70, 90, 115]] = (9.0, -5.0, 0.0, 7.0, 3.0)
    found = respond(Step(1.0, step.begun, step.ended, step.times, speeds))
    assert found.speed == pytest.approx(1.0)
    assert found.acceleration == pytest.approx(2.0, rel=0.05)
    assert found.delay == pytest.approx(0.1, abs=0.01)
    assert found.stop_delay == pytest.approx(0.1, abs=0.02)


@settings(max_examples=20, deadline=None)
@given(constant=st.floats(0.05, 0.4), speed=st.floats(0.2, 2.0))
def test_braking_of_a_base_that_is_no_ramp_never_makes_its_way_shorter(constant, speed):
    """A base that follows as a low pass does goes on for speed times constant; what is counted on must not be less."""
    ended = 1.0 + 8.0 * constant
    times = np.arange(0.5, ended + 8.0 * constant + 0.3, 0.01)
    up = speed * (1.0 - np.exp(-np.clip(times - 1.0, 0.0, None) / constant))
    down = speed * np.exp(-np.clip(times - ended, 0.0, None) / constant)
    found = respond(Step(speed, 1.0, ended, times, np.where(times < ended, up, down)))
    counted = found.speed * found.stop_delay + 0.5 * found.speed**2 / found.braking
    assert counted >= 0.9 * speed * constant
    assert found.way == pytest.approx(speed * constant, rel=0.1)


def test_a_base_that_still_grows_faster_when_it_must_stop_is_said_to():
    times = np.arange(0.5, 4.0, 0.02)
    speeds = np.where(
        times < 2.0, np.clip(0.5 * (times - 1.0), 0.0, None), np.clip(0.5 - (times - 2.0), 0.0, None)
    )
    found = respond(Step(1.0, 1.0, 2.0, times, speeds))
    assert not found.steady
    assert found.acceleration == pytest.approx(0.5, rel=0.1)


def test_of_ramps_that_fit_as_well_the_longest_counts():
    """Between 0 at 0.2 s and 1 at 0.4 s anything may have happened; the slowest is what is counted on."""
    onset, duration = fit_ramp(np.array([0.0, 0.2, 0.4, 0.6, 0.8]), np.array([0.0, 0.0, 1.0, 1.0, 1.0]))
    assert onset == pytest.approx(0.2, abs=0.005)
    assert duration == pytest.approx(0.2, abs=0.005)


def test_what_shows_nothing_is_refused_in_one_line():
    step = step_of()
    with pytest.raises(
        ValueError, match=r"^odometry: 0 was reached where 1 was commanded: it does not follow$"
    ):
        respond(Step(1.0, step.begun, step.ended, step.times, 0.0 * step.speeds))
    few = step_of(3.0)
    with pytest.raises(
        ValueError, match=r"^odometry: 4 messages while it drove and .* expected 6 of each at least$"
    ):
        respond(few)
    with pytest.raises(ValueError, match="expected as many"):
        Step(1.0, 0.0, 1.0, np.zeros(3), np.zeros(4))
    with pytest.raises(ValueError, match="must be finite"):
        Step(1.0, 0.0, 1.0, np.zeros(3), np.full(3, math.nan))
    with pytest.raises(ValueError, match="is no step"):
        Step(1.0, 1.0, 1.0, np.zeros(3), np.zeros(3))


def test_a_rate_is_the_median_and_its_ends_the_longest_and_shortest_gap():
    assert rate([0.0, 0.1, 0.2, 0.4, 0.5]) == pytest.approx(Spread(10.0, 5.0, 10.0, 5))
    with pytest.raises(ValueError, match="2 stamps that differ; expected 3 at least"):
        rate([1.0, 2.0, 2.0])


def test_repetitions_are_told_with_their_spread_and_delays_of_starts_and_stops_together():
    ahead = [step_of(braking=b) for b in (2.0, 3.0, 4.0)]
    turns = [step_of(delay=0.3)]
    stamps = [0.02 * k for k in range(50)]
    found = identify(ahead, turns, stamps, stamps[::2])
    assert found.braking == pytest.approx(Spread(3.0, 2.0, 4.0, 3), rel=0.02)
    assert (found.delay.low, found.delay.high) == pytest.approx((0.1, 0.3), abs=0.002)
    assert found.delay.repeats == 8
    assert (found.odometry_rate.median, found.scan_rate.median) == pytest.approx((50.0, 25.0))
    assert found.steady

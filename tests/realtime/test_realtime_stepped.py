"""Stepped by a simulator's clock, the same ticks run at the same times, however the clock comes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from realtime_ticks import SUMMING, counting, counting_tick, summing_tick

from hybrid_control.realtime import SteppedLoop

MS = 1_000_000


def stepped(rate_hz=1000.0, **options):
    context = np.zeros((), SUMMING)
    return SteppedLoop(summing_tick, context, rate_hz, **options), context


def test_ticks_run_at_whole_multiples_of_the_period():
    loop, context = stepped()
    assert loop.advance(10 * MS + 300_000) == 1  # the newest one that is due, at 10 ms
    assert int(context["first_ns"]) == 10 * MS
    assert loop.advance(10 * MS + 999_999) == 0
    assert loop.advance(11 * MS) == 1
    assert loop.advance(15 * MS + 1) == 4
    assert int(context["last_ns"]) == 15 * MS
    assert (loop.ticks, loop.missed, loop.resets) == (6, 0, 0)


@given(st.lists(st.integers(0, 40 * MS), max_size=30), st.sampled_from([100.0, 1000.0, 3000.0]))
def test_result_does_not_depend_on_how_often_the_clock_comes(steps, rate_hz):
    loop, context = stepped(rate_hz)
    now = 5 * MS
    loop.advance(now)
    for step in steps:
        now += step
        loop.advance(now)
    once, expected = stepped(rate_hz)
    once.advance(5 * MS)
    once.advance(now)
    assert context.tobytes() == expected.tobytes()
    assert loop.ticks == once.ticks == now // loop.period_ns - 5 * MS // loop.period_ns + 1


def test_clock_that_jumps_back_starts_again_from_there():
    loop, context = stepped()
    loop.advance(1000 * MS)
    assert loop.advance(2 * MS) == 1
    assert int(context["last_ns"]) == 2 * MS
    assert loop.advance(4 * MS) == 2
    assert loop.resets == 1


def test_clock_that_jumps_ahead_runs_the_newest_ticks_and_counts_the_others():
    loop, context = stepped(max_ticks=100)
    loop.advance(0)
    assert loop.advance(3_600_000 * MS) == 100
    assert loop.missed == 3_600_000 - 100
    assert int(context["last_ns"]) == 3_600_000 * MS
    assert loop.ticks == 101


def test_clock_that_stands_still_runs_nothing():
    loop, _ = stepped()
    loop.advance(7 * MS)
    assert [loop.advance(7 * MS) for _ in range(3)] == [0, 0, 0]


def test_tick_that_fails_is_reported_with_its_time():
    loop = SteppedLoop(counting_tick, counting(fail_at=4), 1000.0)
    loop.advance(0)
    with pytest.raises(RuntimeError, match="the tick at 3000000 ns"):
        loop.advance(10 * MS)
    assert loop.ticks == 3


def test_time_before_zero_and_impossible_limits_are_refused():
    loop, _ = stepped()
    with pytest.raises(ValueError, match="now_ns: -1"):
        loop.advance(-1)
    with pytest.raises(ValueError, match="max_ticks: 0"):
        stepped(max_ticks=0)
    with pytest.raises(ValueError, match="rate"):
        stepped(0.1)

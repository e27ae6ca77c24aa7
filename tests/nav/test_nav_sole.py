"""Two publishers that speak side by side on one topic are told from one, and from one that took over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hybrid_control.navigation.sole import Sole


@given(st.lists(st.integers(1, 50), min_size=1, max_size=200), st.floats(0.0, 3.0))
def test_one_publisher_is_alone_whatever_is_lost_on_the_way(steps, period):
    sole, number = Sole(), 0
    for k, step in enumerate(steps):
        number += step
        assert sole.alone(number, k * period)


def test_a_driver_that_was_started_anew_is_doubted_for_a_second():
    sole = Sole()
    assert all(sole.alone(n, 0.1 * n) for n in range(1, 100))
    heard = [sole.alone(n, 20.0 + 0.1 * n) for n in range(1, 30)]
    assert heard == [False] * 10 + [True] * 19


@given(
    first=st.integers(1, 10_000), second=st.integers(1, 10_000),
    slow=st.floats(0.02, 0.4), fast=st.floats(0.005, 0.4), phase=st.floats(0.0, 1.0),
)  # fmt: skip
def test_of_two_publishers_no_more_is_believed_than_until_the_first_steps_back(
    first, second, slow, fast, phase
):
    """Whoever counts lower shows at its first message after the other's; from then on, while both speak."""
    sole = Sole()
    times = [(k * slow, 0) for k in range(200)] + [((k + phase) * fast, 1) for k in range(400)]
    end = min(200 * slow, 400 * fast)
    numbers = [first, second]
    before, shown = None, False
    for time, who in sorted(t for t in times if t[0] < end):
        numbers[who] += 1
        # a step back: the number is not above that of the message before it, which was the other's
        shown = shown or (before is not None and numbers[who] <= before)
        before = numbers[who]
        assert sole.alone(numbers[who], time) == (not shown)


def test_after_the_second_publisher_has_gone_the_first_is_believed_again_within_five_seconds():
    sole = Sole()
    for k in range(1, 40):
        sole.alone(100 + k, 0.1 * k)
        sole.alone(k, 0.1 * k + 0.05)
    heard = [sole.alone(200 + k, 4.0 + 0.1 * k) for k in range(60)]
    assert not any(heard[:48])
    assert all(heard[50:])


def test_a_middleware_that_numbers_nothing_is_believed():
    sole = Sole()
    assert all(sole.alone(None, 0.1 * k) for k in range(20))

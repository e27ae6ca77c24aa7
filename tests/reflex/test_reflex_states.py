"""The planner's initial states: taken up whole between two ticks, refused where they can't be, nothing while off."""

import math
import threading

import numpy as np
import pytest

from hybrid_control.navigation.reflex import InputRefused, Reflex
from hybrid_control.navigation.reflex.decode import (
    LEAST_TIME_CONSTANT,
    MOTOR_TIME_CONSTANT,
    decode,
    time_constant,
)
from hybrid_control.navigation.reflex.feed import receive
from hybrid_control.navigation.reflex.states import MOST_POTENTIAL
from hybrid_control.parameters import ParameterError
from hybrid_control.realtime import SteppedLoop
from hybrid_control.signals import Goal, StateVector, layout
from hybrid_control.signals.headings import SECTORS

BOTH = layout(excitation=SECTORS, recurrence=SECTORS)
NOW = 10**9
MS = 1_000_000


class Clock:
    ns = NOW

    def __call__(self):
        return self.ns


def reflex_of(on=True):
    clock = Clock()
    return Reflex({"planner_states": on}, clock=clock), clock


def potentials(reflex):
    return np.concatenate([reflex.engine.read(p.name, "voltage") for p in BOTH])


def states(value, stamp=NOW, populations=BOTH):
    size = sum(p.size for p in populations)
    return StateVector(stamp, np.broadcast_to(np.float32(value), size), populations)


def test_reflex_states_are_the_potentials_that_the_next_tick_begins_with():
    reflex, _ = reflex_of()
    wanted = np.random.default_rng(0).normal(size=2 * SECTORS).astype(np.float32)
    reflex.put_states(states(wanted), NOW)
    assert not potentials(reflex).any()  # not before a tick
    receive(reflex.context[0], NOW)
    np.testing.assert_array_equal(potentials(reflex), wanted)
    reflex.engine.reset()
    receive(reflex.context[0], NOW)  # once, not again and again
    assert not potentials(reflex).any()


def test_reflex_states_of_one_population_leave_the_others():
    reflex, _ = reflex_of()
    receive(reflex.context[0], NOW)
    reflex.engine.read("excitation", "voltage")[:] = 0.5
    reflex.put_states(states(2.0, populations=layout(recurrence=SECTORS)), NOW)
    receive(reflex.context[0], NOW)
    assert set(reflex.engine.read("excitation", "voltage")) == {0.5}
    assert set(reflex.engine.read("recurrence", "voltage")) == {2.0}


def test_reflex_states_are_whole_or_not_there_while_another_thread_writes_them():
    reflex, _ = reflex_of()
    enough = threading.Event()

    def write():
        k = 0
        while not enough.is_set():  # however seldom this thread or the other gets a core
            k += 1
            reflex.put_states(states(k % 1000, NOW + k), NOW + k)

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    try:
        while len(seen) < 100:
            receive(reflex.context[0], NOW)
            values = set(potentials(reflex).tolist())
            assert len(values) == 1
            seen |= values
    finally:
        enough.set()
        writer.join()


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (states(1.0, populations=layout(elsewhere=SECTORS)), "the network has no population 'elsewhere'"),
        (states(1.0, populations=layout(planner=80)), "the network has no population 'planner' with membrane"),
        (states(1.0, populations=layout(recurrence=71)), "'recurrence' of 71; the network's has 72 neurons"),
        (states(2 * MOST_POTENTIAL), "a potential of 2000, at most 1000 thresholds"),
        (states(1.0, populations=layout(**{f"p{i}": 1 for i in range(9)})), "9 populations and 9 values, at most 8"),
        (states(1.0, NOW - 600 * MS), "old"),
        (states(1.0, NOW + 100 * MS), "future"),
    ],
)  # fmt: skip
def test_reflex_states_that_cannot_be_are_refused_in_one_line_and_counted(bad, why):
    reflex, _ = reflex_of()
    with pytest.raises(InputRefused, match=f"^states refused: .*{why}") as caught:
        reflex.put_states(bad, NOW)
    assert "\n" not in str(caught.value)
    assert reflex.refusals == {"states": 1}
    receive(reflex.context[0], NOW)
    assert not potentials(reflex).any()


def test_reflex_states_older_than_those_before_are_refused():
    reflex, _ = reflex_of()
    reflex.put_states(states(1.0), NOW)
    with pytest.raises(InputRefused, match="before the one before it"):
        reflex.put_states(states(1.0, NOW - MS), NOW)


def test_reflex_states_that_a_loop_takes_too_long_to_see_are_let_go():
    reflex, _ = reflex_of()
    receive(reflex.context[0], NOW)  # the gains
    reflex.put_states(states(1.0), NOW)
    receive(reflex.context[0], NOW + 600 * MS)
    assert not potentials(reflex).any()


def test_reflex_states_are_refused_while_off_and_nothing_of_a_tick_changes():
    commands, off = [], reflex_of(on=False)[0]
    with pytest.raises(InputRefused, match="the setting planner_states is off"):
        off.put_states(states(1.0), NOW)
    for on in (False, True):
        reflex, clock = reflex_of(on)
        loop = SteppedLoop(reflex.tick, reflex.context, reflex.rate)
        reflex.activate()
        reflex.put_goal(Goal(NOW, 5.0, 3.0))
        for _ in range(20):
            clock.ns += 10 * MS
            loop.advance(clock.ns)
        commands.append((reflex.command(), reflex.engine.snapshot().tobytes()))
    assert commands[0] == commands[1]


def test_reflex_states_need_the_network_on_this_processor():
    with pytest.raises(ParameterError, match="planner_states: needs the network on this processor"):
        Reflex({"planner_states": True, "backend": "spinnaker", "rate": 1000.0})


def test_reflex_states_shorten_the_filter_of_what_the_network_says_for_forty_milliseconds():
    constants = [time_constant(1e-3 * k) for k in range(100)]
    assert constants[:6] == [LEAST_TIME_CONSTANT] * 6
    assert constants[20] == pytest.approx(0.020)
    assert set(constants[40:]) == {MOTOR_TIME_CONSTANT}
    # a rate of 1 Hz said 13 ms after the states were set: by 6 ms at first, then by the mean of all since
    kept = math.prod(1.0 - 1e-3 / c for c in constants[:13])
    assert kept == pytest.approx((5 / 6) ** 7 * math.prod((k - 1) / k for k in range(7, 13)))
    assert kept < 0.15


@pytest.mark.parametrize("on", [True, False])
def test_reflex_states_that_are_not_taken_leave_the_filter_as_it_is(on):
    reflex, _ = reflex_of(on)
    context = reflex.context[0]
    context["ring_rates"][:], context["set_for"] = 100.0, MOTOR_TIME_CONSTANT
    decode(context, NOW)
    np.testing.assert_allclose(context["ring_rates"], 97.5)
    context["set_for"] = 0.0
    decode(context, NOW)
    np.testing.assert_allclose(context["ring_rates"], 97.5 * (5 / 6 if on else 0.975))

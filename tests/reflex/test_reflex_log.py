"""The log of spikes is read while the loop writes on: what was overwritten meanwhile is left out."""

import numpy as np

from hybrid_control.navigation.reflex import context as t
from hybrid_control.navigation.reflex.reflex import Reflex


class Written:
    """A context whose loop writes `more` spikes after the first look at the log's head, a second later."""

    def __init__(self, context, more):
        self._context, self._more = context, more

    def __getitem__(self, name):
        value = self._context[name]
        if name == "log_head":
            value = value.copy()
            if self._more is not None:
                head, more = int(value[0]), self._more
                places = np.arange(head, head + more) % t.SPIKE_LOG
                self._context["log_time"][0][places] = 1_000_000_000 + np.arange(more)
                self._context["log_head"][0] = head + more
                self._more = None
        return value


def test_reflex_spikes_that_the_loop_overwrote_are_left_out():
    reflex = Reflex()
    count = t.SPIKE_LOG - 2000
    context = reflex.context
    context["log_time"][0][:count] = np.arange(count)
    context["log_head"][0] = count
    reflex.context = Written(context, 5000)
    train = reflex.spikes(count, count)
    # 5000 more came round to the first 3000 places, and one more may be half written
    assert train is not None
    assert train.offset_ns.size == count - 3001
    assert train.stamp_ns == 3001
    reflex.context = Written(context, t.SPIKE_LOG)
    assert reflex.spikes(2 * count, 2 * count) is None


def logged(*times_ns):
    """A reflex whose log holds spikes of neuron 0 at these times."""
    reflex = Reflex()
    reflex.context["log_time"][0][: len(times_ns)] = times_ns
    reflex.context["log_head"][0] = len(times_ns)
    return reflex


def test_reflex_spikes_of_long_ago_are_left_out_when_nobody_asked_for_them_in_time():
    seconds = 1_000_000_000
    train = logged(seconds, 21 * seconds, 22 * seconds).spikes(22 * seconds, 22 * seconds)
    assert train is not None
    assert train.stamp_ns == 21 * seconds
    assert train.offset_ns.tolist() == [0, seconds]
    assert logged(seconds).spikes(22 * seconds, 22 * seconds) is None


def test_reflex_spikes_from_before_a_simulation_began_anew_are_left_out():
    train = logged(800, 900, 100, 150).spikes(200, 200)
    assert train is not None
    assert train.stamp_ns == 100
    assert train.offset_ns.tolist() == [0, 50]

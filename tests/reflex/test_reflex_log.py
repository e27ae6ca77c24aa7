"""The log of spikes is read while the loop writes on: what was overwritten meanwhile is left out."""

import numpy as np

from hybrid_control.reflex import tick as t
from hybrid_control.reflex.reflex import Reflex


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

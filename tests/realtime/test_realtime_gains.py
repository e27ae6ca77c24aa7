"""Ten thousand changes of the reflex's gains, alone and in sets, while its loop runs at 1 kHz."""

from __future__ import annotations

import time

import numba
import numpy as np
from numba import carray

from hybrid_control.navigation.reflex import Reflex
from hybrid_control.navigation.reflex.context import CONTEXT
from hybrid_control.navigation.reflex.gains import GAINS
from hybrid_control.navigation.reflex.tick import tick as reflex_tick
from hybrid_control.realtime import PeriodicLoop, address_of, as_pointer
from hybrid_control.realtime.compiled import call_tick

CHANGES = 10_000
COUNT = len(GAINS)
# each set by its version, written before it is set
SETS = np.zeros((CHANGES + 10, COUNT))
# versions seen by a tick, sets that are not as they were written, versions that went back, version last seen
SEEN, TORN, BACK, LAST = range(4)
COUNTS = np.zeros(4, np.int64)
TICK, SETS_AT, COUNTS_AT = int(reflex_tick.address), int(SETS.ctypes.data), int(COUNTS.ctypes.data)


@numba.cfunc("int64(voidptr, int64)")
def checking_tick(context, now_ns):
    """The reflex's tick; then looks whether it went by one of the sets that were written, and by which."""
    c = carray(context, 1, CONTEXT)[0]
    code = call_tick(TICK, address_of(c), now_ns)
    counts = carray(as_pointer(COUNTS_AT), 4, np.int64)
    version = c.gains.sequence
    if version != counts[LAST]:
        counts[SEEN] += 1
        counts[BACK] += version < counts[LAST]
        counts[LAST] = version
        values = carray(as_pointer(address_of(c.gains.value)), COUNT, np.float64)
        written = carray(as_pointer(SETS_AT + version * COUNT * 8), COUNT, np.float64)
        for i in range(COUNT):
            if values[i] != written[i]:
                counts[TORN] += 1
                break
    return code


def test_ten_thousand_random_changes_of_the_reflexs_gains_are_neither_torn_nor_lost():
    reflex = Reflex()
    reflex.activate()
    names = [p.name for p in GAINS]
    version = reflex.set_gains({})
    SETS[version] = list(reflex.gains.values())
    first, COUNTS[:] = version, 0
    random = np.random.default_rng(4)
    loop = PeriodicLoop(checking_tick, reflex.context, 1000.0)
    with loop:
        for k in range(CHANGES):
            chosen = random.choice(COUNT, 1 if k % 2 else random.integers(2, COUNT + 1), replace=False)
            changes = {names[i]: float(random.uniform(GAINS[i].low, GAINS[i].high)) for i in chosen}
            # by the time a tick can see a set, what it has to be is written
            SETS[version + 1] = [{**reflex.gains, **changes}[name] for name in names]
            version = reflex.set_gains(changes)
            if k % 10 == 0:
                time.sleep(0)
        until = time.monotonic() + 20.0
        while COUNTS[LAST] != version and time.monotonic() < until:
            time.sleep(0.002)
    assert version == first + CHANGES
    assert COUNTS[LAST] == version, "the last one arrived"
    assert SETS[version].tolist() == list(reflex.gains.values())
    assert COUNTS[[TORN, BACK]].tolist() == [0, 0]
    assert COUNTS[SEEN] > 50
    # the tick takes what is there and waits for nobody: it went on to the end, and everything due is accounted for
    status = loop.status()
    assert status.ticks == status.cost.total == int(reflex.context["tick"][0])
    assert reflex.status().gains_version == version

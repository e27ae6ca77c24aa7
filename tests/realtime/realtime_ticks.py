"""Ticks that the tests of the loop share."""

from __future__ import annotations

import numba
import numpy as np
from numba import carray

from hybrid_control.realtime import TICK_OK, Mailbox, address_of, monotonic_ns, read_mailbox, sleep_until

TICK = "int64(voidptr, int64)"

COUNTING = np.dtype(
    [
        ("ticks", np.int64),
        ("last_ns", np.int64),
        ("shortest_ns", np.int64),  # between the beginnings of two ticks
        ("sleep_at", np.int64),  # the tick that sleeps, and for how long; 0: none
        ("sleep_ns", np.int64),
        ("fail_at", np.int64),  # the tick that returns something other than TICK_OK
        ("raise_at", np.int64),  # the tick that raises
    ],
    align=True,
)


@numba.cfunc(TICK, cache=True)
def counting_tick(context, now_ns):
    c = carray(context, 1, COUNTING)[0]
    if c.ticks > 0 and (c.ticks == 1 or now_ns - c.last_ns < c.shortest_ns):
        c.shortest_ns = now_ns - c.last_ns
    c.ticks += 1
    c.last_ns = now_ns
    if c.ticks == c.sleep_at:
        sleep_until(now_ns + c.sleep_ns)
    if c.ticks == c.fail_at:
        return 42
    if c.ticks == c.raise_at:
        raise ValueError("a tick that raises")
    return TICK_OK


def counting(**fields):
    """A context for `counting_tick`."""
    context = np.zeros((), COUNTING)
    for name, value in fields.items():
        context[name] = value
    return context


EXCLUSIVE = np.dtype(
    [
        ("ticks", np.int64),
        ("inside", np.int64),  # 1 while a thread is in the tick
        ("collisions", np.int64),  # ticks that began while another one had not ended
        ("sleep_ns", np.int64),  # how long a tick takes
    ],
    align=True,
)


@numba.cfunc(TICK, cache=True)
def exclusive_tick(context, now_ns):
    c = carray(context, 1, EXCLUSIVE)[0]
    c.collisions += c.inside
    c.inside = 1
    c.ticks += 1
    sleep_until(now_ns + c.sleep_ns)
    c.inside = 0
    return TICK_OK


@numba.njit("void(int64)", cache=True, nogil=True)
def hold_the_core(until_ns):
    """Spin, without the interpreter, until a time of the monotonic clock."""
    while monotonic_ns() < until_ns:
        pass


GAINS = np.dtype([("a", np.float64), ("b", np.float64), ("c", np.float64, (30,))], align=True)
GAINED = np.dtype(
    [
        ("mailbox", np.int64),
        ("gains", Mailbox(GAINS).entry_dtype),
        ("sets", np.int64),  # sets of gains taken
        ("torn", np.int64),  # sets whose values do not belong together
        ("back", np.int64),  # versions that went back
    ],
    align=True,
)


@numba.cfunc(TICK, cache=True)
def gains_tick(context, now_ns):
    """Takes new gains and checks what holds in every whole set: b = 2 a, and c[i] = c[0]."""
    c = carray(context, 1, GAINED)[0]
    version = c.gains.sequence
    if read_mailbox(c.mailbox, address_of(c.gains)):
        c.sets += 1
        c.back += c.gains.sequence <= version
        good = c.gains.value.b == 2 * c.gains.value.a
        for i in range(1, 30):
            good &= c.gains.value.c[i] == c.gains.value.c[0]
        c.torn += not good
    return TICK_OK


SUMMING = np.dtype([("sum", np.float64), ("ticks", np.int64), ("first_ns", np.int64), ("last_ns", np.int64)])


@numba.cfunc(TICK, cache=True)
def summing_tick(context, now_ns):
    """Something whose result depends on the order and the times of all its ticks."""
    c = carray(context, 1, SUMMING)[0]
    if c.ticks == 0:
        c.first_ns = now_ns
    c.ticks += 1
    c.last_ns = now_ns
    c.sum = 0.999 * c.sum + np.sin(now_ns * 1e-9)
    return TICK_OK

"""Links as rings of rows with their times of arrival: what comes in, and what runs see of it.

A run at time t sees what has arrived by t, t included. A spike is counted by the first run at or after its arrival,
and by no other, whatever the two periods are.
"""

# numba types these functions; mypy cannot see into its intrinsics
# mypy: allow-untyped-defs, disable-error-code="call-arg, var-annotated, no-any-return, no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

from hybrid_control.cosim.kernels.records import COUNTED, DROP, EXTRAPOLATE, HELD, HOLD, WAIT
from hybrid_control.snn.backends.numba.kernels import values_at

_WORD, _NUMBER, _SINGLE = np.int64(0), np.float64(0), np.float32(0)


@njit(cache=True, nogil=True)
def put(link, time_ns, rows, row):
    """Take in row number `row` of what stands at the address `rows`, as given at a time. There must be room."""
    at = (link["first"] + link["used"]) & (link["room"] - 1)
    size, gain = link["size"], link["gain"]
    values_at(link["arrivals"], link["room"], _WORD)[at] = time_ns + link["delay"]
    given = values_at(rows + row * size * 8, size, _NUMBER)
    kept = values_at(link["rows"] + at * size * 8, size, _NUMBER)
    if gain == 1.0:
        for i in range(size):
            kept[i] = given[i]
    else:
        for i in range(size):
            kept[i] = given[i] * gain
    link["used"] += 1


@njit(cache=True, nogil=True)
def _forget(link, count):
    link["first"] = (link["first"] + count) & (link["room"] - 1)
    link["used"] -= count


@njit(cache=True, nogil=True)
def _newest(link, newest, time_ns):
    """How many of the rows have arrived by a time, less one, from `newest` on."""
    arrivals, mask = values_at(link["arrivals"], link["room"], _WORD), link["room"] - 1
    while newest + 1 < link["used"] and arrivals[(link["first"] + newest + 1) & mask] <= time_ns:
        newest += 1
    return newest


@njit(cache=True, nogil=True)
def age(link, time_ns):
    """By how many ns the newest arrival is older than a time; -1 before the first."""
    newest = _newest(link, -1, time_ns)
    if newest < 0:
        return -1
    arrivals = values_at(link["arrivals"], link["room"], _WORD)
    return time_ns - arrivals[(link["first"] + newest) & (link["room"] - 1)]


@njit(cache=True, nogil=True)
def waits(link, time_ns):
    """Whether a run does not take place, for the newest value is too old."""
    if link["policy"] != WAIT or link["max_age"] < 0 or link["kind"] != HELD:
        return False
    old = age(link, time_ns)
    return old < 0 or old > link["max_age"]


@njit(cache=True, nogil=True)
def stands_still(link, first_ns, last_ns):
    """Whether all runs from the first to the last see the same row."""
    if link["kind"] != HELD or (link["policy"] != HOLD and link["max_age"] >= 0):
        return False
    newest = _newest(link, -1, first_ns)
    return _newest(link, newest, last_ns) == newest


@njit(cache=True, nogil=True)
def _line(link, newest, time_ns, row):
    """Add a straight line through the last two values, as far as it goes."""
    arrivals, mask, size = values_at(link["arrivals"], link["room"], _WORD), link["room"] - 1, link["size"]
    at, before = (link["first"] + newest) & mask, (link["first"] + newest - 1) & mask
    span = arrivals[at] - arrivals[before]
    share = (time_ns - arrivals[at]) / span if span > 0 else 0.0
    now = values_at(link["rows"] + at * size * 8, size, _NUMBER)
    then = values_at(link["rows"] + before * size * 8, size, _NUMBER)
    for i in range(size):
        row[i] += now[i] + share * (now[i] - then[i])


@njit(cache=True, nogil=True)
def _add(row, values, adds):
    if adds:
        for i in range(row.size):
            row[i] += values[i]
    else:
        for i in range(row.size):
            row[i] = values[i]


@njit(cache=True, nogil=True)
def take_held(link, first_ns, period_ns, count, rows):
    """What `count` runs see, a row each at the address `rows`; what no run will look at any more is forgotten."""
    arrivals, mask, size = values_at(link["arrivals"], link["room"], _WORD), link["room"] - 1, link["size"]
    newest, adds, max_age = -1, link["adds"] != 0, link["max_age"]
    for r in range(count):
        now = first_ns + r * period_ns
        newest = _newest(link, newest, now)
        row = values_at(rows + r * size * 8, size, _NUMBER)
        at = (link["first"] + newest) & mask
        old = newest >= 0 and max_age >= 0 and now - arrivals[at] > max_age
        if newest < 0 or (old and link["policy"] == DROP):
            for i in range(size):
                row[i] = row[i] + link["initial"] if adds else link["initial"]
        elif old and link["policy"] == EXTRAPOLATE and newest > 0:
            if not adds:
                row[:] = 0.0
            _line(link, newest, now, row)
        else:
            _add(row, values_at(link["rows"] + at * size * 8, size, _NUMBER), adds)
    needed = 1 if link["policy"] == EXTRAPOLATE else 0  # a line goes through the one before it, too
    if newest > needed:
        _forget(link, newest - needed)


@njit(cache=True, nogil=True)
def take_counted(link, first_ns, period_ns, count, rows):
    """What came for each of `count` runs since the run before, added to a row each; it is forgotten."""
    arrivals, mask, size = values_at(link["arrivals"], link["room"], _WORD), link["room"] - 1, link["size"]
    if not link["adds"]:
        values_at(rows, count * size, _NUMBER)[:] = 0.0
    last = first_ns + (count - 1) * period_ns
    due = 0
    while due < link["used"]:
        at = (link["first"] + due) & mask
        if arrivals[at] > last:
            break
        r = 0 if arrivals[at] <= first_ns else -((first_ns - arrivals[at]) // period_ns)
        came = values_at(link["rows"] + at * size * 8, size, _NUMBER)
        _add(values_at(rows + r * size * 8, size, _NUMBER), came, True)
        due += 1
    _forget(link, due)


@njit(cache=True, nogil=True)
def due_by(link, time_ns):
    """How many rows have arrived by a time."""
    return _newest(link, -1, time_ns) + 1


@njit(cache=True, nogil=True)
def runs_until_next(link, first_ns, period_ns):
    """How many runs there are before the one that a state is written for that has not arrived by the first; -1: all."""
    after = due_by(link, first_ns)
    if after >= link["used"]:
        return -1
    arrivals = values_at(link["arrivals"], link["room"], _WORD)
    return -((first_ns - arrivals[(link["first"] + after) & (link["room"] - 1)]) // period_ns)


@njit(cache=True, nogil=True)
def take_written(link, time_ns):
    """Write the states that have arrived by a time to the memory that takes them; False where one is not finite."""
    size, mask = link["size"], link["room"] - 1
    due = due_by(link, time_ns)
    for k in range(due):
        row = values_at(link["rows"] + ((link["first"] + k) & mask) * size * 8, size, _NUMBER)
        for i in range(size):
            if link["item"] == 4:
                single = np.float32(row[i])
                if not np.isfinite(single):
                    return False
                values_at(link["memory"], size, _SINGLE)[i] = single
            else:
                values_at(link["memory"], size, _NUMBER)[i] = row[i]
    _forget(link, due)
    return True


@njit(cache=True, nogil=True)
def take_rows(link, count, rows, arrivals):
    """The oldest `count` rows and their times; they are forgotten."""
    kept = values_at(link["arrivals"], link["room"], _WORD)
    for k in range(count):
        at = (link["first"] + k) & (link["room"] - 1)
        arrivals[k] = kept[at]
        rows[k] = values_at(link["rows"] + at * link["size"] * 8, link["size"], _NUMBER)
    _forget(link, count)


@njit(cache=True, nogil=True)
def take(link, first_ns, period_ns, count, rows):
    """As the link's kind has it."""
    if link["kind"] == COUNTED:
        take_counted(link, first_ns, period_ns, count, rows)
    else:
        take_held(link, first_ns, period_ns, count, rows)

"""Who runs when, compiled: each part as soon as all that it can see is known (K. M. Chandy and J. Misra, 1979).

Compiled parts are run here; `advance` comes back to Python where a part of Python's is to run, or memory is to grow.
"""

# numba types these functions; mypy cannot see into its intrinsics
# mypy: allow-untyped-defs, disable-error-code="call-arg, var-annotated, no-any-return, no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

from hybrid_control.cosim.kernels.records import (
    AWAIT,
    B_COUNT,
    B_FIRST,
    B_PERIOD,
    B_PORTS,
    CALL,
    DONE,
    DRAIN,
    FAILED,
    GROW,
    H_BEGUN,
    H_BEGUN_COUNT,
    H_FIRST,
    H_INTO,
    H_LINK_COUNT,
    H_LINKS,
    H_MEMBER_COUNT,
    H_MEMBERS,
    H_OBSERVED,
    H_ORDER,
    H_OUT,
    H_RUNS,
    H_UNTIL,
    H_WHAT,
    H_WHO,
    HEAD_WORDS,
    KEPT,
    LINK,
    MAIL,
    MEMBER,
    NOT_FINITE,
    RAN,
    WRITTEN,
    records_at,
)
from hybrid_control.cosim.kernels.rings import (
    put,
    runs_until_next,
    stands_still,
    take,
    take_written,
    waits,
)
from hybrid_control.realtime.compiled import store_release
from hybrid_control.signals.coding.kernels import uniform
from hybrid_control.snn.backends.numba.kernels import values_at
from hybrid_control.snn.backends.numba.kernels.arena import part
from hybrid_control.snn.backends.numba.kernels.step import call_at

AHEAD = 64  # runs of what takes that a part may be ahead of it
_WORD, _NUMBER = np.int64(0), np.float64(0)


@part
def _ready(members, links, into, out, m, until):
    """How many runs of a part may take place now."""
    me = members[m]
    first, period, known = me["next"], me["period"], until
    for k in range(me["into"], me["into"] + me["into_count"]):
        link = links[into[k]]
        source = members[link["source"]]
        given = source["away_since"] if source["away"] else source["next"]
        known = min(known, given + source["latency"] + link["delay"])
    for k in range(me["out"], me["out"] + me["out_count"]):
        link = links[out[k]]  # not farther ahead of what takes than its link is to hold
        if link["target"] >= 0 and link["target"] != m:
            taker = members[link["target"]]
            known = min(known, taker["next"] + max(AHEAD * taker["period"], period))
    if known <= first:
        return 0
    if me["waits"] or known - first <= period:  # most often; a division takes longer than all of the above
        return 1
    count = min(-((first - known) // period), me["most"])
    for k in range(me["into"], me["into"] + me["into_count"]):
        if links[into[k]]["kind"] == WRITTEN:
            before = runs_until_next(links[into[k]], first, period)
            if 0 < before < count:
                count = before
    return count


@part
def _first_beside(members, until):
    """When the next run begins of what is to run in a thread: all before it is done first, so that it begins early."""
    first = until
    for m in range(members.size):
        if members[m]["beside"] and not members[m]["away"]:
            first = min(first, members[m]["next"])
    return first


@part
def _gather(members, links, into, m, count):
    """What the runs see goes to the part's ports; False where a state that is to be written is not finite."""
    me = members[m]
    first, period = me["next"], me["period"]
    last = first + (count - 1) * period
    block = values_at(me["block"], B_PORTS, _WORD)
    block[B_COUNT], block[B_FIRST], block[B_PERIOD] = count, first, period
    me["skipped"] = 0
    begin, end = me["into"], me["into"] + me["into_count"]
    for k in range(begin, end):  # a row for all runs where nothing changes
        link = links[into[k]]
        if link["kind"] != WRITTEN and link["kind"] != MAIL:
            port = values_at(link["port"], 2, _WORD)
            if not link["adds"]:
                port[1] = 0
            if count > 1 and port[1] == 0 and not stands_still(link, first, last):
                port[1] = link["size"] * 8
    for k in range(begin, end):
        link = links[into[k]]
        if link["kind"] == WRITTEN:
            if link["memory"] and not take_written(link, first):
                return False
        elif link["kind"] != MAIL:
            if me["waits"] and waits(link, first):
                me["skipped"] = 1
            port = values_at(link["port"], 2, _WORD)
            take(link, first, period, 1 if port[1] == 0 else count, port[0])
    return True


@part
def _wanting(members, links, out, m, count):
    """A link that has no room for what the runs will give, or -1."""
    me = members[m]
    for k in range(me["out"], me["out"] + me["out_count"]):
        link = links[out[k]]
        if link["used"] + count > link["room"] and link["kind"] != MAIL:
            return out[k]
    return -1


@part
def _not_finite(members, m, count):
    """The first run whose results are not finite, and the port, as run * outputs + port; -1 where there is none."""
    me = members[m]
    if me["skipped"]:
        return -1
    ports = values_at(me["block"] + (B_PORTS + 2 * me["inputs"]) * 8, 2 * me["outputs"], _WORD)
    for p in range(me["outputs"]):
        size = ports[2 * p + 1] // 8
        values = values_at(ports[2 * p], count * size, _NUMBER)
        bad = 0
        for i in range(values.size):
            bad += values[i] - values[i] != 0.0
        if bad:
            for i in range(values.size):
                if values[i] - values[i] != 0.0:
                    return i // size * me["outputs"] + p
    return -1


@part
def _deliver(members, links, out, m, first, count):
    """What the runs gave goes on the part's links, but for what is lost; all of it is recorded."""
    me = members[m]
    for k in range(me["out"], me["out"] + me["out_count"]):
        link = links[out[k]]
        if link["kind"] == KEPT:
            for r in range(count):
                put(link, first + r * me["period"], link["given"], r)
        elif not me["skipped"] and link["kind"] != MAIL:
            for r in range(count):
                time = first + r * me["period"]
                if me["loss"] == 0.0 or uniform(me["key"], time // me["period"]) > me["loss"]:
                    put(link, time + me["latency"], link["given"], r)


@part
def _come_back(head, code, m, first, count, what):
    head[H_WHO], head[H_FIRST], head[H_RUNS], head[H_WHAT] = m, first, count, what
    return code


@njit(cache=True, nogil=True)
def deliver(address):
    """Take what a part of Python's gave in the runs that the head names; OK (0), or NOT_FINITE with the run."""
    head = values_at(address, HEAD_WORDS, _WORD)
    members = records_at(head[H_MEMBERS], head[H_MEMBER_COUNT], MEMBER)
    links = records_at(head[H_LINKS], head[H_LINK_COUNT], LINK)
    out = values_at(head[H_OUT], head[H_LINK_COUNT], _WORD)
    m, first, count = head[H_WHO], head[H_FIRST], head[H_RUNS]
    bad = _not_finite(members, m, count)
    if bad >= 0:
        return _come_back(head, NOT_FINITE, m, first, count, bad)
    _deliver(members, links, out, m, first, count)
    return DONE


@njit(cache=True, nogil=True)
def advance(address, delivered):
    """All runs that begin before the time in the head, until Python has something to do.

    delivered: whether what the head names has been run in Python, and its results stand in its ports.
    """
    head = values_at(address, HEAD_WORDS, _WORD)
    members = records_at(head[H_MEMBERS], head[H_MEMBER_COUNT], MEMBER)
    links = records_at(head[H_LINKS], head[H_LINK_COUNT], LINK)
    into = values_at(head[H_INTO], head[H_LINK_COUNT], _WORD)
    out = values_at(head[H_OUT], head[H_LINK_COUNT], _WORD)
    order = values_at(head[H_ORDER], members.size, _WORD)
    until = head[H_UNTIL]
    if head[H_BEGUN]:
        store_release(head[H_BEGUN], head[H_BEGUN_COUNT])
        head[H_BEGUN] = 0
    if delivered:
        code = deliver(address)
        if code != DONE:
            return code
    while True:
        moved = behind = False
        away = -1
        begins = _first_beside(members, until)
        for m in order:
            me = members[m]
            if me["away"]:
                away = m if away < 0 else away
                continue
            if me["next"] >= until:
                continue
            behind = True
            count = _ready(members, links, into, out, m, until if me["beside"] else min(until, begins + 1))
            if count == 0:
                continue
            first = me["next"]
            full = _wanting(members, links, out, m, count)
            if full >= 0:
                return _come_back(head, DRAIN if links[full]["kind"] == KEPT else GROW, m, first, count, full)
            if not _gather(members, links, into, m, count):
                return _come_back(head, FAILED, m, first, count, 0)
            me["next"] += count * me["period"]
            if me["function"] == 0:
                return _come_back(head, CALL, m, first, count, 0)
            if me["skipped"]:
                _skip(members, m)
            else:
                failed = call_at(me["function"], me["block"])
                if failed:
                    return _come_back(head, FAILED, m, first, count, failed)
            bad = _not_finite(members, m, count)
            if bad >= 0:
                return _come_back(head, NOT_FINITE, m, first, count, bad)
            _deliver(members, links, out, m, first, count)
            moved = True
            if head[H_OBSERVED]:
                return _come_back(head, RAN, m, first, count, 0)
        if not behind and away < 0:
            return DONE
        if not moved:
            return _come_back(head, AWAIT, away, 0, 0, 0)


@part
def _skip(members, m):
    """A run that does not take place gives numbers that are none."""
    me = members[m]
    ports = values_at(me["block"] + (B_PORTS + 2 * me["inputs"]) * 8, 2 * me["outputs"], _WORD)
    for p in range(me["outputs"]):
        values_at(ports[2 * p], ports[2 * p + 1] // 8, _NUMBER)[:] = np.nan

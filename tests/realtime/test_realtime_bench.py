"""The benchmark counts a peer's ticks as the compiled loop counts its own."""

from __future__ import annotations

import argparse

import pytest

from hybrid_control.bench.loop import Counts, table
from hybrid_control.bench.machine import machine
from hybrid_control.cli.bench import add_commands


def counts_of(calls, period_ns=100):
    counts = Counts()
    counts.add_calls(calls, 1000, period_ns)
    return counts


def test_ticks_on_time_are_not_late_and_none_is_missed():
    counts = counts_of([(1000, 1010), (1100, 1120), (1200, 1210)])
    assert (counts.ticks, counts.missed, counts.max_lateness_ns, counts.max_cost_ns) == (3, 0, 0, 20)


def test_a_late_tick_stands_for_the_newest_that_was_due():
    # due 1000, 1100, ...: the second comes at 1350, so 1100 and 1200 are missed; it is 250 late for 1100
    counts = counts_of([(1000, 1010), (1350, 1360), (1405, 1410)])
    assert (counts.ticks, counts.missed, counts.max_lateness_ns) == (3, 2, 250)
    assert counts.lateness[5] == 1


def test_a_tick_before_its_time_counts_as_that_tick():
    counts = counts_of([(1000, 1001), (1095, 1096), (1200, 1201)])
    assert (counts.ticks, counts.missed, counts.max_lateness_ns) == (3, 0, 0)


def test_ticks_and_missed_add_up_over_turns():
    counts = Counts()
    for _ in range(3):
        counts.add_calls([(1000, 1001), (1900, 1901)], 1000, 100)
    assert (counts.ticks, counts.missed) == (6, 24)
    assert counts.as_dict()["missed_share"] == pytest.approx(0.8)


def test_table_has_a_line_for_each_driver():
    result = {
        "rate_hz": 10.0,
        "seconds": 1.0,
        "load": [],
        "drivers": {"a": counts_of([(1000, 1010)]).as_dict()},
    }
    assert [line.split()[0] for line in table(result).splitlines()[2:]] == ["a"]


def test_unknown_loads_and_drivers_are_refused_by_name():
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    for option, what in (("--load", "load"), ("--drivers", "driver")):
        arguments = parser.parse_args(["bench", "loop", option, "python,coffee"])
        with pytest.raises(ValueError, match=f"{what}: '.*' is none of"):
            arguments.run(arguments)


def test_machine_says_what_it_is():
    assert {"processor", "cores", "kernel", "python", "numba", "load_average"} == set(machine())

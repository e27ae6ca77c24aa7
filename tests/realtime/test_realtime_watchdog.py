"""The watchdog tells once of a loop that hangs or has ended by itself, and again after recovery."""

from __future__ import annotations

import os
import threading
import time

import pytest
from realtime_ticks import counting, counting_tick

from hybrid_control.realtime import PeriodicLoop, Scheduling, Watchdog

TIMEOUT_S = 0.2  # long, for a busy machine; the node's is 20 ms


def wait_until(condition, timeout_s=20.0):
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.002)


def watched(context, on_hang, **options):
    loop = PeriodicLoop(counting_tick, context, 500.0)
    return loop, Watchdog(loop, on_hang, timeout_s=TIMEOUT_S, **options)


def test_hanging_tick_is_told_once_with_its_age_and_its_recovery_too():
    events = []
    context = counting(sleep_at=20, sleep_ns=800_000_000)
    loop, watchdog = watched(
        context, lambda age: events.append(("hang", age)), on_recovery=lambda: events.append("back")
    )
    with watchdog, loop:
        wait_until(lambda: "back" in events)
        assert [e if e == "back" else e[0] for e in events] == ["hang", "back"]
        assert events[0][1] >= TIMEOUT_S
        assert int(context["ticks"]) > 19
        # armed again
        context["sleep_at"] = int(context["ticks"]) + 20
        wait_until(lambda: len(events) == 4)
    assert watchdog.hangs == 2


def test_loop_that_failed_is_told_at_once_and_its_restart_as_recovery():
    events = []
    context = counting(fail_at=5)
    loop, watchdog = watched(context, events.append, on_recovery=lambda: events.append("back"))
    with watchdog:
        loop.start()
        wait_until(lambda: len(events) == 1)
        loop.stop()
        time.sleep(2 * TIMEOUT_S)
        assert len(events) == 1
        with loop:
            wait_until(lambda: "back" in events)


def test_healthy_idle_and_stopped_loops_are_no_fault():
    events = []
    loop, watchdog = watched(counting(), events.append)
    with watchdog:
        time.sleep(1.5 * TIMEOUT_S)
        with loop:
            time.sleep(0.1)
        time.sleep(1.5 * TIMEOUT_S)
    assert events == []


def test_callback_that_raises_does_not_end_the_watch(caplog):
    def fail(age):
        raise OSError("nobody to tell")

    context = counting(sleep_at=5, sleep_ns=600_000_000)
    loop, watchdog = watched(context, fail)
    with watchdog, loop:
        wait_until(lambda: watchdog.hangs == 1 and "nobody to tell" in caplog.text)
        wait_until(lambda: int(context["ticks"]) > 10)
        context["sleep_at"] = int(context["ticks"]) + 5
        wait_until(lambda: watchdog.hangs == 2)


def test_stop_twice_second_start_and_too_short_a_time():
    loop, watchdog = watched(counting(), print)
    watchdog.stop()
    with watchdog, pytest.raises(RuntimeError, match="already"):
        watchdog.start()
    watchdog.stop()
    with pytest.raises(ValueError, match=r"two periods or more, 0\.004 s"):
        Watchdog(loop, print, timeout_s=0.003)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_watchdog_keeps_off_the_core_of_the_loop():
    cores = os.sched_getaffinity(0)
    core = max(cores)
    loop = PeriodicLoop(counting_tick, counting(), 500.0, Scheduling(priority=None, cpu=core, standby=False))
    with Watchdog(loop, lambda age: None, timeout_s=TIMEOUT_S), loop:
        thread = next(t for t in threading.enumerate() if t.name.endswith("watchdog"))
        wait_until(lambda: os.sched_getaffinity(thread.native_id) == cores - {core})
    assert os.sched_getaffinity(0) == cores

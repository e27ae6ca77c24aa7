"""A loop that calls a compiled tick at a fixed rate from its own thread, without ever taking the interpreter.

Tick k is due at t0 + k · period of the monotonic clock, so lateness never adds up. One that cannot begin
within its own period is skipped and counted, never made up for: there is no burst after a delay.

A processor core can be held up below the scheduler, by the kernel or by a hypervisor, for milliseconds. So a second
thread, the standby, waits on another core and runs the ticks that the first one is late for. Only one of them is in
the tick at any time.
"""

from __future__ import annotations

import atexit
import enum
import logging
import threading
import time
import weakref
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numba import carray, njit
from numpy.typing import NDArray

from hybrid_control.realtime import scheduling
from hybrid_control.realtime.clock import monotonic_ns, sleep_until
from hybrid_control.realtime.compiled import (
    as_pointer,
    call_tick,
    compare_and_swap,
    fence_acquire,
    fence_release,
    load_acquire,
    load_relaxed,
    store_relaxed,
    store_release,
)
from hybrid_control.realtime.histogram import BINS, Histogram, bin_of
from hybrid_control.realtime.scheduling import Scheduling

log = logging.getLogger(__name__)

TICK_OK = 1
"""What a tick returns to go on. Not 0: that is what a numba callback returns when it raised."""

SPIN_SHARE = 10  # of the period, the most that a thread may wait for a tick in a busy loop
STANDBY_S = 50e-6
"""How long after a tick was due the standby looks whether it is being run."""
STANDBY_SHARE = 4  # of the period, the most of it

MIN_RATE_HZ, MAX_RATE_HZ = 1.0, 20_000.0


class HasAddress(Protocol):
    """What ``numba.cfunc`` makes: a compiled function with an address."""

    @property
    def address(self) -> int:
        """Where the machine code begins."""


class State(enum.IntEnum):
    """What a loop is doing."""

    IDLE = 0
    RUNNING = 1
    STOPPED = 2
    FAILED = 3


# The loop writes it, everybody reads. The first fields, up to `next`, are read and written atomically, by their
# offsets; what follows only by the thread that holds `busy`.
CONTROL = np.dtype(
    [
        ("sequence", np.int64),  # odd while the fields after `busy` are being written
        ("state", np.int64),
        ("heartbeat_ns", np.int64),  # monotonic time at which a tick last began or ended
        ("stop", np.int64),
        ("busy", np.int64),  # 1 while one of the threads has the tick
        ("next", np.int64),  # index of the next tick = ticks + missed
        ("first_ns", np.int64),  # t0
        ("ticks", np.int64),
        ("standby_ticks", np.int64),  # those of them that the standby ran
        ("missed", np.int64),
        ("overruns", np.int64),  # ticks that took a period or longer
        ("code", np.int64),  # what the last tick returned
        ("max_lateness_ns", np.int64),
        ("max_cost_ns", np.int64),
        ("lateness", np.int64, (BINS,)),
        ("cost", np.int64, (BINS,)),
    ],
    align=True,
)
_OFFSETS = {name: CONTROL.fields[name][1] for name in CONTROL.names or ()}  # type: ignore[index]
_SEQUENCE, STATE, HEARTBEAT, _STOP, _BUSY, _NEXT = (
    _OFFSETS[n] for n in ("sequence", "state", "heartbeat_ns", "stop", "busy", "next")
)
_RUNNING, _STOPPED, _FAILED = int(State.RUNNING), int(State.STOPPED), int(State.FAILED)


@njit("void(int64, int64)", cache=True, nogil=True)
def _begin(control: int, period_ns: int) -> None:
    """Let the first tick be due one period from now."""
    c = carray(as_pointer(control), 1, CONTROL)[0]
    c.first_ns = monotonic_ns() + period_ns
    store_relaxed(control + HEARTBEAT, c.first_ns)
    store_release(control + STATE, _RUNNING)


@njit("int64(int64, int64, int64, int64, int64, int64)", cache=True, nogil=True)
def _run(tick: int, context: int, control: int, period_ns: int, wake_ns: int, standby: int) -> int:
    """One thread of the loop, until it is told to stop or a tick fails; 0 where one failed here.

    It wakes ``wake_ns`` after a tick is due (before it, where that is negative) and runs it, unless the other
    thread has done so or is at it.
    """
    c = carray(as_pointer(control), 1, CONTROL)[0]
    first = c.first_ns
    index = 0
    while True:
        due = first + index * period_ns
        now = sleep_until(due + wake_ns)
        while now < due:
            now = monotonic_ns()
        if load_acquire(control + _STOP):
            compare_and_swap(control + STATE, _RUNNING, _STOPPED)
            return 1
        if load_acquire(control + STATE) != _RUNNING:
            return 1
        following = load_acquire(control + _NEXT)
        if following > index:
            index = following
            continue
        if not compare_and_swap(control + _BUSY, 0, 1):
            index += 1
            continue
        index = load_relaxed(control + _NEXT)
        due = first + index * period_ns
        begin = monotonic_ns()
        if begin < due:  # the other thread has run it meanwhile
            store_release(control + _BUSY, 0)
            continue
        store_relaxed(control + HEARTBEAT, begin)
        code = call_tick(tick, context, begin)
        end = monotonic_ns()

        lateness = begin - due
        cost = end - begin
        ran = index + lateness // period_ns  # woken late: it stands in for the newest that was due
        # after a tick longer than a period wait for the next due time, so that the core is never held for
        # good
        following = ran + 1 if cost < period_ns else (end - first) // period_ns + 1
        sequence = load_relaxed(control + _SEQUENCE)
        store_relaxed(control + _SEQUENCE, sequence + 1)
        fence_release()
        c.ticks += 1
        c.standby_ticks += standby
        c.missed += following - index - 1
        c.overruns += cost >= period_ns
        c.code = code
        c.lateness[bin_of(lateness)] += 1
        c.cost[bin_of(cost)] += 1
        c.max_lateness_ns = max(c.max_lateness_ns, lateness)
        c.max_cost_ns = max(c.max_cost_ns, cost)
        store_relaxed(control + _NEXT, following)
        store_release(control + _SEQUENCE, sequence + 2)
        store_relaxed(control + HEARTBEAT, end)
        if code != TICK_OK:
            store_release(control + STATE, _FAILED)
        store_release(control + _BUSY, 0)
        if code != TICK_OK:
            return 0
        index = following


@njit("int64(int64, int64)", cache=True, nogil=True)
def _snapshot(control: int, copy: int) -> int:
    """Copy a running loop's control record; 1 if the copy is whole, 0 if the loop wrote meanwhile."""
    before = load_acquire(control + _SEQUENCE)
    carray(as_pointer(copy), 1, CONTROL)[0] = carray(as_pointer(control), 1, CONTROL)[0]
    fence_acquire()
    return before % 2 == 0 and load_relaxed(control + _SEQUENCE) == before


@njit("int64(int64, int64, int64, int64, int64)", cache=True, nogil=True)
def call_ticks(tick: int, context: int, now_ns: int, period_ns: int, count: int) -> int:
    """Call a tick ``count`` times, from ``now_ns`` on and a period apart; returns how many went well."""
    for i in range(count):
        if call_tick(tick, context, now_ns + i * period_ns) != TICK_OK:
            return i
    return count


@dataclass(frozen=True, slots=True, eq=False)
class LoopStatus:
    """A loop's counters at one moment, that add up: ticks + missed is the index of the next tick."""

    state: State
    rate_hz: float
    ticks: int
    standby_ticks: int
    missed: int
    overruns: int
    first_ns: int
    heartbeat_ns: int
    code: int
    lateness: Histogram
    cost: Histogram
    fifo: bool
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For a table or a JSON file; durations in microseconds."""
        return {
            "state": self.state.name.lower(),
            "rate_hz": self.rate_hz,
            "ticks": self.ticks,
            "standby_ticks": self.standby_ticks,
            "missed": self.missed,
            "overruns": self.overruns,
            "fifo": self.fifo,
            "lateness": self.lateness.summary(),
            "cost": self.cost.summary(),
            "notes": list(self.notes),
        }


def one_record(context: NDArray[Any]) -> NDArray[Any]:
    """The context itself, where it is one writeable record whose memory a tick may use; else ValueError."""
    if not isinstance(context, np.ndarray) or context.size != 1 or not context.flags.c_contiguous:
        raise ValueError("context: expected a numpy array of one record, such as np.zeros((), dtype)")
    if not context.flags.writeable or context.dtype.hasobject:
        raise ValueError(f"context: {context.dtype} must be writeable and hold no Python objects")
    return context


def tick_address(tick: int | HasAddress) -> int:
    """The address of a tick given as such or as a numba cfunc; ValueError where it is none."""
    address = tick if isinstance(tick, int) else getattr(tick, "address", None)
    if not isinstance(address, int) or address <= 0:
        raise ValueError(f"tick: {tick!r} is neither a numba.cfunc('int64(voidptr, int64)') nor an address")
    return address


def period_of(rate_hz: float) -> int:
    """The period of a rate in whole ns; ValueError outside 1 Hz .. 20 kHz."""
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise ValueError(f"rate: {rate_hz} Hz must be within {MIN_RATE_HZ:g} .. {MAX_RATE_HZ:g} Hz")
    return round(1e9 / rate_hz)


class PeriodicLoop:
    """Calls ``int64 tick(void* context, int64 now_ns)`` at a fixed rate from a thread in compiled code.

    tick: a ``numba.cfunc`` of that signature, or its address. It returns TICK_OK; anything else ends the loop
    in State.FAILED, and so does a tick that raises. context: one numpy record, the tick's alone while the
    loop runs; what goes in and out at run time goes through mailboxes whose addresses it holds. now_ns: the
    monotonic clock. rate_hz: 1 Hz to 20 kHz; the period is rounded to whole nanoseconds.

    Of the scheduling, what the system does not permit is left out, logged as one line that says what to change, and
    kept in `notes`.
    """

    def __init__(
        self,
        tick: int | HasAddress,
        context: NDArray[Any],
        rate_hz: float,
        scheduling: Scheduling = Scheduling(),
        name: str = "reflex",
    ) -> None:
        self.period_ns = period_of(rate_hz)
        self.context = one_record(context)
        self.scheduling = scheduling
        self.name = name
        self.notes: tuple[str, ...] = ()
        self._tick = tick  # kept alive
        self._tick_address = tick_address(tick)
        self._control = np.zeros((), CONTROL)
        self._control_address = int(self._control.ctypes.data)
        self._threads: list[threading.Thread] = []
        self._error: Exception | None = None
        self._fifo = False

    @property
    def rate_hz(self) -> float:
        """The rate that the period in whole nanoseconds gives."""
        return 1e9 / self.period_ns

    @property
    def control(self) -> NDArray[Any]:
        """The record of dtype CONTROL that the loop writes, to be read only; `status` gives a whole copy."""
        return self._control

    @property
    def state(self) -> State:
        """What the loop is doing."""
        return State(int(self._control["state"]))

    @property
    def alive(self) -> bool:
        """Whether the loop's thread is ticking."""
        return self._threads_alive() and self.state is State.RUNNING

    def warm(self, ticks: int = 100, context: NDArray[Any] | None = None) -> None:
        """Call the tick so many times before the loop starts, so that the first one in earnest is fast.

        context: a scratch record for this; None uses the loop's own and restores it afterwards. What a tick
        writes outside its context, such as to a mailbox, stays written. RuntimeError while the loop runs, or
        where a tick fails.
        """
        if self.alive:
            raise RuntimeError(f"{self.name}: warm() belongs before start()")
        target = self.context if context is None else one_record(context)
        before = target.copy()
        done = call_ticks(self._tick_address, target.ctypes.data, monotonic_ns(), self.period_ns, ticks)
        target[...] = before
        if done < ticks:
            raise RuntimeError(f"{self.name}: tick {done} of {ticks} failed while warming up")

    def start(self) -> None:
        """Start ticking, one period from now. RuntimeError if it runs already or cannot start."""
        if self._threads_alive():
            raise RuntimeError(f"{self.name}: the loop runs already")
        self._control[...] = np.zeros((), CONTROL)
        self.context[...] = self.context.copy()  # touches every page
        self._error = None
        self._fifo = False
        self.notes = ()
        if self.scheduling.lock_memory:
            self._note(scheduling.lock_memory())
        core, standby_core = self.scheduling.cores()
        spin_ns = min(round(self.scheduling.spin_s * 1e9), self.period_ns // SPIN_SHARE)
        self._threads = [self._thread(self.name, core, -spin_ns, 0)]
        _running.add(self)
        self._threads[0].start()
        while self.state is State.IDLE and self._threads[0].is_alive():
            time.sleep(0.001)
        if self._error is not None:
            raise RuntimeError(f"{self.name}: the loop did not start: {self._error}") from self._error
        if standby_core is not None:
            wake_ns = min(round(STANDBY_S * 1e9), self.period_ns // STANDBY_SHARE)
            standby = self._thread(f"{self.name} standby", standby_core, wake_ns, 1)
            self._threads.append(standby)
            standby.start()

    def stop(self, timeout_s: float = 1.0) -> bool:
        """Stop after the tick in progress; whether the threads ended in time. Harmless where nothing runs."""
        store_release_at(self._control_address + _STOP, 1)
        if threading.current_thread() in self._threads:
            return True
        for thread in self._threads:
            thread.join(timeout_s)
        if self._threads_alive():
            return False
        _running.discard(self)
        return True

    def status(self) -> LoopStatus:
        """The counters and histograms since the last start, at any time and from any thread."""
        copy = np.zeros((), CONTROL)
        while not _snapshot(self._control_address, copy.ctypes.data):
            time.sleep(0)
        return LoopStatus(
            state=State(int(copy["state"])),
            rate_hz=self.rate_hz,
            ticks=int(copy["ticks"]),
            standby_ticks=int(copy["standby_ticks"]),
            missed=int(copy["missed"]),
            overruns=int(copy["overruns"]),
            first_ns=int(copy["first_ns"]),
            heartbeat_ns=int(copy["heartbeat_ns"]),
            code=int(copy["code"]),
            lateness=Histogram(copy["lateness"].copy(), int(copy["max_lateness_ns"])),
            cost=Histogram(copy["cost"].copy(), int(copy["max_cost_ns"])),
            fifo=self._fifo,
            notes=self.notes,
        )

    def __enter__(self) -> PeriodicLoop:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _note(self, line: str | None) -> bool:
        if line is not None and line not in self.notes:
            self.notes = (*self.notes, line)
            log.warning("%s: %s", self.name, line)
        return line is None

    def _threads_alive(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def _thread(self, name: str, core: int | None, wake_ns: int, standby: int) -> threading.Thread:
        return threading.Thread(target=self._main, name=name, args=(core, wake_ns, standby), daemon=True)

    def _main(self, core: int | None, wake_ns: int, standby: int) -> None:
        """What either thread does."""
        try:
            scheduling.use_exact_timers()
            if core is not None:
                self._note(scheduling.use_core(core))
            if self.scheduling.priority is not None:
                self._fifo = self._note(scheduling.use_fifo(self.scheduling.priority))
            if not standby:
                _begin(self._control_address, self.period_ns)
            went_well = _run(
                self._tick_address,
                self.context.ctypes.data,
                self._control_address,
                self.period_ns,
                wake_ns,
                standby,
            )
        except Exception as error:
            self._error = error
            self._control["state"] = State.FAILED
            return
        if not went_well:
            code = int(self._control["code"])
            log.error("%s: a tick returned %d, not TICK_OK (%d): the loop ended", self.name, code, TICK_OK)


@njit("void(int64, int64)", cache=True, nogil=True)
def store_release_at(address: int, value: int) -> None:
    """`store_release` for Python."""
    store_release(address, value)


_running: weakref.WeakSet[PeriodicLoop] = weakref.WeakSet()


@atexit.register
def _stop_all() -> None:
    """A loop left running would tick on in memory that the interpreter takes down."""
    for loop in list(_running):
        loop.stop()

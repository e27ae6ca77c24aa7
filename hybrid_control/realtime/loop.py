"""A loop that calls a compiled tick at a fixed rate from its own thread, without ever taking the interpreter.

Tick k is due at t0 + k · period of the monotonic clock, so lateness never adds up. One that cannot begin
within its own period is skipped and counted, never made up for: there is no burst after a delay.
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
    fence_acquire,
    fence_release,
    load_acquire,
    load_relaxed,
    store_relaxed,
    store_release,
)
from hybrid_control.realtime.histogram import BINS, Histogram, bin_of

log = logging.getLogger(__name__)

TICK_OK = 1
"""What a tick returns to go on. Not 0: that is what a numba callback returns when it raised."""

SPIN_S = 40e-6
"""How long before a tick is due its thread wakes: about what waking takes. The rest it waits in a busy loop."""
SPIN_SHARE = 10  # of the period, the most that may be waited so

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


# The loop writes it, everybody reads. The first three fields are read and written atomically, by their
# offsets.
CONTROL = np.dtype(
    [
        ("sequence", np.int64),  # odd while the fields after `heartbeat_ns` are being written
        ("state", np.int64),
        ("heartbeat_ns", np.int64),  # monotonic time at which a tick last began or ended
        ("stop", np.int64),
        ("first_ns", np.int64),  # t0
        ("next", np.int64),  # index of the next tick = ticks + missed
        ("ticks", np.int64),
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
_SEQUENCE, STATE, HEARTBEAT, _STOP = (_OFFSETS[n] for n in ("sequence", "state", "heartbeat_ns", "stop"))
_RUNNING, _STOPPED, _FAILED = int(State.RUNNING), int(State.STOPPED), int(State.FAILED)


@njit("int64(int64, int64, int64, int64, int64)", cache=True, nogil=True)
def _run(tick: int, context: int, control: int, period_ns: int, spin_ns: int) -> int:
    """The loop: from its first tick, one period after the call, until it is told to stop or a tick fails."""
    c = carray(as_pointer(control), 1, CONTROL)[0]
    first = monotonic_ns() + period_ns
    c.first_ns = first
    index = 0
    store_relaxed(control + HEARTBEAT, first)
    store_release(control + STATE, _RUNNING)
    while True:
        due = first + index * period_ns
        begin = sleep_until(due - spin_ns)
        while begin < due:
            begin = monotonic_ns()
        if load_acquire(control + _STOP):
            store_release(control + STATE, _STOPPED)
            return 1
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
        c.missed += following - index - 1
        c.overruns += cost >= period_ns
        c.next = following
        c.code = code
        c.lateness[bin_of(lateness)] += 1
        c.cost[bin_of(cost)] += 1
        c.max_lateness_ns = max(c.max_lateness_ns, lateness)
        c.max_cost_ns = max(c.max_cost_ns, cost)
        store_release(control + _SEQUENCE, sequence + 2)
        store_relaxed(control + HEARTBEAT, end)
        if code != TICK_OK:
            store_release(control + STATE, _FAILED)
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
    monotonic clock. rate_hz: 1 Hz to 20 kHz; the period is rounded to whole nanoseconds. priority: of
    SCHED_FIFO, 1 .. 99, or None for the normal scheduler. cpu: the core to stay on, or None for any.
    lock_memory: keep the whole process in memory from the first start on. spin_s: how long before a tick is due
    its thread wakes, to wait the rest in a busy loop; a tenth of the period at most is used, 0 only sleeps.

    What the system does not permit is left out, logged as one line that says what to change, and kept in
    `notes`.
    """

    def __init__(
        self,
        tick: int | HasAddress,
        context: NDArray[Any],
        rate_hz: float,
        *,
        priority: int | None = 80,
        cpu: int | None = None,
        lock_memory: bool = True,
        spin_s: float = SPIN_S,
        name: str = "reflex",
    ) -> None:
        self.period_ns = period_of(rate_hz)
        self.context = one_record(context)
        self.priority = priority
        self.cpu = cpu
        self.lock_memory = lock_memory
        self.name = name
        self.notes: tuple[str, ...] = ()
        if not 0 <= spin_s <= 1:
            raise ValueError(f"spin: {spin_s} s must be within 0 .. 1 s")
        self._spin_ns = min(round(spin_s * 1e9), self.period_ns // SPIN_SHARE)
        self._tick = tick  # kept alive
        self._tick_address = tick_address(tick)
        self._control = np.zeros((), CONTROL)
        self._control_address = int(self._control.ctypes.data)
        self._thread: threading.Thread | None = None
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
        return self._thread is not None and self._thread.is_alive() and self.state is State.RUNNING

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
        if self._thread is not None and self._thread.is_alive():
            raise RuntimeError(f"{self.name}: the loop runs already")
        if self.priority is not None and not 1 <= self.priority <= 99:
            raise ValueError(f"priority: {self.priority} must be within 1 .. 99, or None")
        if self.cpu is not None and self.cpu < 0:
            raise ValueError(f"cpu: {self.cpu} is no core")
        self._control[...] = np.zeros((), CONTROL)
        self.context[...] = self.context.copy()  # touches every page
        self._error = None
        self._fifo = False
        self.notes = ()
        if self.lock_memory:
            self._note(scheduling.lock_memory())
        self._thread = threading.Thread(target=self._main, name=self.name, daemon=True)
        _running.add(self)
        self._thread.start()
        while self.state is State.IDLE and self._thread.is_alive():
            time.sleep(0.001)
        if self._error is not None:
            raise RuntimeError(f"{self.name}: the loop did not start: {self._error}") from self._error

    def stop(self, timeout_s: float = 1.0) -> bool:
        """Stop after the tick in progress; whether the thread ended in time. Harmless where nothing runs."""
        store_release_at(self._control_address + _STOP, 1)
        if self._thread is None or self._thread is threading.current_thread():
            return True
        self._thread.join(timeout_s)
        if self._thread.is_alive():
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
        if line is not None:
            self.notes = (*self.notes, line)
            log.warning("%s: %s", self.name, line)
        return line is None

    def _main(self) -> None:
        try:
            scheduling.use_exact_timers()
            if self.cpu is not None:
                self._note(scheduling.use_core(self.cpu))
            if self.priority is not None:
                self._fifo = self._note(scheduling.use_fifo(self.priority))
            _run(
                self._tick_address,
                self.context.ctypes.data,
                self._control_address,
                self.period_ns,
                self._spin_ns,
            )
        except Exception as error:
            self._error = error
            self._control["state"] = State.FAILED
            return
        if self.state is State.FAILED:
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

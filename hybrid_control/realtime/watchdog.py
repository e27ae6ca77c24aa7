"""A watchdog outside the loop: it notices a loop that died or hangs, and says so once."""

from __future__ import annotations

import atexit
import logging
import threading
import weakref
from collections.abc import Callable

import numpy as np
from numba import njit

from hybrid_control.realtime import scheduling
from hybrid_control.realtime.clock import monotonic_ns, sleep_until
from hybrid_control.realtime.compiled import load_acquire, load_relaxed
from hybrid_control.realtime.loop import HEARTBEAT, STATE, PeriodicLoop, State, store_release_at

log = logging.getLogger(__name__)

_RUNNING, _FAILED = int(State.RUNNING), int(State.FAILED)


@njit("int64(int64, int64, int64, int64, int64)", cache=True, nogil=True)
def _watch(control: int, stop: int, timeout_ns: int, step_ns: int, hung: int) -> int:
    """Sleep, without the interpreter, until the loop's health is no longer ``hung``; -1 when told to stop."""
    while load_acquire(stop) == 0:
        state = load_acquire(control + STATE)
        heartbeat = load_relaxed(control + HEARTBEAT)
        age = monotonic_ns() - heartbeat
        now_hung = 1 if state == _FAILED or (state == _RUNNING and age > timeout_ns) else 0
        if now_hung != hung:
            return now_hung
        sleep_until(monotonic_ns() + step_ns)
    return -1


class Watchdog:
    """Calls ``on_hang(age_s)`` once when a loop fails or gives no heartbeat in time; re-arms on recovery.

    It looks from a thread of its own, in compiled code, ten times in the time allowed; only the call itself
    waits for the interpreter. It keeps off the core of the loop's first thread where there is another: what
    holds that core, at whatever priority, does not hold the watchdog. A loop that was stopped on purpose is no
    fault. The loop may be started and stopped while it is watched. on_recovery: called, without arguments, when
    the loop ticks again. timeout_s: at least two periods of the loop. priority: of SCHED_FIFO, best above the
    loop's, or None for the normal scheduler.
    """

    def __init__(
        self,
        loop: PeriodicLoop,
        on_hang: Callable[[float], object],
        *,
        on_recovery: Callable[[], object] | None = None,
        timeout_s: float = 0.020,
        priority: int | None = None,
    ) -> None:
        if not timeout_s * 1e9 >= 2 * loop.period_ns:
            raise ValueError(f"timeout: {timeout_s} s must be two periods or more, {2e-9 * loop.period_ns} s")
        self.timeout_s = timeout_s
        self.hangs = 0
        self._loop = loop
        self._on_hang = on_hang
        self._on_recovery = on_recovery
        self._priority = priority
        self._stop = np.zeros(1, np.int64)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin watching. RuntimeError if it already does."""
        if self._thread is not None and self._thread.is_alive():
            raise RuntimeError("watchdog: it watches already")
        self._stop[0] = 0
        self._thread = threading.Thread(target=self._main, name=f"{self._loop.name} watchdog", daemon=True)
        self._thread.start()
        _watching.add(self)

    def stop(self) -> None:
        """Stop watching; no call is made afterwards. Harmless where it does not watch."""
        store_release_at(self._stop.ctypes.data, 1)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        _watching.discard(self)

    def __enter__(self) -> Watchdog:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _main(self) -> None:
        scheduling.use_exact_timers()
        scheduling.leave_core(self._loop.scheduling.cores()[0])
        if self._priority is not None:
            note = scheduling.use_fifo(self._priority)
            if note is not None:
                log.warning("watchdog: %s", note)
        control = self._loop.control.ctypes.data
        timeout_ns = round(self.timeout_s * 1e9)
        hung = 0
        while True:
            hung = _watch(control, self._stop.ctypes.data, timeout_ns, timeout_ns // 10, hung)
            if hung < 0:
                return
            try:
                if hung:
                    self.hangs += 1
                    self._on_hang(1e-9 * (monotonic_ns() - int(self._loop.control["heartbeat_ns"])))
                elif self._on_recovery is not None:
                    self._on_recovery()
            except Exception:
                log.exception("watchdog: the callback failed")


_watching: weakref.WeakSet[Watchdog] = weakref.WeakSet()


@atexit.register
def _stop_all() -> None:
    """A thread left in compiled code would look at memory that the interpreter takes down."""
    for watchdog in list(_watching):
        watchdog.stop()

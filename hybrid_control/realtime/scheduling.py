"""What a thread needs from Linux to keep time: SCHED_FIFO, a core, exact timers, memory that stays put.

`Scheduling` says what a loop wishes of it. The functions return None where it worked, and otherwise one line that says
what to change on the system.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
from dataclasses import dataclass

_PR_SET_TIMERSLACK = 29  # <sys/prctl.h>
SPIN_S = 40e-6
"""How long before a tick is due its thread wakes: about what waking takes. The rest it waits in a busy loop."""

_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4  # <sys/mman.h>


@dataclass(frozen=True, slots=True)
class Scheduling:
    """How a loop's threads are to run.

    priority: of SCHED_FIFO, 1 .. 99, or None for the normal scheduler. cpu: the core to stay on, or None for any.
    standby: keep a second thread on another core, for the ticks that the first one is late for; both then stay on
    their cores, the last two that the process may use where cpu is None. With a single core there is none.
    lock_memory: keep the whole process in memory from the first start on. spin_s: how long before a tick is due
    its thread wakes, to wait the rest in a busy loop; a tenth of the period at most is used, 0 only sleeps.
    """

    priority: int | None = 80
    cpu: int | None = None
    standby: bool = True
    lock_memory: bool = True
    spin_s: float = SPIN_S

    def __post_init__(self) -> None:
        if self.priority is not None and not 1 <= self.priority <= 99:
            raise ValueError(f"priority: {self.priority} must be within 1 .. 99, or None")
        if self.cpu is not None and self.cpu < 0:
            raise ValueError(f"cpu: {self.cpu} is no core")
        if not 0 <= self.spin_s <= 1:
            raise ValueError(f"spin: {self.spin_s} s must be within 0 .. 1 s")

    def cores(self) -> tuple[int | None, int | None]:
        """The cores of the first thread (None: any) and of the standby (None: there is none)."""
        if not self.standby:
            return self.cpu, None
        allowed = sorted(os.sched_getaffinity(0))
        core = allowed[-1] if self.cpu is None else self.cpu
        others = [other for other in allowed if other != core]
        return (core, others[-1]) if others else (self.cpu, None)


def use_fifo(priority: int) -> str | None:
    """Put the calling thread under SCHED_FIFO at a priority of 1 .. 99."""
    lowest, highest = os.sched_get_priority_min(os.SCHED_FIFO), os.sched_get_priority_max(os.SCHED_FIFO)
    if not lowest <= priority <= highest:
        raise ValueError(f"priority: {priority} must be within {lowest} .. {highest} for SCHED_FIFO")
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except PermissionError:
        return (
            f"SCHED_FIFO {priority} is not permitted, the loop runs under the normal scheduler: "
            f"add '<user> - rtprio {priority}' to /etc/security/limits.conf and log in again, or grant "
            f"CAP_SYS_NICE, or start the container with --cap-add SYS_NICE --ulimit rtprio={priority}"
        )
    return None


def use_core(core: int) -> str | None:
    """Keep the calling thread on one core."""
    try:
        os.sched_setaffinity(0, {core})
    except OSError:
        allowed = sorted(os.sched_getaffinity(0))
        return f"core {core} is not available, the loop runs on any of {allowed}: choose one of these"
    return None


def leave_core(core: int | None) -> None:
    """Let the calling thread run on any core but one, where there are others; None leaves it as it is."""
    others = os.sched_getaffinity(0) - {core}
    if core is not None and others:
        os.sched_setaffinity(0, others)


def use_exact_timers() -> None:
    """Let the calling thread's sleeps end on time, which the normal scheduler else delays by 50 µs."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(1), 0, 0, 0)


def lock_memory() -> str | None:
    """Keep every page of this process in memory once it has been touched (mlockall), for as long as it lives.

    Tried only where the limit is none: under a smaller one, memory asked for later could be refused anywhere.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    limited = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != resource.RLIM_INFINITY
    if limited and not _has_ipc_lock():
        code = errno.EPERM
    elif libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0:
        return None
    else:
        code = ctypes.get_errno()
    return (
        f"memory is not locked ({errno.errorcode.get(code, code)}), a page fault may delay a tick: add "
        "'<user> - memlock unlimited' to /etc/security/limits.conf and log in again, or grant CAP_IPC_LOCK, "
        "or start the container with --cap-add IPC_LOCK --ulimit memlock=-1"
    )


def _has_ipc_lock() -> bool:
    """Whether this process has CAP_IPC_LOCK (bit 14), to which the limit does not apply."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> 14 & 1)
    return False

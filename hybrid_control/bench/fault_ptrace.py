"""Freezes one thread of another process, which no signal can do: ptrace(2) stops it, and the others go on."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
import time
from functools import cache

_DETACH, _SEIZE, _INTERRUPT = 17, 0x4206, 0x4207  # <sys/ptrace.h>
_WALL = 0x40000000  # <sys/wait.h>, for threads
_PATIENCE = 2.0  # s until a thread must have stopped: one in an uninterruptible sleep comes late

_ptrace = ctypes.CDLL(None, use_errno=True).ptrace
_ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_ptrace.restype = ctypes.c_long


def _call(request: int, tid: int) -> None:
    if _ptrace(request, tid, None, None) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"ptrace of thread {tid}: {os.strerror(code)}")


class Frozen:
    """A thread that stands still until `thaw`, which must come from the same thread of this process.

    OSError where it is not permitted or the thread is gone.
    """

    def __init__(self, tid: int) -> None:
        self._tid = tid
        _call(_SEIZE, tid)
        _call(_INTERRUPT, tid)
        given_up = time.monotonic() + _PATIENCE
        while os.waitpid(tid, _WALL | os.WNOHANG)[0] == 0:
            if time.monotonic() > given_up:
                raise OSError(errno.ETIMEDOUT, f"thread {tid} did not stop")
            time.sleep(0.0005)

    def thaw(self) -> None:
        """Let it run. Nothing where it has died."""
        try:
            _call(_DETACH, self._tid)
        except OSError as error:
            if error.errno != errno.ESRCH:
                raise


@cache
def may_freeze() -> str:
    """Why a thread can't be frozen here, "" where it can."""
    with subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(30)"]) as child:
        try:
            Frozen(child.pid).thaw()
        except OSError as error:
            return f"ptrace is not permitted ({error.strerror})"
        finally:
            child.kill()
    return ""

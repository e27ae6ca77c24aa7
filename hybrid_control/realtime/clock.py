"""Clocks in nanoseconds, for Python and for compiled code.

The monotonic clock paces and measures, the real-time clock stamps.
They call libc's clock_gettime and clock_nanosleep (POSIX.1-2008) on 64-bit Linux.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils

from hybrid_control.realtime.compiled import intrinsic

# <time.h> and <errno.h> of Linux
_CLOCK_REALTIME = 0
_CLOCK_MONOTONIC = 1
_TIMER_ABSTIME = 1
_EINTR = 4

_I32 = ir.IntType(32)
_I64 = ir.IntType(64)
_TIMESPEC = ir.ArrayType(_I64, 2)  # seconds, nanoseconds
_SECOND = ir.Constant(_I64, 1_000_000_000)


@intrinsic
def _gettime(typingctx: Any, clock: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(_I32, [_I32, _TIMESPEC.as_pointer()])
        function = cgutils.get_or_insert_function(builder.module, kind, "clock_gettime")
        time = cgutils.alloca_once(builder, _TIMESPEC)
        builder.call(function, [args[0], time])
        seconds, nanoseconds = (builder.load(cgutils.gep_inbounds(builder, time, 0, i)) for i in (0, 1))
        return builder.add(builder.mul(seconds, _SECOND), nanoseconds)

    return types.int64(types.int32), codegen


@intrinsic
def _nanosleep(typingctx: Any, clock: Any, flags: Any, until_ns: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _TIMESPEC.as_pointer()
        kind = ir.FunctionType(_I32, [_I32, _I32, pointer, pointer])
        function = cgutils.get_or_insert_function(builder.module, kind, "clock_nanosleep")
        time = cgutils.alloca_once(builder, _TIMESPEC)
        builder.store(builder.sdiv(args[2], _SECOND), cgutils.gep_inbounds(builder, time, 0, 0))
        builder.store(builder.srem(args[2], _SECOND), cgutils.gep_inbounds(builder, time, 0, 1))
        return builder.call(function, [args[0], args[1], time, ir.Constant(pointer, None)])

    return types.int32(types.int32, types.int32, types.int64), codegen


@njit("int64()", cache=True, nogil=True)
def monotonic_ns() -> int:
    """Nanoseconds of CLOCK_MONOTONIC, the clock of ``time.monotonic_ns``."""
    return _gettime(_CLOCK_MONOTONIC)


@njit("int64()", cache=True, nogil=True)
def realtime_ns() -> int:
    """Nanoseconds of CLOCK_REALTIME since 1970, the clock of ``time.time_ns`` and, by default, of ROS."""
    return _gettime(_CLOCK_REALTIME)


@njit("int64(int64)", cache=True, nogil=True)
def sleep_until(monotonic_time_ns: int) -> int:
    """Sleep until a time of the monotonic clock, without the interpreter; returns the time at which it woke.

    A time that has passed returns at once. A signal does not shorten the sleep.
    """
    while _nanosleep(_CLOCK_MONOTONIC, _TIMER_ABSTIME, monotonic_time_ns) == _EINTR:
        pass
    return _gettime(_CLOCK_MONOTONIC)

"""The way a compiled loop sends wheel speeds: one njit function, or its C address, that encodes a velocity
frame and writes it to a file descriptor without the interpreter. Byte for byte the same frames as the Python
codec.

A *port* is one int64 array that the link and the loop share. The loop only ever calls ``send_velocity``.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numba import carray, cfunc, njit, types
from numpy.typing import NDArray

# words of a port
FD, SESSION, SEQUENCE, WHEELS, MAX_MRAD, SENT, FAILED, TORN = range(8)
_HISTORY_AT = 8
HISTORY = 1024
_BUFFER_AT = _HISTORY_AT + HISTORY
_BUFFER_WORDS = 16
_MRAD_AT = _BUFFER_AT + _BUFFER_WORDS
_CLOCK_AT = _MRAD_AT + 16
PORT_WORDS = _CLOCK_AT + 2

NO_SESSION, NOT_FINITE, NOT_WRITTEN, WRONG_WHEELS = 0, -1, -2, -3

_CLOCK_MONOTONIC = 1
_write: Any = types.ExternalFunction("write", types.intp(types.int32, types.uintp, types.uintp))
_clock_gettime: Any = types.ExternalFunction("clock_gettime", types.int32(types.int32, types.uintp))

VELOCITY_TYPE = 0x10

Port = NDArray[np.int64]


def new_port() -> Port:
    """A port with no session and no file: (PORT_WORDS,) int64."""
    port = np.zeros(PORT_WORDS, np.int64)
    port[FD] = -1
    return port


@njit(nogil=True, cache=True)
def encode_velocity(speeds_mrad: NDArray, session: int, sequence: int, out: NDArray) -> int:
    """Writes the whole velocity frame of docs/link.md into out; returns its length.

    speeds_mrad: (n,) int64 within int32, mrad/s. out: uint8, at least 4 n + 8. CRC-16/IBM-3740 bit by bit.
    """
    n = speeds_mrad.size
    out[1] = VELOCITY_TYPE
    out[2] = session
    out[3] = sequence & 0xFF
    out[4] = sequence >> 8
    at = 5
    for i in range(n):
        v = speeds_mrad[i]
        for shift in range(0, 32, 8):
            out[at] = (v >> shift) & 0xFF
            at += 1
    crc = 0xFFFF
    for i in range(1, at):
        crc ^= int(out[i]) << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021) & 0xFFFF if crc & 0x8000 else crc << 1
    out[at] = crc & 0xFF
    out[at + 1] = crc >> 8
    at += 2
    code_at, code = 0, 1
    for i in range(1, at):
        if out[i] == 0:
            out[code_at] = code
            code_at, code = i, 1
        else:
            code += 1
    out[code_at] = code
    out[at] = 0
    return at + 1


@njit(nogil=True, cache=True)
def monotonic_ns(t: NDArray) -> int:
    """CLOCK_MONOTONIC in nanoseconds, without the interpreter. t: (2,) int64 to work in."""
    _clock_gettime(np.int32(_CLOCK_MONOTONIC), np.uintp(t.ctypes.data))
    return t[0] * 1_000_000_000 + t[1]


@njit(nogil=True, cache=True)
def send_velocity(port: NDArray, speeds: NDArray) -> int:
    """Sends the speeds (n,) rad/s through the port; scaled down together if one is above the device's limit.

    Returns the sequence number + 1 (1 .. 65536), or NO_SESSION, NOT_FINITE, NOT_WRITTEN, WRONG_WHEELS. Never
    waits: what the operating system does not take at once is dropped. One thread at a time may call it.
    """
    n = port[WHEELS]
    session = port[SESSION]
    if session == 0:
        return NO_SESSION
    if speeds.size != n:
        return WRONG_WHEELS
    largest = 0.0
    for i in range(n):
        if not np.isfinite(speeds[i]):
            return NOT_FINITE
        largest = max(largest, abs(speeds[i]))
    limit = port[MAX_MRAD] * 1e-3
    scale = limit / largest if largest > limit else 1.0
    mrad = port[_MRAD_AT : _MRAD_AT + n]
    for i in range(n):
        mrad[i] = min(max(np.int64(np.rint(speeds[i] * scale * 1e3)), -port[MAX_MRAD]), port[MAX_MRAD])

    sequence = (port[SEQUENCE] + 1) & 0xFFFF
    port[SEQUENCE] = sequence
    buffer = port[_BUFFER_AT : _BUFFER_AT + _BUFFER_WORDS].view(np.uint8)
    buffer[0] = 0
    size = encode_velocity(mrad, session, sequence, buffer[1:])
    first = 1
    if port[TORN]:  # the frame before was cut short: this delimiter ends what is left of it
        first, size = 0, size + 1
    port[_HISTORY_AT + sequence % HISTORY] = monotonic_ns(port[_CLOCK_AT:])
    written = _write(np.int32(port[FD]), np.uintp(buffer.ctypes.data + first), np.uintp(size))
    if written != size:
        port[FAILED] += 1
        port[TORN] = 1
        return NOT_WRITTEN
    port[TORN] = 0
    port[SENT] += 1
    return sequence + 1


_SIGNATURE: Any = types.int64(types.CPointer(types.int64), types.CPointer(types.float64), types.int64)


@cfunc(_SIGNATURE, cache=True)
def send_velocity_c(port, speeds, n):  # type: ignore[no-untyped-def]
    """``send_velocity`` as ``int64 (int64 *port, double *speeds, int64 n)``, at ``.address``."""
    return send_velocity(carray(port, (PORT_WORDS,)), carray(speeds, (n,)))


def sent_ns(port: Port, sequence: int) -> int:
    """When the velocity of that sequence was sent, CLOCK_MONOTONIC ns; 0 if never. The newest HISTORY."""
    return int(port[_HISTORY_AT + sequence % HISTORY])


def newest_speeds(port: Port) -> tuple[float, ...]:
    """The wheel speeds (rad/s) that were sent last, within the device's limit; zeros before the first."""
    return tuple((port[_MRAD_AT : _MRAD_AT + int(port[WHEELS])] * 1e-3).tolist())


class Outlet:
    """A port, and the one file descriptor that it has for good.

    It points to /dev/null while there is no connection, so a late write of a compiled loop cannot reach a file that
    got the number of a closed port.
    """

    def __init__(self) -> None:
        self.port = new_port()
        self._null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        self._fd = os.dup(self._null)
        self.port[FD] = self._fd

    def attach(self, fd: int) -> None:
        """Write there from now on."""
        os.dup2(fd, self._fd, inheritable=False)

    def detach(self) -> None:
        """End the session, and write nowhere."""
        self.port[SESSION] = 0
        os.dup2(self._null, self._fd, inheritable=False)

    def close(self) -> None:
        """Give the descriptors back; the compiled loop must have ended before. May be called twice."""
        if self._fd < 0:
            return
        self.port[FD] = -1
        os.close(self._fd)
        os.close(self._null)
        self._fd = -1

"""Byte streams under the link, behind one small interface: serial port, pty, TCP, pyserial's loop://.

Neither reading nor writing ever waits longer than it was told to; a stream that has ended raises LinkError.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import termios
from typing import Protocol

import serial
from serial.tools import list_ports

from firmware_bridge.link.frames import LinkError

_LOOP_ROOM = 4096  # pyserial's queue; it would wait when full


class Transport(Protocol):
    """What the link needs of a byte stream."""

    def read(self, timeout: float) -> bytes:
        """What there is, waiting at most timeout seconds; b"" if nothing. LinkError at its end."""

    def write(self, data: bytes) -> int:
        """Number of bytes taken at once, without waiting. LinkError if the stream has ended."""

    def fileno(self) -> int:
        """The file descriptor, for writers that are compiled; -1 if there is none."""

    def close(self) -> None:
        """Closes it; may be called twice."""


class _FileTransport:
    """A non-blocking file descriptor."""

    def __init__(self, address: str, fd: int) -> None:
        self._address = address
        self._fd = fd

    def read(self, timeout: float) -> bytes:
        try:
            ready, _, _ = select.select([self._fd], [], [], timeout)
            data = os.read(self._fd, 4096) if ready else None
        except BlockingIOError:
            return b""
        except (OSError, ValueError) as error:
            raise LinkError(f"{self._address}: connection lost ({error})") from None
        if data is None:
            return b""
        if not data:
            raise LinkError(f"{self._address}: connection lost (end of stream)")
        return data

    def write(self, data: bytes) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise LinkError(f"{self._address}: connection lost ({error})") from None

    def fileno(self) -> int:
        return self._fd


class SerialTransport(_FileTransport):
    """A serial port or pty, opened exclusively at 8N1 without flow control."""

    def __init__(self, path: str, baud: int) -> None:
        try:
            self._port = serial.Serial(path, baud, timeout=0, write_timeout=0, exclusive=True)
            self._port.reset_input_buffer()
        except (OSError, ValueError, termios.error) as error:
            raise LinkError(f"{path}: {_reason(error, baud)}") from None
        super().__init__(path, self._port.fileno())

    def close(self) -> None:
        """Closes it; may be called twice."""
        with contextlib.suppress(OSError, termios.error):
            self._port.close()


def _reason(error: Exception, baud: int) -> str:
    code = getattr(error, "errno", None) or (error.args[0] if error.args else None)
    text = str(error)
    if code == errno.ENOENT:
        return "there is no such port; `python -m serial.tools.list_ports` lists those there are"
    if code == errno.EACCES:
        return "may not be opened by this user; on most systems the group dialout may"
    if code in (errno.EBUSY, errno.EWOULDBLOCK) or "lock" in text:
        return "the port is busy: another program has it open"
    if code in (errno.ENOTTY, errno.EINVAL, errno.EISDIR) or "Could not configure" in text:
        return f"is no serial port, or cannot do {baud} baud"
    return f"cannot be opened ({text})"


class TcpTransport(_FileTransport):
    """A TCP connection, such as a serial server or the emulator gives."""

    def __init__(self, host: str, port: int) -> None:
        address = f"tcp://{host}:{port}"
        try:
            self._socket = socket.create_connection((host, port), timeout=1.0)
        except OSError as error:
            raise LinkError(f"{address}: cannot connect ({error})") from None
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        super().__init__(address, self._socket.fileno())

    def close(self) -> None:
        """Closes it; may be called twice."""
        self._socket.close()


class LoopTransport:
    """pyserial's loop://: what is written can be read again. For tests without any hardware."""

    def __init__(self) -> None:
        self._port = serial.serial_for_url("loop://", timeout=0)

    def read(self, timeout: float) -> bytes:
        """As Transport.read."""
        try:
            self._port.timeout = timeout
            first = self._port.read(1)
            return first + self._port.read(self._port.in_waiting)
        except serial.SerialException as error:
            raise LinkError(f"loop://: connection lost ({error})") from None

    def write(self, data: bytes) -> int:
        """As Transport.write."""
        try:
            if self._port.in_waiting + len(data) > _LOOP_ROOM:
                return 0
            return int(self._port.write(data) or 0)
        except serial.SerialException as error:
            raise LinkError(f"loop://: connection lost ({error})") from None

    def fileno(self) -> int:
        """There is none."""
        return -1

    def close(self) -> None:
        """Closes it; may be called twice."""
        self._port.close()


def find_port(serial_number: str) -> str:
    """Path of the USB serial port with that serial number; LinkError if there is none."""
    ports = list(list_ports.comports())
    for port in ports:
        if port.serial_number == serial_number:
            return str(port.device)
    known = ", ".join(f"{p.device} ({p.serial_number})" for p in ports if p.serial_number) or "none"
    raise LinkError(f"serial:{serial_number}: no port has this serial number; those with one: {known}")


def open_transport(address: str, baud: int = 500_000) -> Transport:
    """Opens ``/dev/ttyACM0`` (a port or a pty), ``serial:NUMBER`` (a USB port by its serial number, wherever
    it is plugged), ``tcp://HOST:PORT`` or ``loop://``. LinkError says in one line why it cannot.
    """
    if address == "loop://":
        return LoopTransport()
    if address.startswith("tcp://"):
        host, _, port = address[len("tcp://") :].rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise LinkError(f"{address}: expected tcp://HOST:PORT")
        return TcpTransport(host, int(port))
    if address.startswith("serial:"):
        address = find_port(address[len("serial:") :])
    if "://" in address:
        raise LinkError(f"{address}: expected a path, serial:NUMBER, tcp://HOST:PORT or loop://")
    return SerialTransport(address, baud)

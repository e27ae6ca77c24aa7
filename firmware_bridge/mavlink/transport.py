"""Where a flight controller is reached: UDP here, serial ports and TCP as of the serial link."""

from __future__ import annotations

import re
import select
import socket

from firmware_bridge.link.frames import LinkError
from firmware_bridge.link.transport import Transport, open_transport

DATAGRAM = 65536
LOOPBACK = "127.0.0.1"


class UdpTransport:
    """UDP. Listening, it sends nothing before `pin`; else it sends to one address and hears from it alone.

    strangers: datagrams of others that were not taken. stranger: where the newest of them came from.
    """

    def __init__(self, address: str, host: str, port: int, listen: bool) -> None:
        self._address = address
        self._peer: tuple[str, int] | None = None
        self._newest: tuple[str, int] | None = None
        self.strangers, self.stranger = 0, ""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            if listen:
                self._socket.bind((host or LOOPBACK, port))
            else:
                self._socket.connect((host, port))
        except OSError as error:
            self._socket.close()
            raise LinkError(f"{address}: {error.strerror or error}") from None
        self._listening = listen

    def read(self, timeout: float) -> bytes:
        """What came within timeout s: one datagram, or nothing."""
        if not select.select([self._socket], [], [], timeout)[0]:
            return b""
        try:
            data, peer = self._socket.recvfrom(DATAGRAM)
        except (BlockingIOError, ConnectionRefusedError):
            return b""  # nobody listens there yet
        if self._peer is not None and peer != self._peer:
            self.strangers += 1
            self.stranger = f"{peer[0]}:{peer[1]}"
            return b""
        self._newest = peer
        return data

    def pin(self) -> None:
        """Whoever sent the newest datagram has proved to be the vehicle: from now on hear it alone, and send to it."""
        if self._listening:
            self._peer = self._newest

    def unpin(self) -> None:
        """The vehicle is gone; hear everybody."""
        self._peer = None

    def write(self, data: bytes) -> int:
        """Send one datagram; how much of it went, 0 while there is nobody to send to or the system takes no more."""
        try:
            if not self._listening:
                return self._socket.send(data)
            return self._socket.sendto(data, self._peer) if self._peer is not None else 0
        except (BlockingIOError, ConnectionRefusedError):
            return 0
        except OSError as error:
            raise LinkError(f"{self._address}: connection lost ({error})") from None

    def fileno(self) -> int:
        """The socket's file descriptor."""
        return self._socket.fileno()

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()


def open_vehicle(address: str, baud: int) -> Transport:
    """Open ``udpin:HOST:PORT`` (listen; an empty host for this computer alone, 0.0.0.0 for every
    network), ``udpout:HOST:PORT`` (send there), or whatever
    `link.open_transport` opens: a path, ``serial:NUMBER``, ``tcp://HOST:PORT``.

    LinkError with one line where it can't be.
    """
    kind, _, rest = address.partition(":")
    if kind not in ("udpin", "udpout"):
        return open_transport(address, baud)
    match = re.fullmatch(r"(?://)?([^:/\s]*):(\d{1,5})", rest)
    if match is None or not 0 < int(match[2]) < 65536 or (kind == "udpout" and not match[1]):
        raise LinkError(f"{address}: expected {kind}:HOST:PORT, such as {kind}:127.0.0.1:14540")
    return UdpTransport(address, match[1], int(match[2]), kind == "udpin")

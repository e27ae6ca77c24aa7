"""What goes to the device beside velocities: frames, and requests that are repeated until it has acknowledged them."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from dataclasses import dataclass

from firmware_bridge.link.frames import Frame, LinkError
from firmware_bridge.link.messages import Ack, Clear, Gains, Hello, Limits, Stop
from firmware_bridge.link.transport import Transport

logger = logging.getLogger(__name__)

_ACK_WITHIN = 0.1
_TRIES = 10


class Sender:
    """Numbers frames and writes them to the transport that is open, if any. session: theirs, 0 before there is one."""

    def __init__(self) -> None:
        self.session = 0
        self._lock = threading.Lock()  # never held while waiting
        self._transport: Transport | None = None
        self._sequence = secrets.randbelow(65536)
        self._torn = False

    def open(self, transport: Transport) -> None:
        """Send through it from now on."""
        self._transport = transport
        self._torn = True  # whatever is on the line, our first delimiter ends it

    def close(self) -> None:
        """End the session and close the transport; may be called when there is none."""
        self.session = 0
        with self._lock:
            transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def send(self, message: Hello | Limits | Gains | Clear | Stop) -> int:
        """Send now if there is a connection; returns the sequence number used."""
        with self._lock:
            self._sequence = (self._sequence + 1) & 0xFFFF
            session = 0 if isinstance(message, Hello) else self.session
            data = Frame(message.TYPE, session, self._sequence, message.pack()).encode()
            if self._transport is None:
                return self._sequence
            if self._torn:
                data = b"\0" + data
            try:
                self._torn = self._transport.write(data) != len(data)
            except LinkError as error:
                self._torn = True
                logger.debug("%s", error)  # the reader meets the same error and reconnects
            return self._sequence


Request = Limits | Gains | Clear | Stop


@dataclass(slots=True)
class _Pending:
    message: Request
    sequence: int = 0
    due: float = 0.0
    tries: int = 0


class Requests:
    """What the device must acknowledge; settings and a wanted stop are asked for again in every session."""

    def __init__(self, sender: Sender, *settings: Limits | Gains | None) -> None:
        self._sender = sender
        self._settings: dict[type, Limits | Gains] = {}
        self._stop_wanted = False
        self._pending: dict[type, _Pending] = {}
        for setting in settings:
            if setting is not None:
                setting.pack()
                self._settings[type(setting)] = setting

    @property
    def limits(self) -> Limits | None:
        """The limits that the device is to keep, None for its own."""
        limits = self._settings.get(Limits)
        return limits if isinstance(limits, Limits) else None

    def configure(self, setting: Limits | Gains) -> None:
        """A setting, now and in every session. LinkError if a value does not fit."""
        setting.pack()
        self._settings[type(setting)] = setting
        self.put(setting)

    def stop(self) -> None:
        """Stop, now and in every session, until `clear`."""
        self._stop_wanted = True
        self.put(Stop())

    def clear(self, clear: Clear) -> None:
        """Stop no more, and clear faults."""
        self._stop_wanted = False
        self._pending.pop(Stop, None)
        self.put(clear)

    def put(self, message: Request) -> None:
        """Ask once, in place of what was asked of this kind before."""
        pending = _Pending(message)
        if self._sender.session:
            self._try(pending)
        self._pending[type(message)] = pending

    def renew(self) -> None:
        """A session began: the device knows of nothing."""
        self._pending.clear()
        for setting in self._settings.values():
            self.put(setting)
        if self._stop_wanted:
            self.put(Stop())

    def acknowledge(self, ack: Ack) -> Request | None:
        """The request that was answered, None for none that waits."""
        for kind, pending in list(self._pending.items()):
            if (pending.message.TYPE, pending.sequence) == (ack.type, ack.sequence):
                self._pending.pop(kind, None)
                return pending.message
        return None

    def repeat(self, now: float) -> list[Request]:
        """Send again what is due; returns what is given up on. Stop never is."""
        lost: list[Request] = []
        for kind, pending in list(self._pending.items()):
            if now < pending.due:
                continue
            if pending.tries < _TRIES or isinstance(pending.message, Stop):
                self._try(pending)
            else:
                self._pending.pop(kind, None)
                lost.append(pending.message)
        return lost

    def _try(self, pending: _Pending) -> None:
        pending.sequence = self._sender.send(pending.message)
        pending.due = time.monotonic() + _ACK_WITHIN
        pending.tries += 1

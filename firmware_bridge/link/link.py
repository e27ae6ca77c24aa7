"""The host's end of the serial link: a thread that connects, reads, resynchronises, notices silence and
reconnects.

No method waits for the device. Commands go out at once or not at all; readings are the newest that came.
"""

from __future__ import annotations

import logging
import math
import secrets
import statistics
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from firmware_bridge.link import command
from firmware_bridge.link.connection import Connection
from firmware_bridge.link.frames import PROTOCOL_VERSION, Frame, FrameDecoder, LinkError
from firmware_bridge.link.messages import (
    LATCHED,
    Ack,
    Capabilities,
    Clear,
    Counters,
    Gains,
    Hello,
    Limits,
    Log,
    Message,
    Telemetry,
    unpack,
)
from firmware_bridge.link.outgoing import Requests, Sender
from firmware_bridge.link.readings import Readings
from firmware_bridge.link.transport import Transport, open_transport
from firmware_bridge.wheels import DriverStatus, WheelDriver, WheelState

logger = logging.getLogger(__name__)

ROUND_TRIPS = 512
_HELLO_EVERY = 0.1
_LISTEN = 0.02
_BOOT = 5  # times `answer`
_LEVELS = (logging.INFO, logging.WARNING, logging.ERROR)


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """address: see open_transport. silence: s without a valid frame after which the connection counts as
    lost.

    answer: s without the device's hello after which that is told; after five times that the port is opened anew (a
    board that resets when its port opens needs 2 to 10 s). retry: s between attempts. limits, gains: sent after every
    connection; None leaves the firmware's own. wheels: how many it must drive, None for any.
    """

    address: str
    baud: int = 500_000
    silence: float = 0.25
    answer: float = 2.5
    retry: float = 0.1
    limits: Limits | None = None
    gains: Gains | None = None
    wheels: int | None = None

    def __post_init__(self) -> None:
        for name in ("silence", "answer", "retry"):
            if not 0 < getattr(self, name) < 3600:
                raise LinkError(f"link: {name} {getattr(self, name)} s must be within 0 .. 3600")
        if self.baud <= 0:
            raise LinkError(f"link: baud {self.baud} must be > 0")


class FirmwareLink(WheelDriver):
    """The project's own firmware at the other end of a serial line."""

    def __init__(self, config: LinkConfig) -> None:
        self.config = config
        self._outlet = command.Outlet()
        self._sender = Sender()
        self._requests = Requests(self._sender, config.limits, config.gains)
        self._connection = Connection("link", self._serve, self._disconnect, config.retry)
        self._decoder = FrameDecoder()
        self._nonce = 0
        self._device_sequence: int | None = None
        self._capabilities: Capabilities | None = None
        self._readings = Readings()
        self._counters: Counters | None = None
        self._logs: deque[Log] = deque(maxlen=100)
        self._round_trips: deque[float] = deque(maxlen=ROUND_TRIPS)
        self._counts = dict.fromkeys(
            ("telemetry", "stale", "unknown", "lost", "reconnects", "unacknowledged"), 0
        )

    # ---- what the caller uses ----

    @property
    def port(self) -> command.Port:
        """What a compiled loop sends through (see link.command); it stays the same over reconnections."""
        return self._outlet.port

    def start(self) -> None:
        """Begin to connect, in the background. LinkError if it runs already or was closed."""
        self._connection.start()

    def close(self) -> None:
        """Send zero speeds and end the connection. The compiled loop must have ended before."""
        self._connection.close()
        self._outlet.close()

    def wait_connected(self, timeout: float) -> bool:
        """Wait until there is a connection, at most timeout seconds. For start-up and tests."""
        return self._connection.connected.wait(timeout)

    def send(self, speeds: Sequence[float]) -> bool:
        """New wheel speeds in rad/s; False while there is no connection or the line takes no more.

        ValueError if they are not finite or not as many as the device has wheels. Not while a compiled loop
        sends.
        """
        result = int(command.send_velocity(self.port, np.asarray(speeds, np.float64)))
        if result == command.NOT_FINITE:
            raise LinkError(f"velocity: {tuple(speeds)} must be finite")
        if result == command.WRONG_WHEELS:
            raise LinkError(f"velocity: {len(speeds)} speeds for {int(self.port[command.WHEELS])} wheels")
        return result > 0

    def stop(self) -> None:
        """Motors off until clear_stop; said again until the device has taken it, over reconnections too."""
        self._requests.stop()

    def clear_stop(self) -> None:
        """Take back stop and clear faults whose cause is gone. Nothing moves before a fresh send."""
        self._requests.clear(Clear(LATCHED))

    def configure(self, setting: Limits | Gains) -> None:
        """New limits or gains, now and after every reconnection. LinkError if a value does not fit."""
        self._requests.configure(setting)

    @property
    def capabilities(self) -> Capabilities | None:
        """What the device said it is, None before the first connection."""
        return self._capabilities

    @property
    def telemetry(self) -> Telemetry | None:
        """The newest readings as they came, None before the first."""
        return self._readings.telemetry

    @property
    def counters(self) -> Counters | None:
        """What the device counted, about once a second, None before the first."""
        return self._counters

    def logs(self) -> list[Log]:
        """The device's log lines since the last call, oldest first, 100 at most."""
        lines = []
        while self._logs:
            lines.append(self._logs.popleft())
        return lines

    def state(self) -> WheelState | None:
        """The newest readings, None before the first."""
        return self._readings.state

    def commanded(self, within: float) -> tuple[float, ...] | None:
        """The wheel speeds (rad/s) that were sent last, None where that is longer ago than within s."""
        sent = command.sent_ns(self.port, int(self.port[command.SEQUENCE]))
        old = time.monotonic_ns() - sent > within * 1e9
        return None if old or not sent else command.newest_speeds(self.port)

    def round_trips(self) -> tuple[float, ...]:
        """Newest times from command to the telemetry that answers it, s, oldest first, 512 at most."""
        return tuple(self._round_trips)

    def status(self) -> DriverStatus:
        """How the connection is."""
        trips = self.round_trips()
        decoder = self._decoder
        return DriverStatus(
            connected=self._connection.connected.is_set(),
            error=self._connection.error,
            connections=self._connection.connections,
            round_trip=statistics.median(trips) if trips else math.nan,
            counts={
                "frames": decoder.frames,
                "crc_errors": decoder.crc_errors,
                "framing_errors": decoder.framing_errors,
                "dropped_bytes": decoder.dropped_bytes,
                "sent": int(self.port[command.SENT]),
                "not_sent": int(self.port[command.FAILED]),
                **self._counts,
            },
        )

    # ---- the thread ----

    def _serve(self) -> None:
        transport = open_transport(self.config.address, self.config.baud)
        self._sender.open(transport)
        self._decoder.reset()
        self._handshake(transport)
        listened = 0.0  # s without a frame; when this computer had no time to listen does not count
        while not self._connection.closing.is_set():
            begun = time.monotonic()
            data = transport.read(_LISTEN)
            now = time.monotonic()
            listened = 0.0 if self._take(data, transport) else listened + min(now - begun, 2 * _LISTEN)
            if listened > self.config.silence:
                raise LinkError(f"{self.config.address}: silent for {self.config.silence} s")
            for request in self._requests.repeat(now):
                self._counts["unacknowledged"] += 1
                self._connection.fail(f"{self.config.address}: firmware did not acknowledge {request}")
        command.send_velocity(self.port, np.zeros(int(self.port[command.WHEELS])))

    def _handshake(self, transport: Transport) -> None:
        self._nonce = secrets.randbelow(65536)
        frames = self._decoder.frames
        begun = time.monotonic()
        due = 0.0
        received = 0
        while not self._connection.closing.is_set():
            now = time.monotonic()
            if now - begun > self.config.answer:
                error = self._why_no_hello(received, self._decoder.frames > frames)
                if now - begun > _BOOT * self.config.answer:
                    raise LinkError(error)
                self._connection.fail(error)
            if now >= due:
                due = now + _HELLO_EVERY
                self._sender.send(Hello(PROTOCOL_VERSION, self._nonce))
            data = transport.read(_LISTEN)
            received += len(data)
            self._take(data, transport)
            if self._sender.session:
                return

    def _why_no_hello(self, received: int, framed: bool) -> str:
        where = self.config.address
        if received == 0:
            return f"{where}: no answer within {self.config.answer} s"
        if not framed:
            return (
                f"{where}: it sends, but no frame of this protocol; another device, or not {self.config.baud} baud"
            )
        return f"{where}: frames of this protocol, but no answer to hello"

    def _disconnect(self) -> None:
        self._outlet.detach()
        self._sender.close()

    def _take(self, data: bytes, transport: Transport) -> bool:
        """Handles what was read; True if a frame of this session was in it."""
        heard = False
        for frame in self._decoder.feed(data) if data else ():
            try:
                message = unpack(frame.type, frame.payload)
            except LinkError:
                self._counts["unknown"] += 1
                continue
            if isinstance(message, Capabilities):
                heard |= self._on_capabilities(frame, message, transport)
            elif frame.session and frame.session == self._sender.session:
                heard = True
                self._count_lost(frame.sequence)
                self._on_message(message)
            else:
                self._counts["stale"] += 1
        return heard

    def _count_lost(self, sequence: int) -> None:
        if self._device_sequence is not None:
            self._counts["lost"] += (sequence - self._device_sequence - 1) & 0xFFFF
        self._device_sequence = sequence

    def _on_capabilities(self, frame: Frame, message: Capabilities, transport: Transport) -> bool:
        if message.nonce != self._nonce:
            self._counts["stale"] += 1
            return False
        if message.version != PROTOCOL_VERSION:
            raise LinkError(
                f"{self.config.address}: firmware speaks version {message.version} of the protocol,"
                f" this side version {PROTOCOL_VERSION}"
            )
        if self.config.wheels not in (None, message.wheels):
            raise LinkError(
                f"{self.config.address}: firmware drives {message.wheels} wheels,"
                f" the kinematics that are set have {self.config.wheels}"
            )
        if frame.session == 0:
            return False
        first = not self._sender.session
        self._capabilities = message
        self._sender.session = frame.session
        self._device_sequence = frame.sequence
        limits = self._requests.limits
        limit = message.max_speed if limits is None else min(message.max_speed, limits.max_speed)
        self.port[command.WHEELS] = message.wheels
        self.port[command.MAX_MRAD] = int(limit * 1000)
        if first and transport.fileno() >= 0:
            self._outlet.attach(transport.fileno())
        self._requests.renew()
        self.port[command.SESSION] = frame.session
        if first:
            self._counts["reconnects"] += self._connection.connections > 0
            logger.info("%s: connected to %s %s", self.config.address, message.name, message.serial)
            self._connection.establish()
        return True

    def _on_message(self, message: Message) -> None:
        if isinstance(message, Telemetry):
            self._on_telemetry(message)
        elif isinstance(message, Ack):
            request = self._requests.acknowledge(message)
            if request is not None and message.status:
                self._connection.fail(f"{self.config.address}: firmware refused {request}")
        elif isinstance(message, Log):
            self._logs.append(message)
            logger.log(_LEVELS[min(message.level, 2)], "%s: %s", self.config.address, message.text)
        elif isinstance(message, Counters):
            self._counters = message

    def _on_telemetry(self, t: Telemetry) -> None:
        now = time.monotonic_ns()
        capabilities = self._capabilities
        if capabilities is None or len(t.ticks) != capabilities.wheels:
            self._counts["unknown"] += 1
            return
        self._counts["telemetry"] += 1
        if t.answers:
            sent = command.sent_ns(self.port, t.obeyed)
            if sent:
                self._round_trips.append((now - sent) * 1e-9)
        self._readings.take(t, capabilities.ticks_per_rev, now)

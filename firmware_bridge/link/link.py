"""The host's end of the serial link: a thread that connects, reads, resynchronises, notices silence and
reconnects.

No method waits for the device. Commands go out at once or not at all; readings are the newest that came.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import statistics
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from firmware_bridge.link import command
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
    Stop,
    Telemetry,
    unpack,
)
from firmware_bridge.link.transport import Transport, open_transport
from firmware_bridge.wheels import DriverStatus, WheelDriver, WheelState, unwrap

logger = logging.getLogger(__name__)

ROUND_TRIPS = 512
_HELLO_EVERY = 0.1
_LISTEN = 0.02
_ACK_WITHIN = 0.1
_TRIES = 10
_CLOCK_SLACK_US = 500_000
_LEVELS = (logging.INFO, logging.WARNING, logging.ERROR)


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """address: see open_transport. silence: s without a valid frame after which the connection counts as
    lost.

    answer: s to wait for the device's hello (a board that resets when its port opens needs 2). retry: s
    between attempts. limits, gains: sent after every connection; None leaves the firmware's own.
    """

    address: str
    baud: int = 500_000
    silence: float = 0.25
    answer: float = 2.5
    retry: float = 0.1
    limits: Limits | None = None
    gains: Gains | None = None

    def __post_init__(self) -> None:
        for name in ("silence", "answer", "retry"):
            if not 0 < getattr(self, name) < 3600:
                raise LinkError(f"link: {name} {getattr(self, name)} s must be within 0 .. 3600")
        if self.baud <= 0:
            raise LinkError(f"link: baud {self.baud} must be > 0")


@dataclass(slots=True)
class _Request:
    message: Limits | Gains | Clear | Stop
    sequence: int = 0
    due: float = 0.0
    tries: int = 0


class Link(WheelDriver):
    """The project's own firmware at the other end of a serial line.

    ``port`` is what a compiled loop sends through (see link.command); it stays the same over reconnections.
    """

    def __init__(self, config: LinkConfig) -> None:
        self.config = config
        self.port = command.new_port()
        self._settings: dict[type, Limits | Gains] = {}
        for setting in (config.limits, config.gains):
            if setting is not None:
                setting.pack()
                self._settings[type(setting)] = setting
        # one descriptor for the compiled loop, for good: it points to /dev/null while there is no connection,
        # so a late write cannot reach a file that got the number of a closed port
        self._null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        self._command_fd = os.dup(self._null)
        self.port[command.FD] = self._command_fd
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._connected = threading.Event()
        self._lock = threading.Lock()  # for frames other than velocities; never held while waiting
        self._transport: Transport | None = None
        self._sequence = secrets.randbelow(65536)
        self._torn = False
        self._decoder = FrameDecoder()
        self._requests: dict[type, _Request] = {}
        self._stop_wanted = False
        self._session = 0
        self._nonce = 0
        self._device_sequence: int | None = None
        self._counts = dict.fromkeys(
            ("telemetry", "stale", "unknown", "lost", "reconnects", "unacknowledged"), 0
        )
        self._connections = 0
        self._error = "not started"
        self._round_trips: deque[float] = deque(maxlen=ROUND_TRIPS)
        self._capabilities: Capabilities | None = None
        self._telemetry: Telemetry | None = None
        self._counters: Counters | None = None
        self._state: WheelState | None = None
        self._ticks: list[int] = []
        self._zero: list[int] = []
        self._clock: tuple[int, int] | None = None  # device us, our ns
        self._logs: deque[Log] = deque(maxlen=100)

    # ---- what the caller uses ----

    def start(self) -> None:
        """Begin to connect, in the background. LinkError if it runs already or was closed."""
        if self._thread is not None:
            raise LinkError("link: started already, or closed; make a new one")
        self._error = "connecting"
        self._thread = threading.Thread(target=self._run, name="firmware-link", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send zero speeds and end the connection. The compiled loop must have ended before."""
        if self._command_fd < 0:
            return
        self._closing.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self.port[command.FD] = -1
        os.close(self._command_fd)
        os.close(self._null)
        self._command_fd = -1
        self._error = "closed"

    def wait_connected(self, timeout: float) -> bool:
        """Wait until there is a connection, at most timeout seconds. For start-up and tests."""
        return self._connected.wait(timeout)

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
        self._stop_wanted = True
        self._request(Stop())

    def clear_stop(self) -> None:
        """Take back stop and clear faults whose cause is gone. Nothing moves before a fresh send."""
        self._stop_wanted = False
        self._requests.pop(Stop, None)
        self._request(Clear(LATCHED))

    def configure(self, setting: Limits | Gains) -> None:
        """New limits or gains, now and after every reconnection. LinkError if a value does not fit."""
        setting.pack()
        self._settings[type(setting)] = setting
        self._request(setting)

    @property
    def capabilities(self) -> Capabilities | None:
        """What the device said it is, None before the first connection."""
        return self._capabilities

    @property
    def telemetry(self) -> Telemetry | None:
        """The newest readings as they came, None before the first."""
        return self._telemetry

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
        return self._state

    def round_trips(self) -> tuple[float, ...]:
        """Newest times from command to the telemetry that answers it, s, oldest first, 512 at most."""
        return tuple(self._round_trips)

    def status(self) -> DriverStatus:
        """How the connection is."""
        trips = self.round_trips()
        decoder = self._decoder
        return DriverStatus(
            connected=self._connected.is_set(),
            error=self._error,
            connections=self._connections,
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

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._connect_and_read()
            except LinkError as error:
                if str(error) != self._error:
                    logger.warning("%s", error)
                self._error = str(error)
            self._disconnect()
            self._closing.wait(self.config.retry)

    def _connect_and_read(self) -> None:
        transport = open_transport(self.config.address, self.config.baud)
        self._transport = transport
        self._decoder.reset()
        self._torn = True  # whatever is on the line, our first delimiter ends it
        self._handshake(transport)
        listened = 0.0  # s without a frame; when this computer had no time to listen does not count
        while not self._closing.is_set():
            begun = time.monotonic()
            data = transport.read(_LISTEN)
            now = time.monotonic()
            listened = 0.0 if self._take(data) else listened + min(now - begun, 2 * _LISTEN)
            if listened > self.config.silence:
                raise LinkError(f"{self.config.address}: silent for {self.config.silence} s")
            self._repeat_requests(now)
        command.send_velocity(self.port, np.zeros(int(self.port[command.WHEELS])))

    def _handshake(self, transport: Transport) -> None:
        self._nonce = secrets.randbelow(65536)
        self._session = 0
        frames = self._decoder.frames
        end = time.monotonic() + self.config.answer
        due = 0.0
        received = 0
        while not self._closing.is_set():
            now = time.monotonic()
            if now > end:
                if received == 0:
                    raise LinkError(f"{self.config.address}: no answer within {self.config.answer} s")
                if self._decoder.frames == frames:
                    raise LinkError(
                        f"{self.config.address}: {received} bytes but no frame of this protocol;"
                        f" another device, or not {self.config.baud} baud"
                    )
                raise LinkError(f"{self.config.address}: frames of this protocol, but no answer to hello")
            if now >= due:
                due = now + _HELLO_EVERY
                self._send(Hello(PROTOCOL_VERSION, self._nonce))
            data = transport.read(_LISTEN)
            received += len(data)
            self._take(data)
            if self._session:
                return

    def _disconnect(self) -> None:
        self._connected.clear()
        self.port[command.SESSION] = 0
        self._session = 0
        os.dup2(self._null, self._command_fd, inheritable=False)
        with self._lock:
            transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def _take(self, data: bytes) -> bool:
        """Handles what was read; True if a frame of this session was in it."""
        heard = False
        for frame in self._decoder.feed(data) if data else ():
            try:
                message = unpack(frame.type, frame.payload)
            except LinkError:
                self._counts["unknown"] += 1
                continue
            if isinstance(message, Capabilities):
                heard |= self._on_capabilities(frame, message)
            elif self._session and frame.session == self._session:
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

    def _on_capabilities(self, frame: Frame, message: Capabilities) -> bool:
        if message.nonce != self._nonce:
            self._counts["stale"] += 1
            return False
        if message.version != PROTOCOL_VERSION:
            raise LinkError(
                f"{self.config.address}: firmware speaks version {message.version} of the protocol,"
                f" this side version {PROTOCOL_VERSION}"
            )
        if frame.session == 0:
            return False
        assert self._transport is not None
        first = not self._session
        self._capabilities = message
        self._session = frame.session
        self._device_sequence = frame.sequence
        self.port[command.WHEELS] = message.wheels
        limits = self._settings.get(Limits)
        limit = min(message.max_speed, limits.max_speed) if isinstance(limits, Limits) else message.max_speed
        self.port[command.MAX_MRAD] = int(limit * 1000)
        if first and self._transport.fileno() >= 0:
            os.dup2(self._transport.fileno(), self._command_fd, inheritable=False)
        self._requests.clear()
        for setting in self._settings.values():
            self._request(setting)
        if self._stop_wanted:
            self._request(Stop())
        self.port[command.SESSION] = frame.session
        if first:
            self._counts["reconnects"] += self._connections > 0
            self._connections += 1
            self._error = ""
            logger.info("%s: connected to %s %s", self.config.address, message.name, message.serial)
            self._connected.set()
        return True

    def _on_message(self, message: Message) -> None:
        if isinstance(message, Telemetry):
            self._on_telemetry(message)
        elif isinstance(message, Ack):
            for kind, request in list(self._requests.items()):
                if (request.message.TYPE, request.sequence) == (message.type, message.sequence):
                    self._requests.pop(kind, None)
                    if message.status:
                        self._error = f"{self.config.address}: firmware refused {request.message}"
                        logger.warning("%s", self._error)
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
        if len(self._ticks) != len(t.ticks):
            self._ticks = [0] * len(t.ticks)
            self._zero = list(t.ticks)
        elif self._clock is not None and self._was_reset(t, now):
            self._zero = [raw - count for raw, count in zip(t.ticks, self._ticks, strict=True)]
        self._clock = (t.time_us, now)
        self._ticks = [
            unwrap(count, raw - zero)
            for count, raw, zero in zip(self._ticks, t.ticks, self._zero, strict=True)
        ]
        turn = 2 * math.pi / capabilities.ticks_per_rev
        self._telemetry = t
        self._state = WheelState(
            received_ns=now,
            positions=tuple(count * turn for count in self._ticks),
            speeds=t.speeds,
            battery=t.battery,
            ranges=t.ranges,
            bumper=t.bumper,
            motors_on=t.motors_on,
            faults=tuple(str(f.name).lower() for f in type(t.faults) if f in t.faults),
        )

    def _was_reset(self, t: Telemetry, now: int) -> bool:
        """The device's clock did not go on as ours did: it has begun anew, and so have its encoder counts."""
        assert self._clock is not None
        then_us, then = self._clock
        elapsed = (now - then) // 1000
        return abs(unwrap(0, t.time_us - then_us - elapsed)) > _CLOCK_SLACK_US + elapsed // 50

    # ---- sending ----

    def _send(self, message: Hello | Limits | Gains | Clear | Stop) -> int:
        """Sends now if there is a connection; returns the sequence number used."""
        with self._lock:
            self._sequence = (self._sequence + 1) & 0xFFFF
            session = 0 if isinstance(message, Hello) else self._session
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

    def _request(self, message: Limits | Gains | Clear | Stop) -> None:
        request = _Request(message)
        if self._session:
            self._try(request)
        self._requests[type(message)] = request

    def _try(self, request: _Request) -> None:
        request.sequence = self._send(request.message)
        request.due = time.monotonic() + _ACK_WITHIN
        request.tries += 1

    def _repeat_requests(self, now: float) -> None:
        for kind, request in list(self._requests.items()):
            if now < request.due:
                continue
            if request.tries < _TRIES or isinstance(request.message, Stop):
                self._try(request)
            else:
                self._requests.pop(kind, None)
                self._counts["unacknowledged"] += 1
                self._error = f"{self.config.address}: firmware did not acknowledge {request.message}"
                logger.warning("%s", self._error)

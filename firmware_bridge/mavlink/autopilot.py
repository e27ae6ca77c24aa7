"""The companion computer's end of MAVLink: a thread that connects, listens, streams velocity setpoints, and stops.

No method but the requests (arm, disarm, set_mode) waits for the vehicle. It arms on request alone, and a request is
done only when a heartbeat says so. Without a fresh command it sends zero velocity for a while, then nothing, so that
the autopilot's own failsafe holds or lands.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pymavlink.dialects.v20 import common as mavlink

from firmware_bridge.link.connection import Connection
from firmware_bridge.link.frames import LinkError
from firmware_bridge.link.transport import Transport
from firmware_bridge.mavlink.answers import Answers
from firmware_bridge.mavlink.modes import EXTERNAL, HOLD, KINDS, LAND, mode_numbers
from firmware_bridge.mavlink.peer import Peer
from firmware_bridge.mavlink.readings import AutopilotState, Readings
from firmware_bridge.mavlink.transport import UdpTransport, open_vehicle

logger = logging.getLogger(__name__)

HEARTBEAT_PERIOD = 1.0  # s, as MAVLink asks
ANSWER_WITHIN = 0.5  # s until a command is sent again
TRIES = 4
READ_BACK = 3.0  # s within which a heartbeat must say that what was asked for is so

# what of SET_POSITION_TARGET_LOCAL_NED is not to be used: position, acceleration, yaw; velocity and yaw rate remain
TYPE_MASK = 0b0101_1100_0111
STREAMS = (
    mavlink.MAVLINK_MSG_ID_ATTITUDE,
    mavlink.MAVLINK_MSG_ID_LOCAL_POSITION_NED,
    mavlink.MAVLINK_MSG_ID_DISTANCE_SENSOR,
)


class MavlinkError(ValueError):
    """A value that can't be sent, or a request that the autopilot refused or did not answer; one line."""


@dataclass(frozen=True, slots=True)
class AutopilotConfig:
    """How to reach and treat the autopilot.

    address: see transport.open_vehicle. autopilot: px4 or ardupilot. system_id: the vehicle's, and ours, for we are on
    it; component_id: our own. rate: Hz of setpoints, at least 20. command_timeout: s without a fresh command after
    which zero is sent. hold: s of zeros after which nothing is sent. silence: s without a heartbeat after which the
    link counts as lost. state_rate: Hz at which attitude and position are asked for. max_speed, max_climb: m/s and
    max_yaw_rate: rad/s, beyond which a command is refused.
    """

    address: str
    autopilot: str = "px4"
    baud: int = 921_600
    system_id: int = 1
    component_id: int = mavlink.MAV_COMP_ID_ONBOARD_COMPUTER
    rate: float = 50.0
    command_timeout: float = 0.25
    hold: float = 1.0
    silence: float = 2.5
    state_rate: float = 50.0
    max_speed: float = 5.0
    max_climb: float = 2.0
    max_yaw_rate: float = 3.0

    def __post_init__(self) -> None:
        if self.autopilot not in KINDS:
            raise MavlinkError(f"autopilot {self.autopilot!r}: expected one of {', '.join(KINDS)}")
        if not 20 <= self.rate <= 1000:
            raise MavlinkError(f"rate {self.rate:g} Hz: expected 20 .. 1000")
        for name in ("system_id", "component_id"):
            if not 1 <= getattr(self, name) <= 255:
                raise MavlinkError(f"{name} {getattr(self, name)}: expected 1 .. 255")
        if self.component_id == mavlink.MAV_COMP_ID_AUTOPILOT1:
            raise MavlinkError(f"component_id {self.component_id}: is the autopilot's own; expected another")
        for name in ("command_timeout", "silence", "state_rate", "max_speed", "max_climb", "max_yaw_rate"):
            if not 0 < getattr(self, name) < 3600:
                raise MavlinkError(f"{name} {getattr(self, name)}: expected more than 0, less than 3600")
        if not 0 <= self.hold < 3600:
            raise MavlinkError(f"hold {self.hold} s: expected 0 .. 3600")


@dataclass(frozen=True, slots=True)
class Setpoint:
    """A wished velocity in the body's level frame, x forward, y left, z up: m/s, and rad/s counter-clockwise."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    yaw_rate: float = 0.0


@dataclass(frozen=True, slots=True)
class AutopilotStatus:
    """How the connection is. error: one line, "" where all is well. sending: setpoint, zero or nothing."""

    connected: bool
    error: str
    connections: int
    sending: str
    counts: dict[str, int] = field(default_factory=dict)


class Autopilot:
    """A flight controller at the other end of a MAVLink connection."""

    def __init__(self, config: AutopilotConfig) -> None:
        self.config = config
        self._codec = _codec(config)
        self._lock = threading.Lock()  # for what is sent: the thread streams, callers request
        self._transport: Transport | None = None
        self._connection = Connection("autopilot", self._serve, self._lose, 0.2)
        self._enabled = False
        self._command: tuple[float, Setpoint] | None = None  # monotonic time of arrival
        self._sending = "nothing"
        self._engaging = False
        self._peer = Peer(config.autopilot, config.system_id)
        self._heard = -math.inf
        self._readings = Readings(config.autopilot)
        self._answers = Answers()
        self._texts: deque[str] = deque(maxlen=100)
        self._counts = dict.fromkeys(
            ("received", "bad", "foreign", "strangers", "refused", "setpoints", "not sent"), 0
        )

    # ---- what the caller uses ----

    def start(self) -> None:
        """Begin to connect, in the background. MavlinkError if it runs already or was closed."""
        try:
            self._connection.start()
        except LinkError as error:
            raise MavlinkError(str(error)) from None

    def close(self) -> None:
        """Send zero velocity once more if it flies by our commands, and end the connection."""
        self._connection.close()

    def __enter__(self) -> Autopilot:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def wait_connected(self, timeout: float) -> bool:
        """Wait until the vehicle's heartbeat was heard, at most timeout seconds. For start-up and tests."""
        return self._connection.connected.wait(timeout)

    def enable(self, on: bool) -> None:
        """Let setpoints flow, or not. Taken back, zero is sent for `hold` seconds, then nothing."""
        self._enabled = on
        if not on and self._command is not None:
            self._command = (-math.inf if self._sending == "nothing" else self._stale_since(), Setpoint())

    def send(self, setpoint: Setpoint, age: float = 0.0) -> None:
        """A new command, streamed until it is older than command_timeout. age: s since it was made.

        MavlinkError where it is not finite or beyond the limits; the one before it stays and grows old.
        """
        config = self.config
        if not all(math.isfinite(v) for v in (setpoint.x, setpoint.y, setpoint.z, setpoint.yaw_rate)):
            self._counts["refused"] += 1
            raise MavlinkError(f"setpoint: {setpoint} must be finite")
        for name, value, most in (
            ("speed", math.hypot(setpoint.x, setpoint.y), config.max_speed),
            ("climb", abs(setpoint.z), config.max_climb),
            ("yaw rate", abs(setpoint.yaw_rate), config.max_yaw_rate),
        ):
            if value > most * (1.0 + 1e-6):
                self._counts["refused"] += 1
                raise MavlinkError(f"setpoint: {name} {value:g} is beyond the limit, {most:g}")
        self._command = (time.monotonic() - age, setpoint)

    def arm(self) -> None:
        """Ask the autopilot to arm. MavlinkError where it refuses, does not answer, or does not do it."""
        self._arm(True)

    def disarm(self) -> None:
        """Ask the autopilot to disarm; it refuses in the air. MavlinkError as for arm."""
        self._arm(False)

    def _arm(self, on: bool) -> None:
        what, begun = "arm" if on else "disarm", time.monotonic()
        self._request(mavlink.MAV_CMD_COMPONENT_ARM_DISARM, what, float(on))
        self._read_back(what, begun, lambda: self.state().armed == on)

    def set_mode(self, name: str) -> None:
        """A flight mode by its name in `modes`. MavlinkError where it is refused, not answered, or not done."""
        begun = time.monotonic()
        try:
            main, sub = mode_numbers(self.config.autopilot, name)
        except ValueError as error:
            raise MavlinkError(str(error)) from None
        flag = float(mavlink.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED)
        self._request(mavlink.MAV_CMD_DO_SET_MODE, f"mode {name}", flag, float(main), float(sub))
        self._read_back(f"mode {name}", begun, lambda: self.state().mode == name)

    def engage(self) -> None:
        """The mode that obeys setpoints; commands must be flowing. MavlinkError where they don't, or as set_mode."""
        self._check_link("engage")
        begun = time.monotonic()
        while self._enabled and self._fresh(begun) and self._sending != "setpoint" and not self._late(begun):
            time.sleep(1e-3)  # a command that has just come is about to be sent
        if self._sending != "setpoint":
            raise MavlinkError(
                "engage: no fresh commands are being sent; the autopilot would be left without any"
            )
        if not self._peer.takes_velocities:
            raise MavlinkError("engage: the autopilot says that it takes no velocity setpoints")
        self._engaging = True  # zeros flow while this waits, whatever becomes of the commands
        try:
            self.set_mode(EXTERNAL[self.config.autopilot])
        finally:
            self._engaging = False

    def hold_position(self) -> None:
        """The mode in which the autopilot stays where it is. MavlinkError as set_mode."""
        self.set_mode(HOLD[self.config.autopilot])

    def land(self) -> None:
        """The mode in which the autopilot lands here. MavlinkError as set_mode."""
        self.set_mode(LAND[self.config.autopilot])

    def state(self) -> AutopilotState:
        """The newest of each reading."""
        return self._readings.state

    def notices(self) -> list[str]:
        """Who else is on this connection, since the last call; each is told of once."""
        return _emptied(self._peer.notices)

    def texts(self) -> list[str]:
        """The autopilot's own lines since the last call, oldest first, 100 at most."""
        return _emptied(self._texts)

    @property
    def vehicle(self) -> str:
        """What the vehicle says it is: autopilot, type, version; "" before it did."""
        return f"{self._peer.kind} {self._peer.version}".strip()

    @property
    def engaged(self) -> bool:
        """Whether it flies by our setpoints: in the mode for it, and the link is there."""
        return self._connection.connected.is_set() and self.state().mode == EXTERNAL[self.config.autopilot]

    def status(self) -> AutopilotStatus:
        """How the connection is."""
        connection = self._connection
        return AutopilotStatus(
            connection.connected.is_set(), connection.error, connection.connections, self._sending,
            dict(self._counts),
        )  # fmt: skip

    # ---- the thread ----

    def _serve(self) -> None:
        transport = self._transport = open_vehicle(self.config.address, self.config.baud)
        connection = self._connection
        next_beat = next_setpoint = opened = time.monotonic()
        period = 1.0 / self.config.rate
        while not connection.closing.is_set():
            now = time.monotonic()
            if now >= next_beat:
                next_beat = now + HEARTBEAT_PERIOD
                self._beat()
            if now >= next_setpoint:
                next_setpoint = max(next_setpoint + period, now)
                self._stream(now)
            self._take(transport.read(min(max(min(next_beat, next_setpoint) - time.monotonic(), 0.0), 0.02)))
            self._count_strangers(transport)
            now = time.monotonic()
            if connection.connected.is_set() and now - self._heard > self.config.silence:
                self._forget()
                connection.fail(
                    f"{self.config.address}: link lost, no heartbeat for {self.config.silence:g} s; "
                    "nothing is sent, the autopilot's failsafe has the vehicle"
                )
            elif not connection.connected.is_set() and self._peer.error:
                connection.fail(f"{self.config.address}: {self._peer.error}; nothing is sent to it")
            elif not connection.connected.is_set() and connection.connections == 0 and now - opened > 2.0:
                connection.error = f"{self.config.address}: no heartbeat of an autopilot so far"
        if self._sending != "nothing":
            self._put(Setpoint())

    def _forget(self) -> None:
        """The vehicle is not heard: a command from before does not count when it is back."""
        self._connection.connected.clear()
        self._command = None
        self._sending = "nothing"
        self._peer.forget()
        if isinstance(self._transport, UdpTransport):
            self._transport.unpin()

    def _lose(self) -> None:
        self._forget()
        with self._lock:
            transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def _stale_since(self) -> float:
        """When a command was made that is just stale."""
        return time.monotonic() - self.config.command_timeout

    def _fresh(self, now: float) -> bool:
        """Whether the newest command is not older than it may be."""
        return self._command is not None and now - self._command[0] <= self.config.command_timeout

    def _late(self, begun: float) -> bool:
        return time.monotonic() - begun > 4 / self.config.rate

    def _stream(self, now: float) -> None:
        """What is due: the newest command while it is fresh, then zeros, then nothing."""
        config = self.config
        if not self._connection.connected.is_set() or self._command is None:
            self._sending = "nothing"
            return
        made, setpoint = self._command
        age = now - made
        if self._enabled and self._fresh(now):
            sending = "setpoint"
        elif age <= config.command_timeout + config.hold or self._engaging:
            sending, setpoint = "zero", Setpoint()
        else:
            sending = "nothing"
        if sending != self._sending:
            self._sending = sending
            if sending == "zero" and self._enabled:
                logger.warning("no command for %g s: zero velocity", config.command_timeout)
            elif sending == "nothing" and self._enabled:
                logger.warning(
                    "still no command: no more setpoints, the autopilot's failsafe has the vehicle"
                )
        if sending != "nothing":
            self._put(setpoint)

    # ---- receiving ----

    def _take(self, data: bytes) -> None:
        if not data:
            return
        # a datagram holds whole messages: nothing of one is left over for the next
        codec = _codec(self.config) if isinstance(self._transport, UdpTransport) else self._codec
        for message in codec.parse_buffer(data) or ():
            if message.get_type() == "BAD_DATA":
                self._counts["bad"] += 1
                continue
            try:
                self._on_message(message)
            except (ValueError, OverflowError) as error:
                self._counts["refused"] += 1
                logger.debug("%s: %s", message.get_type(), error)

    def _count_strangers(self, transport: Transport) -> None:
        if isinstance(transport, UdpTransport) and transport.strangers:
            self._counts["strangers"] += transport.strangers
            transport.strangers = 0
            line = f"{transport.stranger} sends to {self.config.address} as well; it is not heard"
            self._peer.say_once(transport.stranger, line)

    def _on_message(self, message: Any) -> None:
        kind = message.get_type()
        if (message.get_srcSystem(), message.get_srcComponent()) != self._peer.address:
            self._counts["foreign"] += 1
            self._peer.notice(message)
            return
        if kind == "HEARTBEAT":
            if not self._on_heartbeat(message):
                return
        elif not self._connection.connected.is_set():
            self._counts["foreign"] += 1  # it has not said yet what it is
            return
        self._counts["received"] += 1
        self._readings.take(message)
        if kind == "HEARTBEAT":
            self._answers.put()
        elif kind == "AUTOPILOT_VERSION":
            self._peer.learn(message)
        elif kind == "COMMAND_ACK":
            # 0: to nobody in particular, as older autopilots say it
            ours = (self.config.system_id, self.config.component_id)
            to = (message.target_system, message.target_component)
            addressed = all(there in (0, here) for there, here in zip(to, ours, strict=True))
            if addressed and message.result != mavlink.MAV_RESULT_IN_PROGRESS:
                self._answers.put(message.command, message.result)
        elif kind == "STATUSTEXT":
            self._texts.append(message.text.rstrip("\0"))

    def _on_heartbeat(self, message: Any) -> bool:
        """Whether it is of the vehicle that was set; the first that is makes the connection."""
        if not self._peer.accept(message):
            self._counts["foreign"] += 1
            if self._connection.connected.is_set():
                error = self._peer.error
                self._forget()
                self._peer.error = error
            return False
        self._heard = time.monotonic()
        if not self._connection.connected.is_set():
            if isinstance(self._transport, UdpTransport):
                self._transport.pin()
            logger.info("vehicle %d: %s", self._peer.address[0], self._peer.kind)
            self._connection.establish()
            interval = 1e6 / self.config.state_rate
            for stream in STREAMS:
                self._post(mavlink.MAV_CMD_SET_MESSAGE_INTERVAL, float(stream), interval)
            self._post(mavlink.MAV_CMD_REQUEST_MESSAGE, float(mavlink.MAVLINK_MSG_ID_AUTOPILOT_VERSION))
        return True

    # ---- sending ----

    def _write(self, message: Any) -> bool:
        with self._lock:
            transport = self._transport
            if transport is None:
                return False
            data = message.pack(self._codec)
            self._codec.seq = (self._codec.seq + 1) % 256
            return transport.write(data) == len(data)

    def _beat(self) -> None:
        self._write(
            mavlink.MAVLink_heartbeat_message(
                mavlink.MAV_TYPE_ONBOARD_CONTROLLER, mavlink.MAV_AUTOPILOT_INVALID, 0, 0, mavlink.MAV_STATE_ACTIVE, 3
            )
        )  # fmt: skip

    def _put(self, setpoint: Setpoint) -> None:
        """Send a velocity setpoint; MAVLink's body frame has y to the right and z down."""
        sent = self._write(
            mavlink.MAVLink_set_position_target_local_ned_message(
                time.monotonic_ns() // 1_000_000 % 2**32, *self._peer.address, mavlink.MAV_FRAME_BODY_NED, TYPE_MASK,
                0.0, 0.0, 0.0, setpoint.x, -setpoint.y, -setpoint.z, 0.0, 0.0, 0.0, 0.0, -setpoint.yaw_rate,
            )
        )  # fmt: skip
        self._counts["setpoints" if sent else "not sent"] += 1

    def _post(self, command: int, *values: float, confirmation: int = 0) -> None:
        padded = (*values, *(0.0,) * (7 - len(values)))
        self._write(mavlink.MAVLink_command_long_message(*self._peer.address, command, confirmation, *padded))

    def _check_link(self, what: str) -> None:
        if not self._connection.connected.is_set():
            raise MavlinkError(f"{what}: no link to the autopilot ({self._connection.error})")

    def _request(self, command: int, what: str, *values: float) -> None:
        """Send a command until it is answered; MavlinkError where it is refused, or is not."""
        self._check_link(what)
        self._answers.take(command)
        for attempt in range(TRIES):
            self._post(command, *values, confirmation=attempt)
            if self._answers.wait(command, ANSWER_WITHIN):
                break
        result = self._answers.take(command)
        if result is None:
            raise MavlinkError(f"{what}: no answer from the autopilot")
        if result != mavlink.MAV_RESULT_ACCEPTED:
            name = (
                mavlink.enums["MAV_RESULT"][result].name if result in mavlink.enums["MAV_RESULT"] else result
            )
            raise MavlinkError(f"{what}: the autopilot refused ({name})")

    def _read_back(self, what: str, since: float, holds: Callable[[], bool]) -> None:
        """Wait until a heartbeat that came after `since` says that it is so; MavlinkError where none does."""
        if not self._answers.wait_for(lambda: self._heard > since and holds(), READ_BACK):
            state = self.state()
            raise MavlinkError(
                f"{what}: the autopilot accepted, but {READ_BACK:g} s later it is"
                f" {'armed' if state.armed else 'disarmed'} in mode {state.mode}"
            )


def _codec(config: AutopilotConfig) -> Any:
    codec = mavlink.MAVLink(None, srcSystem=config.system_id, srcComponent=config.component_id)
    codec.robust_parsing = True  # bytes that are no message are counted, not raised
    return codec


def _emptied(lines: deque[str]) -> list[str]:
    """What is in it, oldest first; it is empty afterwards."""
    return [lines.popleft() for _ in range(len(lines))]

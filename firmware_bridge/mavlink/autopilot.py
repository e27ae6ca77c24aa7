"""The companion computer's end of MAVLink: a thread that connects, listens, streams velocity setpoints, and stops.

No method but the requests (arm, disarm, set_mode) waits for the vehicle. It arms on request alone. Without a fresh
command it sends zero velocity for a while, then nothing, so that the autopilot's own failsafe holds or lands.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

from pymavlink.dialects.v20 import common as mavlink

from firmware_bridge.link.connection import Connection
from firmware_bridge.link.frames import LinkError
from firmware_bridge.link.transport import Transport
from firmware_bridge.mavlink.modes import EXTERNAL, HOLD, KINDS, LAND, mode_name, mode_numbers
from firmware_bridge.mavlink.transport import open_vehicle

logger = logging.getLogger(__name__)

HEARTBEAT_PERIOD = 1.0  # s, as MAVLink asks
ANSWER_WITHIN = 0.5  # s until a command is sent again
TRIES = 4
UP, DOWN = 24, 25  # MAV_SENSOR_ROTATION of a range sensor: PITCH_90 looks up, PITCH_270 down

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

    address: see transport.open_vehicle. autopilot: px4 or ardupilot. system_id, component_id: our own; the vehicle's
    is taken from its heartbeat. rate: Hz of setpoints, at least 20. command_timeout: s without a fresh command after
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
class AutopilotState:
    """The newest of what the autopilot said, x forward or north, y left or west, z up (REP 103).

    position (m), velocity (m/s): from where its estimator began; attitude: roll, pitch, yaw in rad; angular_velocity:
    rad/s in the body. battery: V, remaining: 0 .. 1. up, down: m of its range sensors, inf for nothing in range. None
    for what did not come yet. position_ns, attitude_ns, ranges_ns: monotonic time of arrival.
    """

    armed: bool = False
    mode: str = ""
    position: tuple[float, float, float] | None = None
    velocity: tuple[float, float, float] | None = None
    position_ns: int = 0
    attitude: tuple[float, float, float] | None = None
    angular_velocity: tuple[float, float, float] | None = None
    attitude_ns: int = 0
    battery: float | None = None
    remaining: float | None = None
    up: float | None = None
    down: float | None = None
    ranges_ns: int = 0


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
        self._vehicle: tuple[int, int] | None = None  # system and component
        self._heard = -math.inf
        self._state = AutopilotState()
        self._answers: dict[int, int] = {}
        self._answered = threading.Condition()
        self._texts: deque[str] = deque(maxlen=100)
        self._counts = {"received": 0, "bad": 0, "foreign": 0, "refused": 0, "setpoints": 0, "not sent": 0}

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

    def send(self, setpoint: Setpoint) -> None:
        """A new command, streamed until it is older than command_timeout.

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
        self._command = (time.monotonic(), setpoint)

    def arm(self) -> None:
        """Ask the autopilot to arm. MavlinkError where it refuses or does not answer."""
        self._request(mavlink.MAV_CMD_COMPONENT_ARM_DISARM, "arm", 1.0)

    def disarm(self) -> None:
        """Ask the autopilot to disarm; it refuses in the air. MavlinkError as for arm."""
        self._request(mavlink.MAV_CMD_COMPONENT_ARM_DISARM, "disarm", 0.0)

    def set_mode(self, name: str) -> None:
        """Ask for a flight mode by its name in `modes`. MavlinkError where it refuses or does not answer."""
        try:
            main, sub = mode_numbers(self.config.autopilot, name)
        except ValueError as error:
            raise MavlinkError(str(error)) from None
        flag = float(mavlink.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED)
        self._request(mavlink.MAV_CMD_DO_SET_MODE, f"mode {name}", flag, float(main), float(sub))

    def engage(self) -> None:
        """The mode that obeys setpoints; commands must be flowing. MavlinkError where they don't, or as set_mode."""
        if self._sending != "setpoint":
            raise MavlinkError(
                "engage: no fresh commands are being sent; the autopilot would be left without any"
            )
        self.set_mode(EXTERNAL[self.config.autopilot])

    def hold_position(self) -> None:
        """The mode in which the autopilot stays where it is. MavlinkError as set_mode."""
        self.set_mode(HOLD[self.config.autopilot])

    def land(self) -> None:
        """The mode in which the autopilot lands here. MavlinkError as set_mode."""
        self.set_mode(LAND[self.config.autopilot])

    def state(self) -> AutopilotState:
        """The newest of each reading."""
        return self._state

    def texts(self) -> list[str]:
        """The autopilot's own lines since the last call, oldest first, 100 at most."""
        lines = []
        while self._texts:
            lines.append(self._texts.popleft())
        return lines

    @property
    def engaged(self) -> bool:
        """Whether it flies by our setpoints: in the mode for it, and the link is there."""
        return self._connection.connected.is_set() and self._state.mode == EXTERNAL[self.config.autopilot]

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
            now = time.monotonic()
            if connection.connected.is_set() and now - self._heard > self.config.silence:
                self._forget()
                connection.fail(
                    f"{self.config.address}: link lost, no heartbeat for {self.config.silence:g} s; "
                    "nothing is sent, the autopilot's failsafe has the vehicle"
                )
            elif not connection.connected.is_set() and connection.connections == 0 and now - opened > 2.0:
                connection.error = f"{self.config.address}: no heartbeat of an autopilot so far"
        if self._sending != "nothing":
            self._put(Setpoint())

    def _forget(self) -> None:
        """The vehicle is not heard: a command from before does not count when it is back."""
        self._connection.connected.clear()
        self._command = None
        self._sending = "nothing"

    def _lose(self) -> None:
        self._forget()
        with self._lock:
            transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def _stale_since(self) -> float:
        """A time of arrival from which a command is just stale."""
        return time.monotonic() - self.config.command_timeout

    def _stream(self, now: float) -> None:
        """What is due: the newest command while it is fresh, then zeros, then nothing."""
        config = self.config
        if not self._connection.connected.is_set() or self._command is None:
            self._sending = "nothing"
            return
        arrived, setpoint = self._command
        age = now - arrived
        if self._enabled and age <= config.command_timeout:
            sending = "setpoint"
        elif age <= config.command_timeout + config.hold:
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
        for message in self._codec.parse_buffer(data) or ():
            if message.get_type() == "BAD_DATA":
                self._counts["bad"] += 1
                continue
            try:
                self._on_message(message)
            except (ValueError, OverflowError) as error:
                self._counts["refused"] += 1
                logger.debug("%s: %s", message.get_type(), error)

    def _on_message(self, message: Any) -> None:
        sender = (message.get_srcSystem(), message.get_srcComponent())
        kind = message.get_type()
        first = self._vehicle is None and kind == "HEARTBEAT"
        if first and sender[1] == mavlink.MAV_COMP_ID_AUTOPILOT1:
            self._vehicle = sender
        if sender != self._vehicle:
            self._counts["foreign"] += 1
            return
        self._counts["received"] += 1
        now = time.monotonic_ns()
        if kind == "HEARTBEAT":
            self._on_heartbeat(message)
        elif kind == "LOCAL_POSITION_NED":
            x, y, z, vx, vy, vz = _finite(message.x, message.y, message.z, message.vx, message.vy, message.vz)
            self._state = replace(self._state, position=(x, -y, -z), velocity=(vx, -vy, -vz), position_ns=now)
        elif kind == "ATTITUDE":
            roll, pitch, yaw, p, q, r = _finite(
                message.roll, message.pitch, message.yaw, message.rollspeed, message.pitchspeed, message.yawspeed
            )  # fmt: skip
            self._state = replace(
                self._state, attitude=(roll, -pitch, -yaw), angular_velocity=(p, -q, -r), attitude_ns=now
            )
        elif kind == "SYS_STATUS":
            volts = message.voltage_battery / 1000.0 if message.voltage_battery != 65535 else None
            share = message.battery_remaining / 100.0 if message.battery_remaining >= 0 else None
            self._state = replace(self._state, battery=volts, remaining=share)
        elif kind == "DISTANCE_SENSOR":
            self._on_range(message, now)
        elif kind == "COMMAND_ACK":
            if message.result != mavlink.MAV_RESULT_IN_PROGRESS:
                with self._answered:
                    self._answers[message.command] = message.result
                    self._answered.notify_all()
        elif kind == "STATUSTEXT":
            self._texts.append(message.text.rstrip("\0"))

    def _on_heartbeat(self, message: Any) -> None:
        self._heard = time.monotonic()
        armed = bool(message.base_mode & mavlink.MAV_MODE_FLAG_SAFETY_ARMED)
        mode = mode_name(self.config.autopilot, message.custom_mode)
        if (armed, mode) != (self._state.armed, self._state.mode):
            logger.info("%s, mode %s", "armed" if armed else "disarmed", mode)
        self._state = replace(self._state, armed=armed, mode=mode)
        if not self._connection.connected.is_set():
            self._connection.establish()
            interval = 1e6 / self.config.state_rate
            for stream in STREAMS:
                self._post(mavlink.MAV_CMD_SET_MESSAGE_INTERVAL, float(stream), interval)

    def _on_range(self, message: Any, now: int) -> None:
        (distance,) = _finite(message.current_distance / 100.0)
        value = math.inf if distance >= message.max_distance / 100.0 else distance
        if message.orientation == UP:
            self._state = replace(self._state, up=value, ranges_ns=now)
        elif message.orientation == DOWN:
            self._state = replace(self._state, down=value, ranges_ns=now)

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
        vehicle = self._vehicle
        if vehicle is None:
            return
        sent = self._write(
            mavlink.MAVLink_set_position_target_local_ned_message(
                time.monotonic_ns() // 1_000_000 % 2**32, *vehicle, mavlink.MAV_FRAME_BODY_NED, TYPE_MASK,
                0.0, 0.0, 0.0, setpoint.x, -setpoint.y, -setpoint.z, 0.0, 0.0, 0.0, 0.0, -setpoint.yaw_rate,
            )
        )  # fmt: skip
        self._counts["setpoints" if sent else "not sent"] += 1

    def _post(self, command: int, *values: float, confirmation: int = 0) -> None:
        vehicle = self._vehicle
        if vehicle is not None:
            padded = (*values, *(0.0,) * (7 - len(values)))
            self._write(mavlink.MAVLink_command_long_message(*vehicle, command, confirmation, *padded))

    def _request(self, command: int, what: str, *values: float) -> None:
        """Send a command until it is answered; MavlinkError where it is refused, or is not."""
        if not self._connection.connected.is_set():
            raise MavlinkError(f"{what}: no link to the autopilot")
        with self._answered:
            self._answers.pop(command, None)
            for attempt in range(TRIES):
                self._post(command, *values, confirmation=attempt)
                if self._answered.wait_for(lambda: command in self._answers, ANSWER_WITHIN):
                    break
            result = self._answers.pop(command, None)
        if result is None:
            raise MavlinkError(f"{what}: no answer from the autopilot")
        if result != mavlink.MAV_RESULT_ACCEPTED:
            name = (
                mavlink.enums["MAV_RESULT"][result].name if result in mavlink.enums["MAV_RESULT"] else result
            )
            raise MavlinkError(f"{what}: the autopilot refused ({name})")


def _codec(config: AutopilotConfig) -> Any:
    codec = mavlink.MAVLink(None, srcSystem=config.system_id, srcComponent=config.component_id)
    codec.robust_parsing = True  # bytes that are no message are counted, not raised
    return codec


def _finite(*values: float) -> tuple[float, ...]:
    if not all(math.isfinite(v) for v in values):
        raise ValueError(f"{values} must be finite")
    return values

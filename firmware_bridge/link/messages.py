"""Messages of the serial link as immutable values, and their payloads in bytes (little endian; docs/link.md).

Values here are SI: rad/s, rad/s², V, m. On the wire they are whole numbers of mrad/s, mV and mm.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, fields
from enum import IntFlag
from typing import ClassVar, TypeVar

from firmware_bridge.link.frames import PAYLOAD_MAX, LinkError

ALL_WHEELS = 0xFF
WHEELS_MAX = 16
_I32_MAX = 2**31 - 1


class Fault(IntFlag):
    """Why the motors are off. All but TIMEOUT stay until cleared."""

    STOP = 0x01
    WATCHDOG = 0x02
    BROWNOUT = 0x04
    BATTERY = 0x08
    BUMPER = 0x10
    STALL = 0x20
    ENCODER = 0x40
    TIMEOUT = 0x80


LATCHED = Fault(0x7F)


def _milli(value: float, name: str, high: int = _I32_MAX) -> int:
    if not math.isfinite(value) or abs(value) * 1000 > high:
        raise LinkError(f"{name}: {value} does not fit, must be finite and within ± {high / 1000}")
    return round(value * 1000)


def _exact(payload: bytes, size: int, name: str) -> None:
    if len(payload) != size:
        raise LinkError(f"{name}: payload of {len(payload)} bytes, expected {size}")


_Plain = TypeVar("_Plain", bound="_PlainMessage")


class _PlainMessage:
    """A message whose payload is its fields, one after another, as FORMAT says."""

    __slots__ = ()
    FORMAT: ClassVar[str] = "<"

    def pack(self) -> bytes:
        """Payload bytes."""
        return struct.pack(self.FORMAT, *(getattr(self, f.name) for f in fields(self)))  # type: ignore[arg-type]

    @classmethod
    def unpack(cls: type[_Plain], payload: bytes) -> _Plain:
        """From payload bytes; LinkError if they are none of this message."""
        _exact(payload, struct.calcsize(cls.FORMAT), cls.__name__.lower())
        return cls(*struct.unpack(cls.FORMAT, payload))


@dataclass(frozen=True, slots=True)
class Hello(_PlainMessage):
    """Host asks for the device's capabilities and for a new session."""

    TYPE: ClassVar[int] = 0x01
    FORMAT: ClassVar[str] = "<BH"
    version: int
    nonce: int


@dataclass(frozen=True, slots=True)
class Stop(_PlainMessage):
    """Motors off, latched until cleared. Obeyed in any session."""

    TYPE: ClassVar[int] = 0x02


@dataclass(frozen=True, slots=True)
class Clear:
    """Clears latched faults; nothing moves before a fresh velocity."""

    TYPE: ClassVar[int] = 0x03
    faults: Fault = LATCHED

    def pack(self) -> bytes:
        """Payload bytes."""
        return struct.pack("<H", self.faults)

    @classmethod
    def unpack(cls, payload: bytes) -> Clear:
        """From payload bytes; LinkError if they are none of this message."""
        _exact(payload, 2, "clear")
        return cls(Fault(struct.unpack("<H", payload)[0]))


@dataclass(frozen=True, slots=True)
class Limits:
    """Largest wheel speed in rad/s, largest wheel acceleration in rad/s², battery voltage in V that stops."""

    TYPE: ClassVar[int] = 0x04
    max_speed: float
    max_acceleration: float
    min_battery: float

    def pack(self) -> bytes:
        """Payload bytes; LinkError if a value does not fit."""
        for name in ("max_speed", "max_acceleration", "min_battery"):
            if not getattr(self, name) >= 0:
                raise LinkError(f"limits: {name} {getattr(self, name)} must be >= 0")
        return struct.pack(
            "<IIH",
            _milli(self.max_speed, "limits: max_speed"),
            _milli(self.max_acceleration, "limits: max_acceleration"),
            _milli(self.min_battery, "limits: min_battery", 65535),
        )

    @classmethod
    def unpack(cls, payload: bytes) -> Limits:
        """From payload bytes; LinkError if they are none of this message."""
        _exact(payload, 10, "limits")
        return cls(*(v / 1000 for v in struct.unpack("<IIH", payload)))


@dataclass(frozen=True, slots=True)
class Gains:
    """Gains of one wheel's speed controller, or of all: duty (-1 .. 1) per rad/s, per rad, per rad/s²."""

    TYPE: ClassVar[int] = 0x05
    kp: float
    ki: float
    kd: float
    kff: float
    wheel: int = ALL_WHEELS

    def pack(self) -> bytes:
        """Payload bytes; LinkError if a value does not fit."""
        values = (self.kp, self.ki, self.kd, self.kff)
        if not all(0 <= v <= 1000 for v in values):
            raise LinkError(f"gains: {values} must each be within 0 .. 1000")
        return struct.pack("<B4f", self.wheel, *values)

    @classmethod
    def unpack(cls, payload: bytes) -> Gains:
        """From payload bytes; LinkError if they are none of this message."""
        _exact(payload, 17, "gains")
        wheel, kp, ki, kd, kff = struct.unpack("<B4f", payload)
        return cls(kp, ki, kd, kff, wheel)


@dataclass(frozen=True, slots=True)
class Velocity:
    """Speed of each wheel in rad/s, positive forward."""

    TYPE: ClassVar[int] = 0x10
    speeds: tuple[float, ...]

    def pack(self) -> bytes:
        """Payload bytes; LinkError if a value does not fit."""
        if not 1 <= len(self.speeds) <= WHEELS_MAX:
            raise LinkError(f"velocity: {len(self.speeds)} wheels, must be 1 .. {WHEELS_MAX}")
        return struct.pack(f"<{len(self.speeds)}i", *(_milli(v, "velocity") for v in self.speeds))

    @classmethod
    def unpack(cls, payload: bytes) -> Velocity:
        """From payload bytes; LinkError if they are none of this message."""
        if len(payload) % 4 or not payload:
            raise LinkError(f"velocity: payload of {len(payload)} bytes, expected 4 for each wheel")
        return cls(tuple(v / 1000 for v in struct.unpack(f"<{len(payload) // 4}i", payload)))


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the device is. Answers Hello, whose nonce it repeats; the frame's session is the new one."""

    TYPE: ClassVar[int] = 0x81
    version: int
    nonce: int
    wheels: int
    ranges: int
    control_hz: int
    telemetry_hz: int
    timeout: float
    ticks_per_rev: int
    max_speed: float
    serial: str
    name: str

    _FORMAT: ClassVar[str] = "<BHBBHHHII8s"

    def pack(self) -> bytes:
        """Payload bytes."""
        return struct.pack(
            self._FORMAT, self.version, self.nonce, self.wheels, self.ranges, self.control_hz, self.telemetry_hz,
            round(self.timeout * 1000), self.ticks_per_rev, _milli(self.max_speed, "capabilities: max_speed"),
            self.serial.encode("ascii"),
        ) + self.name.encode("ascii")  # fmt: skip

    @classmethod
    def unpack(cls, payload: bytes) -> Capabilities:
        """From payload bytes; LinkError if they are none of this message."""
        size = struct.calcsize(cls._FORMAT)
        if len(payload) < size:
            raise LinkError(f"capabilities: payload of {len(payload)} bytes, expected {size} or more")
        version, nonce, wheels, ranges, control, telemetry, timeout, ticks, speed, serial = (
            struct.unpack_from(cls._FORMAT, payload)
        )
        if version == 1 and (not 1 <= wheels <= WHEELS_MAX or ticks == 0 or speed == 0):
            raise LinkError(
                f"capabilities: {wheels} wheels, {ticks} ticks per turn, {speed} mrad/s make no device"
            )
        return cls(
            version, nonce, wheels, ranges, control, telemetry, timeout / 1000, ticks, speed / 1000,
            serial.decode("ascii", "replace").rstrip("\0"), payload[size:].decode("ascii", "replace"),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ack(_PlainMessage):
    """Device has taken (status 0) or refused a message other than Velocity and Hello."""

    TYPE: ClassVar[int] = 0x82
    FORMAT: ClassVar[str] = "<BHB"
    type: int
    sequence: int
    status: int


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The device's readings.

    time_us: its clock, wraps at 2^32. obeyed: sequence of the newest velocity it accepted. answers: sent
    because of that velocity, so the time since it was sent is a round trip. ticks: encoder counts of each
    wheel, wrapping at ± 2^31. speeds: rad/s. battery: V. ranges: m. bumper: bit i is bumper i.
    """

    TYPE: ClassVar[int] = 0x90
    time_us: int
    obeyed: int
    answers: bool
    motors_on: bool
    faults: Fault
    battery: float
    bumper: int
    ticks: tuple[int, ...]
    speeds: tuple[float, ...]
    ranges: tuple[float, ...]

    _HEAD: ClassVar[struct.Struct] = struct.Struct("<IHBHHBBB")

    def pack(self) -> bytes:
        """Payload bytes; LinkError if a value does not fit."""
        head = self._HEAD.pack(
            self.time_us, self.obeyed, self.answers | self.motors_on << 1, self.faults,
            _milli(self.battery, "telemetry: battery", 65535), self.bumper, len(self.ticks), len(self.ranges),
        )  # fmt: skip
        wheels = b"".join(
            struct.pack("<ii", t, _milli(s, "telemetry: speed"))
            for t, s in zip(self.ticks, self.speeds, strict=True)
        )
        ranges = struct.pack(f"<{len(self.ranges)}H", *(_milli(r, "range", 65535) for r in self.ranges))
        return head + wheels + ranges

    @classmethod
    def unpack(cls, payload: bytes) -> Telemetry:
        """From payload bytes; LinkError if they are none of this message."""
        if len(payload) < cls._HEAD.size:
            raise LinkError(f"telemetry: payload of {len(payload)} bytes, expected {cls._HEAD.size} or more")
        time_us, obeyed, flags, faults, battery, bumper, wheels, ranges = cls._HEAD.unpack_from(payload)
        size = cls._HEAD.size + 8 * wheels + 2 * ranges
        _exact(payload, size, f"telemetry of {wheels} wheels, {ranges} ranges")
        values = struct.unpack_from(f"<{2 * wheels}i{ranges}H", payload, cls._HEAD.size)
        return cls(
            time_us, obeyed, bool(flags & 1), bool(flags & 2), Fault(faults), battery / 1000, bumper,
            values[0 : 2 * wheels : 2], tuple(v / 1000 for v in values[1 : 2 * wheels : 2]),
            tuple(v / 1000 for v in values[2 * wheels :]),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Log:
    """A line of text from the device. level: 0 info, 1 warning, 2 error."""

    TYPE: ClassVar[int] = 0x91
    level: int
    text: str

    def pack(self) -> bytes:
        """Payload bytes; LinkError if the text is too long."""
        data = self.text.encode("ascii", "replace")
        if len(data) >= PAYLOAD_MAX:
            raise LinkError(f"log: {len(data)} characters, at most {PAYLOAD_MAX - 1} fit")
        return bytes([self.level]) + data

    @classmethod
    def unpack(cls, payload: bytes) -> Log:
        """From payload bytes; LinkError if they are none of this message."""
        if not payload:
            raise LinkError("log: empty payload")
        return cls(payload[0], payload[1:].decode("ascii", "replace"))


@dataclass(frozen=True, slots=True)
class Counters(_PlainMessage):
    """What the device has received, and what it dropped and why, since its reset."""

    TYPE: ClassVar[int] = 0x92
    FORMAT: ClassVar[str] = "<I7H"
    received: int
    crc_errors: int
    framing_errors: int
    stale: int
    replayed: int
    refused: int
    rx_overruns: int
    tx_dropped: int


FromHost = Hello | Stop | Clear | Limits | Gains | Velocity
FromDevice = Capabilities | Ack | Telemetry | Log | Counters
Message = FromHost | FromDevice
_BY_TYPE: dict[int, type[Message]] = {
    m.TYPE: m
    for m in (Hello, Stop, Clear, Limits, Gains, Velocity, Capabilities, Ack, Telemetry, Log, Counters)
}


def unpack(kind: int, payload: bytes) -> Message:
    """The message of that type; LinkError for a type that there is not, or a payload that is none."""
    try:
        message = _BY_TYPE[kind]
    except KeyError:
        raise LinkError(f"message type {kind:#04x} is unknown") from None
    return message.unpack(payload)

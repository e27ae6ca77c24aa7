"""VESC over its UART packets: an own small codec, further VESCs on the CAN bus of the one that is connected.

A packet is 02 length payload crc 03 (03 length(2) ... for more than 255 bytes); the CRC-16 is XMODEM's, high byte
first; numbers are big endian. Firmware before 3.0 has another order of values and is refused. After the protocol's
published sources (bldc: comm/packet.c, datatypes.h, commands.c). A VESC stops by itself when its own timeout (in its
App settings; 1 s by default) has passed without a command.
"""

from __future__ import annotations

import binascii
import math
import struct
import time
from dataclasses import dataclass

from firmware_bridge.adapters.polled import LineDriver, NoAnswer, PolledConfig, check_directions
from firmware_bridge.link.frames import LinkError
from firmware_bridge.wheels import WheelState

FW_VERSION, GET_VALUES, SET_CURRENT, SET_RPM, FORWARD_CAN = 0, 4, 6, 8, 34
_VALUES = struct.Struct(">hhiiiihihiiiiiiB")
_OLDEST = (3, 0)  # firmware that tells its values in this order
_COMMUTATIONS = 6  # tachometer counts per electrical turn


def encode_packet(payload: bytes) -> bytes:
    """The bytes of one packet. LinkError if the payload is empty or longer than 512 bytes."""
    if not 1 <= len(payload) <= 512:
        raise LinkError(f"vesc: payload of {len(payload)} bytes, must be 1 .. 512")
    head = bytes([2, len(payload)]) if len(payload) < 256 else bytes([3]) + struct.pack(">H", len(payload))
    return head + payload + struct.pack(">H", binascii.crc_hqx(payload, 0)) + b"\x03"


def decode_packets(data: bytes) -> tuple[list[bytes], bytes]:
    """Payloads of the whole packets in data, and the bytes that are left to go on with. Garbage is skipped."""
    payloads = []
    at = 0
    while at < len(data):
        start = data[at]
        if start not in (2, 3):
            at += 1
            continue
        head = start
        if len(data) - at < head:
            break
        size = data[at + 1] if start == 2 else struct.unpack_from(">H", data, at + 1)[0]
        if not 1 <= size <= 512:
            at += 1
            continue
        end = at + head + size + 3
        if end > len(data):
            break
        payload = data[at + head : at + head + size]
        (crc,) = struct.unpack_from(">H", data, at + head + size)
        if data[end - 1] == 3 and crc == binascii.crc_hqx(payload, 0):
            payloads.append(payload)
            at = end
        else:
            at += 1
    return payloads, data[at:]


@dataclass(frozen=True, slots=True)
class VescValues:
    """A part of the answer to GET_VALUES. erpm: electrical turns per minute; tachometer: 6 counts per electrical
    turn, wrapping at 32 bits; voltage: V; current: A, of the motor; fault: 0 is none.
    """

    erpm: int
    tachometer: int
    voltage: float
    current: float
    duty: float
    fault: int


def parse_values(payload: bytes) -> VescValues:
    """From the payload of a GET_VALUES answer. NoAnswer (a LinkError) if it is none."""
    if len(payload) < 1 + _VALUES.size or payload[0] != GET_VALUES:
        raise NoAnswer(
            f"vesc: {len(payload)} bytes are no answer to GET_VALUES, expected {1 + _VALUES.size} or more"
        )
    (_, _, motor, _, _, _, duty, erpm, voltage, _, _, _, _, tachometer, _, fault) = _VALUES.unpack_from(
        payload, 1
    )
    return VescValues(erpm, tachometer, voltage / 10, motor / 100, duty / 1000, fault)


def check_version(payload: bytes, name: str) -> None:
    """LinkError where the answer to FW_VERSION is of a firmware or a device that this driver can't drive by.

    payload: major, minor, the hardware's name and a zero; since 5.2 also an id of 12 bytes, two flags, and the type.
    """
    if len(payload) < 3 or payload[0] != FW_VERSION:
        raise NoAnswer(f"{name} tells no firmware version")
    if (payload[1], payload[2]) < _OLDEST:
        raise LinkError(
            f"{name} has firmware {payload[1]}.{payload[2]:02d}, which orders its values otherwise; expected 3.00 or"
            " later"
        )
    hardware, _, rest = payload[3:].partition(b"\0")
    if len(rest) >= 15 and rest[14] != 0:
        raise LinkError(f"{name} ({hardware.decode('ascii', 'replace')}) is no motor controller (type {rest[14]})")


@dataclass(frozen=True, kw_only=True)
class VescConfig(PolledConfig):
    """can_ids: one for each wheel, None is the VESC that is connected. directions: +1 or -1 for each wheel.
    pole_pairs: of the motor. gear: motor turns per wheel turn.
    """

    can_ids: tuple[int | None, ...] = (None, 1)
    directions: tuple[int, ...] = (1, -1)
    pole_pairs: int = 7
    gear: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_directions("can_ids", self.can_ids, self.directions)
        if self.pole_pairs < 1 or not self.gear > 0:
            raise LinkError(f"pole_pairs {self.pole_pairs} must be >= 1, gear {self.gear} > 0")


class Vesc(LineDriver):
    """One wheel on each of several VESCs."""

    def __init__(self, config: VescConfig) -> None:
        super().__init__(config, len(config.can_ids))
        self.vesc = config

    def _put(self, can_id: int | None, payload: bytes) -> None:
        self._write(encode_packet(payload if can_id is None else bytes([FORWARD_CAN, can_id]) + payload))

    def _get(self, can_id: int | None, kind: int) -> bytes:
        self._fresh()
        self._put(can_id, bytes([kind]))
        until = time.monotonic() + self.config.answer
        while True:
            payloads, self._pending = decode_packets(self._pending)
            for payload in payloads:
                if payload[0] == kind:
                    return payload
            self._read_more(until, f"request {kind}")

    def _greet(self) -> None:
        for can_id in self.vesc.can_ids:
            name = f"{self.config.address}: VESC {'local' if can_id is None else can_id}"
            check_version(self._get(can_id, FW_VERSION), name)
            self._put(can_id, struct.pack(">Bi", SET_CURRENT, 0))

    def _let_go(self) -> None:
        for can_id in self.vesc.can_ids:
            self._put(can_id, struct.pack(">Bi", SET_CURRENT, 0))

    def _exchange(self, speeds: tuple[float, ...] | None) -> WheelState:
        v, begun = self.vesc, time.monotonic()
        values = []
        for i, (can_id, direction) in enumerate(zip(v.can_ids, v.directions, strict=True)):
            if speeds is None:
                self._put(can_id, struct.pack(">Bi", SET_CURRENT, 0))  # no current: it coasts
            else:
                erpm = direction * speeds[i] * v.gear * v.pole_pairs * 60 / math.tau
                self._put(can_id, struct.pack(">Bi", SET_RPM, round(erpm)))
            values.append(parse_values(self._get(can_id, GET_VALUES)))
        count = [d * math.tau / (_COMMUTATIONS * v.pole_pairs * v.gear) for d in v.directions]
        per_erpm = [d * math.tau / (60 * v.pole_pairs * v.gear) for d in v.directions]
        turning = tuple(value.erpm * e for value, e in zip(values, per_erpm, strict=True))
        explained = [max(abs(t), abs(c)) for t, c in zip(turning, speeds or turning, strict=True)]
        return WheelState(
            received_ns=time.monotonic_ns(),
            positions=self._move([value.tachometer for value in values], count, explained, begun),
            speeds=turning,
            battery=values[0].voltage,
            motors_on=any(abs(value.duty) > 0 for value in values),
            faults=tuple(f"vesc{i}:{value.fault}" for i, value in enumerate(values) if value.fault),
        )

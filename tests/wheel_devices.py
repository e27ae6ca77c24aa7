"""Emulated motor controllers at the other end of a pty, for the tests of the wheel side.

Each is written from its protocol's public description and shares no code with its driver; only FakeDevice uses the
link's own frames.
"""

from __future__ import annotations

import dataclasses
import math
import os
import struct
import threading
import time
import tty
from collections.abc import Callable

from firmware_bridge.link import Capabilities, Fault, Frame, FrameDecoder, Hello, Telemetry
from firmware_bridge.link.messages import Message, unpack


class Device:
    """The other end of a pty: two wheels that turn as fast as they are told, and a watchdog where there is one."""

    watchdog = math.inf
    slack = 1.0  # factor on the watchdog's time, where a busy computer must not make it bite

    def __init__(self) -> None:
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.address = os.ttyname(self._slave)
        os.set_blocking(self.master, False)
        self.speeds = [0.0, 0.0]  # rad/s
        self.angles = [0.0, 0.0]
        self.mute = False
        self.pending = b""
        self._at = self.fed = time.monotonic()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(0.001):
            now = time.monotonic()
            if now - self.fed > self.slack * self.watchdog:
                self.bite()
            self.angles = [a + s * (now - self._at) for a, s in zip(self.angles, self.speeds, strict=True)]
            self._at = now
            try:
                self.pending += os.read(self.master, 4096)
            except BlockingIOError:
                continue
            if not self.mute:
                self.react()

    def bite(self) -> None:
        self.speeds = [0.0, 0.0]

    def react(self) -> None:
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        os.write(self.master, data)

    def close(self) -> None:
        self._end.set()
        self._thread.join()
        os.close(self.master)
        os.close(self._slave)


class ArduinoDevice(Device):
    """ros_arduino_bridge: 1320 ticks a turn, 30 loops a second, 25 rad/s at full duty, stops after 2 s."""

    watchdog = 2.0

    def __init__(self) -> None:
        self.gains: tuple[int, ...] = ()
        self.zero = [0.0, 0.0]
        self.said: list[str] = []
        super().__init__()

    def react(self) -> None:
        while b"\r" in self.pending:
            line, _, self.pending = self.pending.partition(b"\r")
            self.write(self.answer(*(line.decode().split() or [""])).encode() + b"\r\n")

    def answer(self, name: str, *words: str) -> str:
        self.said.append(name)
        if name == "e":
            return " ".join(
                str(int((a - z) * 1320 / math.tau)) for a, z in zip(self.angles, self.zero, strict=True)
            )
        if name in "mo" and len(words) == 2:
            self.fed = time.monotonic()
            full = 30 * math.tau / 1320 if name == "m" else 25 / 255
            self.speeds = [int(w) * full for w in words]
        elif name == "r" and not words:
            self.zero = list(self.angles)
        elif name == "u" and len(words) == 1:
            self.gains = tuple(int(w) for w in words[0].split(":"))
        else:
            return "Invalid Command"
        return "OK"


class OdriveDevice(Device):
    """Two axes, the second mounted mirrored; turns and turns per second; a watchdog on each axis."""

    errors_are_called = "active_errors"  # "error" in firmware 0.5
    version = (0, 6)

    def __init__(self) -> None:
        self.armed = [False, False]
        self.errors = [0, 0]
        self.enabled = 0
        super().__init__()

    def bite(self) -> None:
        if any(self.armed):
            self.errors = [0x1000000] * 2
        self.armed = [False, False]
        self.speeds = [0.0, 0.0]

    def react(self) -> None:
        while b"\n" in self.pending:
            line, _, self.pending = self.pending.partition(b"\n")
            match line.decode().split():
                case ["v", axis, speed, _]:
                    self.fed = time.monotonic()
                    self.speeds[int(axis)] = float(speed) * math.tau if self.armed[int(axis)] else 0.0
                case ["f", axis]:
                    angle, speed = self.angles[int(axis)] / math.tau, self.speeds[int(axis)] / math.tau
                    self.write(f"{angle:.6f} {speed:.6f}\r\n".encode())
                case ["r", "vbus_voltage"]:
                    self.write(b"24.10\r\n")
                case ["r", name] if name.endswith("enable_watchdog"):
                    self.write(f"{self.enabled}\r\n".encode())
                case ["r", name] if name.endswith("." + self.errors_are_called):
                    self.write(f"{self.errors[int(name[4])]}\r\n".encode())
                case ["r", name] if name.endswith(".current_state"):
                    self.write(b"8\r\n" if self.armed[int(name[4])] else b"1\r\n")
                case ["r", "fw_version_major" | "fw_version_minor" as name]:
                    self.write(f"{self.version[name.endswith('minor')]}\r\n".encode())
                case ["r", _]:
                    self.write(b"invalid property\r\n")
                case ["w", name, value] if name.endswith("enable_watchdog"):
                    self.enabled, self.fed = int(value), time.monotonic()
                case ["w", name, value] if name.endswith("watchdog_timeout"):
                    self.watchdog = float(value)
                case ["w", name, value] if name.endswith("requested_state"):
                    self.armed[int(name[4])] = value == "8" and not self.errors[int(name[4])]
                case ["sc"]:
                    self.errors = [0, 0]
                case ["u", _]:
                    self.fed = time.monotonic()


def crc16(data: bytes, polynomial: int) -> int:
    """A CRC of 16 bits that starts at 0 and is not reflected."""
    value = 0
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = ((value << 1) ^ polynomial) & 0xFFFF if value & 0x8000 else value << 1
    return value


class VescDevice(Device):
    """Two VESCs, 7 pole pairs, the second on CAN with id 1 and mounted mirrored; a timeout of 0.2 s."""

    watchdog = 0.2
    version = (6, 2)
    per_rad = 7 * 60 / math.tau

    @staticmethod
    def crc(data: bytes) -> int:
        """CRC-16/XMODEM."""
        return crc16(data, 0x1021)

    def say(self, payload: bytes) -> None:
        self.write(bytes([2, len(payload)]) + payload + struct.pack(">HB", self.crc(payload), 3))

    def react(self) -> None:
        while len(self.pending) >= 2 and len(self.pending) >= self.pending[1] + 5:
            size = self.pending[1]
            packet, self.pending = self.pending[: size + 5], self.pending[size + 5 :]
            payload = packet[2:-3]
            assert (packet[0], packet[-1]) == (2, 3)
            assert struct.unpack(">H", packet[-3:-1])[0] == self.crc(payload)
            if payload[0] == 34:
                self.answer(payload[1], payload[2:])
            else:
                self.answer(0, payload)

    def answer(self, i: int, payload: bytes) -> None:
        if payload[0] == 0:
            self.say(bytes([0, *self.version]) + b"60\0")
        elif payload[0] in (6, 8):
            self.fed = time.monotonic()
            self.speeds[i] = struct.unpack(">i", payload[1:])[0] / self.per_rad if payload[0] == 8 else 0.0
        elif payload[0] == 4:
            tachometer = int(self.angles[i] * 6 * 7 / math.tau)
            tachometer = (tachometer + 2**31 - 5 + 2**31) % 2**32 - 2**31  # wraps after 5 counts
            erpm = round(self.speeds[i] * self.per_rad)
            # temperatures, currents, duty, speed, voltage, charges, tachometers, fault, and what newer firmware adds
            values = (300, 310, 150, 100, 0, 0, 120, erpm, 118, 0, 0, 0, 0, tachometer, 0, 0)
            self.say(struct.pack(">BhhiiiihihiiiiiiB", 4, *values) + b"\0" * 9)


class ServoBus(Device):
    """Two X-series servos by protocol 2.0; the maker's SDK is the independent peer that speaks with them."""

    def __init__(self) -> None:
        self.registers = [bytearray((1060).to_bytes(2, "little") + bytes(148)) for _ in range(2)]  # XL430-W250
        super().__init__()

    @staticmethod
    def crc(data: bytes) -> int:
        """CRC-16/UMTS."""
        return crc16(data, 0x8005)

    def react(self) -> None:
        while len(self.pending) >= 10:
            assert self.pending[:4] == b"\xff\xff\xfd\x00"
            end = 7 + struct.unpack_from("<H", self.pending, 5)[0]
            if len(self.pending) < end:
                return
            packet, self.pending = self.pending[:end], self.pending[end:]
            assert self.crc(packet[:-2]) == struct.unpack("<H", packet[-2:])[0]
            self.answer(packet[4], packet[7], packet[8:-2])

    def answer(self, servo: int, instruction: int, parameters: bytes) -> None:
        i, data = servo - 1, b""
        registers = self.registers[i]
        registers[128:132] = round(self.speeds[i] * 60 / math.tau / 0.229).to_bytes(4, "little", signed=True)
        registers[132:136] = round(self.angles[i] * 4096 / math.tau).to_bytes(4, "little", signed=True)
        registers[144:146] = (118).to_bytes(2, "little")
        address = struct.unpack_from("<H", parameters)[0] if len(parameters) >= 2 else 0
        if instruction == 2:
            data = bytes(registers[address : address + struct.unpack_from("<H", parameters, 2)[0]])
        elif instruction == 3:
            registers[address : address + len(parameters) - 2] = parameters[2:]
            goal = int.from_bytes(registers[104:108], "little", signed=True) * 0.229 * math.tau / 60
            self.speeds[i] = goal if registers[64] and registers[11] == 1 else 0.0
        status = b"\xff\xff\xfd\x00" + struct.pack("<BHBB", servo, 4 + len(data), 0x55, 0) + data
        self.write(status + struct.pack("<H", self.crc(status)))


DEVICE = Capabilities(1, 0, 2, 0, 200, 100, 0.1, 1320, 18.0, "00000001", "fake")


class FakeDevice:
    """The project's own protocol; does what a function says with every message it gets."""

    def __init__(self, react: Callable[[FakeDevice, Frame, Message], None]) -> None:
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.address = os.ttyname(self._slave)
        self.session, self.sequence = 1, 0
        self.got: list[Message] = []
        self._react = react
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        os.set_blocking(self.master, False)
        self._thread.start()

    def _run(self) -> None:
        decoder = FrameDecoder()
        while not self._end.wait(0.002):
            try:
                data = os.read(self.master, 4096)
            except BlockingIOError:
                continue
            for frame in decoder.feed(data):
                message = unpack(frame.type, frame.payload)
                self.got.append(message)
                self._react(self, frame, message)

    def send(self, message: Message, session: int | None = None) -> None:
        self.sequence = (self.sequence + 1) & 0xFFFF
        session = self.session if session is None else session
        os.write(self.master, Frame(message.TYPE, session, self.sequence, message.pack()).encode())

    def welcome(self, hello: Hello, version: int = 1) -> None:
        self.send(dataclasses.replace(DEVICE, version=version, nonce=hello.nonce))

    def telemetry(self, ticks: tuple[int, int] = (0, 0), time_us: int = 0) -> None:
        self.send(Telemetry(time_us, 0, False, False, Fault(0), 12.0, 0, ticks, (0.0, 0.0), ()))

    def close(self) -> None:
        self._end.set()
        self._thread.join()
        os.close(self.master)
        os.close(self._slave)

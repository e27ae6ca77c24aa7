"""Adapters against emulations of the device side, written from each protocol's public description.

No hardware was used. docs/firmware.md says what else each was tried against.
"""

from __future__ import annotations

import math
import os
import struct
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator

import pytest
from firmware_bridge_wait import wait_for
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.adapters import (
    ArduinoText,
    ArduinoTextConfig,
    Dynamixel,
    DynamixelConfig,
    Odrive,
    OdriveConfig,
    Vesc,
    VescConfig,
)
from firmware_bridge.adapters import vesc as codec
from firmware_bridge.link import LinkError


class Device:
    """The other end of a pty: two wheels that turn as fast as they are told, and a watchdog where there is one."""

    watchdog = math.inf

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
            if now - self.fed > self.watchdog:
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
    """ros_arduino_bridge: 1320 ticks a turn, 30 loops a second."""

    gains: tuple[int, ...] = ()

    def react(self) -> None:
        while b"\r" in self.pending:
            line, _, self.pending = self.pending.partition(b"\r")
            name, *words = line.decode().split() or [""]
            if name == "e":
                self.write("{} {}\r\n".format(*(int(a * 1320 / math.tau) for a in self.angles)).encode())
            elif name == "m" and len(words) == 2:
                self.speeds = [int(w) * 30 * math.tau / 1320 for w in words]
                self.write(b"OK\r\n")
            elif name == "u" and len(words) == 1:
                self.gains = tuple(int(w) for w in words[0].split(":"))
                self.write(b"OK\r\n")
            else:
                self.write(b"Invalid Command\r\n")


class OdriveDevice(Device):
    """Two axes, the second mounted mirrored; turns and turns per second; a watchdog on each axis."""

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
                case ["r", name] if name.endswith("active_errors"):
                    self.write(f"{self.errors[int(name[4])]}\r\n".encode())
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


class VescDevice(Device):
    """Two VESCs, 7 pole pairs, the second on CAN with id 1 and mounted mirrored; a timeout of 0.2 s."""

    watchdog = 0.2
    per_rad = 7 * 60 / math.tau

    def react(self) -> None:
        payloads, self.pending = codec.decode_packets(self.pending)
        for payload in payloads:
            i = 0
            if payload[0] == 34:
                i, payload = payload[1], payload[2:]
            if payload[0] == 0:
                self.write(codec.encode_packet(bytes([0, 6, 2]) + b"60\0"))
            elif payload[0] in (6, 8):
                self.fed = time.monotonic()
                self.speeds[i] = (
                    struct.unpack(">i", payload[1:])[0] / self.per_rad if payload[0] == 8 else 0.0
                )
            elif payload[0] == 4:
                tachometer = int(self.angles[i] * 6 * 7 / math.tau)
                tachometer = (tachometer + 2**31 - 5 + 2**31) % 2**32 - 2**31  # wraps after 5 counts
                values = (
                    300,
                    310,
                    150,
                    100,
                    0,
                    0,
                    120,
                    round(self.speeds[i] * self.per_rad),
                    118,
                    0,
                    0,
                    0,
                    0,
                )
                self.write(
                    codec.encode_packet(
                        struct.pack(">BhhiiiihihiiiiiiB", 4, *values, tachometer, 0, 0) + b"\0" * 9
                    )
                )


@pytest.fixture
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    made = request.param()
    yield made
    made.close()


def make(device: Device, **more: object):
    answer: dict = {"address": device.address, "retry": 0.05, "answer": 1.0, "command_timeout": 0.3, **more}
    if isinstance(device, ArduinoDevice):
        return ArduinoText(ArduinoTextConfig(boot=0.0, **answer))
    if isinstance(device, OdriveDevice):
        return Odrive(OdriveConfig(watchdog=1.0, **answer))
    return Vesc(VescConfig(**answer))


every_device = pytest.mark.parametrize("device", [ArduinoDevice, OdriveDevice, VescDevice], indirect=True)


def keep_sending(driver, speeds: tuple[float, float], until: Callable[[], object]) -> None:
    wait_for(lambda: (driver.send(speeds), time.sleep(0.01), until())[2])


def forward(device: Device) -> tuple[float, float]:
    left, right = device.speeds
    return left, right if isinstance(device, ArduinoDevice) else -right


@every_device
def test_speeds_reach_the_wheels_and_readings_come_back(device: Device) -> None:
    with make(device) as driver:
        assert driver.wait_connected(5.0), driver.status().error
        keep_sending(driver, (3.0, -2.0), lambda: forward(device) == pytest.approx((3.0, -2.0), abs=0.08))
        keep_sending(driver, (3.0, -2.0), lambda: driver.state().positions[0] > 1.0)
        state = driver.state()
        assert state.positions[1] == pytest.approx(-state.positions[0] * 2 / 3, rel=0.15)
        assert state.motors_on
        assert driver.status().round_trip > 0


@every_device
def test_a_command_that_is_not_renewed_becomes_a_stop(device: Device) -> None:
    with make(device) as driver:
        driver.wait_connected(5.0)
        keep_sending(driver, (3.0, 3.0), lambda: device.speeds[0] > 1)
        wait_for(lambda: device.speeds == [0.0, 0.0])


@every_device
def test_stop_holds_until_clear_and_close_stops(device: Device) -> None:
    with make(device) as driver:
        driver.wait_connected(5.0)
        keep_sending(driver, (3.0, 3.0), lambda: device.speeds[0] > 1)
        driver.stop()
        assert not driver.send((3.0, 3.0))
        wait_for(lambda: device.speeds == [0.0, 0.0])
        driver.clear_stop()
        keep_sending(driver, (3.0, 3.0), lambda: device.speeds[0] > 1)
    wait_for(lambda: device.speeds == [0.0, 0.0])


@every_device
def test_a_mute_device_is_said_and_reconnected_without_motion(device: Device) -> None:
    with make(device) as driver:
        driver.wait_connected(5.0)
        keep_sending(driver, (3.0, 3.0), lambda: device.speeds[0] > 1)
        device.mute = True
        wait_for(lambda: not driver.status().connected)
        wait_for(lambda: "no answer" in driver.status().error)
        assert not driver.send((3.0, 3.0))
        device.pending = b""
        device.mute = False
        assert driver.wait_connected(5.0)
        wait_for(lambda: device.speeds == [0.0, 0.0])
        assert driver.status().connections == 2


@every_device
def test_wrong_speeds_are_refused(device: Device) -> None:
    driver = make(device)
    for bad in ((1.0,), (math.nan, 0.0)):
        with pytest.raises(LinkError):
            driver.send(bad)


@pytest.mark.parametrize("device", [OdriveDevice], indirect=True)
def test_odrive_disarms_itself_when_the_host_dies_and_says_so(device: OdriveDevice) -> None:
    with make(device) as driver:
        driver.wait_connected(5.0)
        assert (device.enabled, device.watchdog) == (1, 1.0)
        keep_sending(driver, (3.0, 3.0), lambda: device.speeds[0] > 1)
        device.bite()  # what its watchdog does
        wait_for(lambda: driver.state().faults)
        assert "axis0:0x1000000" in driver.state().faults
        driver.clear_stop()
        keep_sending(driver, (3.0, 3.0), lambda: device.speeds[0] > 1)


@pytest.mark.parametrize("device", [ArduinoDevice], indirect=True)
def test_arduino_gains_are_sent(device: ArduinoDevice) -> None:
    with make(device, gains=(20, 12, 0, 50)) as driver:
        assert driver.wait_connected(5.0)
        assert device.gains == (20, 12, 0, 50)


@pytest.mark.parametrize("device", [VescDevice], indirect=True)
def test_an_adapter_for_another_device_says_what_it_got(device: VescDevice) -> None:
    class Chatter(ArduinoDevice):
        def react(self) -> None:
            self.pending = b""
            self.write(b"hello there\r\n")

    chatter = Chatter()
    try:
        with ArduinoText(ArduinoTextConfig(address=chatter.address, boot=0.0)) as driver:
            wait_for(lambda: "expected 2 numbers" in driver.status().error)
    finally:
        chatter.close()


def test_vesc_packets_are_those_that_its_tool_sends() -> None:
    # widely published request for values; set RPM -12345 as pyvesc 1.0.5 encodes it
    assert codec.encode_packet(b"\x04").hex() == "020104408403"
    assert codec.encode_packet(struct.pack(">Bi", 8, -12345)).hex() == SET_RPM
    assert codec.encode_packet(bytes(300))[:3].hex() == "03012c"


SET_RPM = "020508ffffcfc7292c03"


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=3), st.integers(0, 900))
def test_vesc_packets_come_back_however_the_stream_is_cut(payloads: list[bytes], cut: int) -> None:
    stream = b"".join(codec.encode_packet(p) for p in payloads)
    first, rest = codec.decode_packets(stream[:cut])
    second, rest = codec.decode_packets(rest + stream[cut:])
    assert (first + second, rest) == (payloads, b"")


@given(st.binary(max_size=600))
def test_vesc_decoder_takes_any_bytes_and_goes_on(garbage: bytes) -> None:
    payloads, rest = codec.decode_packets(garbage)
    assert sum(map(len, payloads)) + len(rest) <= len(garbage)
    # nothing shorter than a whole packet of 512 can hold it back for ever
    found, _ = codec.decode_packets(rest + bytes(520) + codec.encode_packet(b"\x04"))
    assert found[-1] == b"\x04"


@given(st.binary(max_size=100))
def test_vesc_values_are_parsed_or_refused(payload: bytes) -> None:
    if len(payload) >= 56 and payload[0] == 4:
        assert codec.parse_values(payload)
    else:
        with pytest.raises(LinkError):
            codec.parse_values(payload)


@pytest.mark.parametrize(
    "config",
    [
        lambda: ArduinoTextConfig(address="x", ticks_per_rev=0),
        lambda: ArduinoTextConfig(address="x", rate=math.nan),
        lambda: OdriveConfig(address="x", directions=(1,)),
        lambda: OdriveConfig(address="x", watchdog=0.001),
        lambda: VescConfig(address="x", directions=(1, 2)),
        lambda: VescConfig(address="x", pole_pairs=0),
        lambda: DynamixelConfig(address="x", watchdog=3.0),
    ],
)
def test_a_configuration_that_is_none_is_refused(config: Callable[[], object]) -> None:
    with pytest.raises(LinkError):
        config()


def test_dynamixel_without_its_sdk_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dynamixel_sdk", None)
    with pytest.raises(LinkError, match="pip install dynamixel-sdk"):
        Dynamixel(DynamixelConfig(address="x"))


class ServoBus(Device):
    """Two X-series servos by protocol 2.0; the maker's SDK is the independent peer that speaks with them."""

    def __init__(self) -> None:
        self.registers = [bytearray(150) for _ in range(2)]
        super().__init__()

    @staticmethod
    def crc(data: bytes) -> int:
        """CRC-16/UMTS: polynomial 0x8005, start 0, not reflected."""
        value = 0
        for byte in data:
            value ^= byte << 8
            for _ in range(8):
                value = ((value << 1) ^ 0x8005) & 0xFFFF if value & 0x8000 else value << 1
        return value

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


def test_dynamixel_servos_driven_by_the_makers_sdk() -> None:
    pytest.importorskip("dynamixel_sdk", reason="needs PyPI dynamixel-sdk")
    bus = ServoBus()
    try:
        with Dynamixel(DynamixelConfig(address=bus.address, watchdog=0.5, command_timeout=0.3)) as driver:
            assert driver.wait_connected(5.0), driver.status().error
            assert bus.registers[0][98] == 25  # watchdog of 0.5 s in units of 20 ms
            keep_sending(driver, (3.0, -2.0), lambda: driver.state().positions[0] > 1.0)
            assert (bus.speeds[0], -bus.speeds[1]) == pytest.approx((3.0, -2.0), abs=0.03)
            assert driver.state().speeds == pytest.approx((3.0, -2.0), abs=0.03)
            assert driver.state().battery == pytest.approx(11.8)
            wait_for(lambda: bus.speeds == [0.0, 0.0])
            assert not bus.registers[0][64]
    finally:
        bus.close()

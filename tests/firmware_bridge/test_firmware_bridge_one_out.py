"""One controller, wheel or answer that is out: all wheels stop where it must, and go on where it need not.

Emulated devices; no hardware was ever met.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import socket
import struct
import threading
import time

import pytest
from firmware_bridge_wait import wait_for
from hypothesis import given, settings
from hypothesis import strategies as st
from wheel_devices import ArduinoDevice, Device, FakeDevice, OdriveDevice, ServoBus, VescDevice

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
from firmware_bridge.adapters.vesc import check_version, encode_packet
from firmware_bridge.following import Following
from firmware_bridge.link import FirmwareLink, Hello, LinkConfig, LinkError
from firmware_bridge.wheels import WheelPositions

XL320 = bytearray(struct.pack("<H", 350) + bytes(148))  # its control table is another


class Odd(VescDevice):
    """VESC 0 can be in fault, mute, dead, or of other firmware."""

    fault, silent, dead = 0, False, False

    def answer(self, i: int, payload: bytes) -> None:
        if i == 0 and self.silent:
            return
        if i == 0 and (self.dead or self.fault) and payload[0] in (6, 8):
            self.fed, self.speeds[0] = time.monotonic(), 0.0
            return
        if i == 0 and self.fault and payload[0] == 4:
            values = (300, 310, 0, 0, 0, 0, 0, 0, 118, 0, 0, 0, 0, 0, 0, self.fault)
            self.say(struct.pack(">BhhiiiihihiiiiiiB", 4, *values) + b"\0" * 9)
            return
        super().answer(i, payload)


class Servos(ServoBus):
    @property
    def watchdog(self):
        return 10.0


class DeadArduino(ArduinoDevice):
    dead = False

    def answer(self, name: str, *words: str) -> str:
        said = super().answer(name, *words)
        if self.dead:
            self.speeds[0] = 0.0
        return said


def odrive(device):
    return Odrive(OdriveConfig(address=device.address, watchdog=1.0))


def vesc(device):
    return Vesc(VescConfig(address=device.address))


def dynamixel(device):
    pytest.importorskip("dynamixel_sdk", reason="needs PyPI dynamixel-sdk")
    return Dynamixel(DynamixelConfig(address=device.address, watchdog=1.0))


def arduino(device):
    return ArduinoText(ArduinoTextConfig(address=device.address))


@contextlib.contextmanager
def driven(device: Device, make):
    """A driver that is sent 4 rad/s all the time."""
    ending = threading.Event()
    try:
        with make(device) as driver:
            assert driver.wait_connected(5.0), driver.status().error

            def run():
                while not ending.wait(0.01):
                    driver.send((4.0, 4.0))

            thread = threading.Thread(target=run)
            thread.start()
            try:
                wait_for(lambda: min(map(abs, device.speeds)) > 3.5)
                yield driver
            finally:
                ending.set()
                thread.join()
    finally:
        device.close()


def out_of_closed_loop(device):
    device.armed[0], device.speeds[0] = False, 0.0


def in_error(device):
    device.errors[0] = 0x40
    out_of_closed_loop(device)


def overloaded(device):
    device.registers[0][70], device.registers[0][64], device.speeds[0] = 0x20, 0, 0.0


def without_torque(device):
    device.registers[0][64], device.speeds[0] = 0, 0.0


@pytest.mark.parametrize(
    ("device", "make", "breaks", "reason"),
    [
        (OdriveDevice, odrive, in_error, "axis0:0x40"),
        (OdriveDevice, odrive, out_of_closed_loop, "axis0: not in closed loop (state 1)"),
        (Odd, vesc, lambda d: setattr(d, "fault", 4), "vesc0:4"),
        (Odd, vesc, lambda d: setattr(d, "dead", True), "wheel 0 does not follow: commanded 4.00 rad/s"),
        (Servos, dynamixel, overloaded, "servo1:0x20"),
        (Servos, dynamixel, without_torque, "servo1: torque is off"),
        (DeadArduino, arduino, lambda d: setattr(d, "dead", True), "wheel 0 does not follow: commanded 4.00 rad/s"),
    ],
)
def test_one_controller_that_is_out_stops_all_wheels_until_it_is_cleared(device, make, breaks, reason):
    device = device()
    with driven(device, make) as driver:
        breaks(device)
        took = wait_for(lambda: device.speeds == [0.0, 0.0])
        assert took < 1.0
        wait_for(lambda: any(reason in fault for fault in driver.state().faults))
        time.sleep(0.5)  # commands go on
        assert device.speeds == [0.0, 0.0]
        assert any(reason in fault for fault in driver.state().faults)
        assert not driver.state().motors_on
        assert driver.status().connected
        if device.__class__ is not Servos:  # those reboot
            for attribute in ("fault", "dead"):
                setattr(device, attribute, 0)
            driver.clear_stop()
            wait_for(lambda: min(map(abs, device.speeds)) > 3.5)
            assert driver.state().faults == ()


def test_a_controller_that_falls_silent_stops_the_others_long_before_their_own_timeout():
    device = Odd()
    device.watchdog = 100.0
    with driven(device, vesc) as driver:
        device.silent = True
        assert wait_for(lambda: device.speeds[1] == 0.0) < 0.6
        wait_for(lambda: not driver.state().motors_on)
        assert any("no answer" in fault for fault in driver.state().faults)


def test_a_wheel_that_follows_slowly_late_or_coarsely_is_no_fault_and_one_that_does_not_is_one_in_time():
    def run(motion, command=lambda t: 4.0, seconds=3.0):
        """When a fault was found, s; None for never. motion: (speed, command, dt) to the speed."""
        following, speed = Following(), 0.0
        for i in range(int(seconds / 0.02)):
            speed = motion(speed, command(i * 0.02), 0.02)
            if following.check((command(i * 0.02), 0.0), (speed, 0.0), i * 0.02):
                return i * 0.02
        return None

    assert run(lambda v, c, dt: c) is None
    assert run(lambda v, c, dt: v + max(-2 * dt, min(c - v, 2 * dt))) is None  # 2 rad/s^2
    assert run(lambda v, c, dt: 0.8 * c) is None
    assert run(lambda v, c, dt: v + (c - v) * dt / 0.2, lambda t: 6 * math.sin(6 * t)) is None  # lags by 0.2 s
    assert run(lambda v, c, dt: 0.0, lambda t: 0.5) is None  # within what friction takes
    for dead in (lambda v, c, dt: 0.0, lambda v, c, dt: c / 2, lambda v, c, dt: -c, lambda v, c, dt: 2 * c):
        assert 0.25 < run(dead) < 0.4
    assert run(lambda v, c, dt: 5.0, lambda t: 0.0) < 0.4  # runs away
    assert run(lambda v, c, dt: 0.0, lambda t: 4.0 if int(t * 5) % 2 else -4.0) < 0.4  # to and fro


@given(
    st.lists(st.tuples(st.floats(-20, 20), st.floats(0.005, 0.1)), min_size=1, max_size=40),
    st.sampled_from((1320, 4096, 42)),
    st.integers(-(2**31), 2**31 - 1),
)
def test_positions_follow_any_plausible_motion_over_the_wrap_of_the_counter(steps, counts, start):
    positions, scale = WheelPositions(1), math.tau / counts
    angle = now = 0.0

    def raw():
        return (start + math.floor(angle / scale) + 2**31) % 2**32 - 2**31

    assert positions.put((raw(),), (scale,), (0.0,), (now, now)) == ""
    for speed, dt in steps:
        angle, now = angle + speed * dt, now + dt
        assert positions.put((raw(),), (scale,), (speed,), (now, now)) == ""
    assert positions.radians[0] == pytest.approx(angle, abs=1.01 * scale)


@given(st.integers(-(10**6), 10**6), st.integers(-20, 20), st.floats(-20, 20))
def test_a_counter_that_begins_anew_is_never_motion(before, after, speed):
    positions, scale, allowed = WheelPositions(1), math.tau / 1320, 2 * (2 * abs(speed) + 2) * 0.02 + 0.01
    positions.put((before,), (scale,), (speed,), (0.0, 0.0))
    for i in range(1, 4):
        if positions.put((after,), (scale,), (speed,), (i * 0.02, i * 0.02)) == "":
            break
    else:
        positions.begin()
        assert positions.put((after,), (scale,), (speed,), (1.0, 1.0)) == ""
    assert abs(positions.radians[0]) < 3 * allowed


def reset_arduino(device):
    device.zero = list(device.angles)


def reset_angles(device):
    device.angles = [0.0, 0.0]


@pytest.mark.parametrize(
    ("device", "make", "reset"),
    [
        (ArduinoDevice, arduino, reset_arduino),
        (OdriveDevice, odrive, reset_angles),
        (VescDevice, vesc, reset_angles),
        (Servos, dynamixel, reset_angles),
    ],
)
@pytest.mark.parametrize("mute", [False, True])
def test_a_board_that_reboots_never_moves_the_positions(device, make, reset, mute):
    device = device()
    device.slack = 100.0
    with driven(device, make) as driver:
        wait_for(lambda: driver.state().positions[0] > 3.0)
        seen = [driver.state().positions[0]]
        device.mute = mute
        if mute:
            wait_for(lambda: not driver.status().connected)
        seen.append(driver.state().positions[0])
        reset(device)
        device.pending, device.mute = b"", False
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            seen.append(driver.state().positions[0])
            time.sleep(0.005)
    assert all(-0.1 < b - a < 1.0 for a, b in itertools.pairwise(seen))


class Garbler(ArduinoDevice):
    """Garbles or swallows every so many answers."""

    every, how, answers = 0, "byte", 0

    def write(self, data: bytes) -> None:
        self.answers += 1
        if self.every and self.answers % self.every == 0:
            data = {
                "byte": b"\xf7" + data[1:],
                "digit": b"9" + data,
                "newline": data.replace(b"\n", b"\xff"),
                "lost": b"",
                "debug": b"DBG: hello\r\n" + data,
            }[self.how]
        super().write(data)


@pytest.mark.parametrize("how", ["byte", "digit", "newline", "lost", "debug"])
def test_a_garbled_answer_costs_a_retry_and_not_the_connection(how):
    device = Garbler()
    device.how = how
    with driven(device, arduino) as driver:
        device.every = 41
        seen = []
        end = time.monotonic() + 2.0
        while time.monotonic() < end:
            seen.append(driver.state().positions[0])
            time.sleep(0.01)
        assert driver.status().connections == 1
        assert driver.status().counts["retries"] >= 1
        assert driver.state().faults == ()
        assert all(-0.1 < b - a < 1.5 for a, b in itertools.pairwise(seen))


class Booting:
    """A ros_arduino_bridge by TCP that boots anew whenever its port is opened."""

    def __init__(self, boot: float, keeps: bool = False, banner: bytes = b"") -> None:
        self.boot, self.keeps, self.banner = boot, keeps, banner
        self.resets = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.1)
        self.address = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.is_set():
            with contextlib.suppress(OSError):
                self._serve(self._server.accept()[0])

    def _serve(self, port: socket.socket) -> None:
        with port:
            self.resets += 1
            port.settimeout(0.02)
            up, pending, said = time.monotonic() + self.boot, b"", False
            while not self._end.is_set():
                with contextlib.suppress(TimeoutError):
                    data = port.recv(256)
                    if not data:
                        return
                    pending += data
                if time.monotonic() < up:
                    pending = pending[:63] if self.keeps else b""
                    if self.banner:
                        port.sendall(self.banner)
                    continue
                if not said and self.banner:
                    port.sendall(b"ready 57600\r\n")
                said = True
                while b"\r" in pending:
                    line, _, pending = pending.partition(b"\r")
                    word = line.decode("ascii", "replace").split()[:1]
                    answer = {"e": "0 0", "m": "OK", "r": "OK"}.get(word[0] if word else "", "Invalid Command")
                    port.sendall(answer.encode() + b"\r\n")

    def close(self) -> None:
        self._end.set()
        self._thread.join()
        self._server.close()


@pytest.mark.parametrize(
    "board",
    [
        {"boot": 0.5},
        {"boot": 1.5, "keeps": True},
        {"boot": 3.0},
        {"boot": 1.0, "banner": b"\xf0\x0f\xaa\x14"},
        {"boot": 1.0, "banner": b"booting...\r\n", "keeps": True},
    ],
)
def test_a_board_that_boots_slowly_or_talks_while_it_boots_is_reset_once_and_connects(board):
    board = Booting(**board)
    try:
        with arduino(board) as driver:
            assert driver.wait_connected(10.0), driver.status().error
            time.sleep(0.5)
            assert driver.status().connected
            assert (board.resets, driver.status().connections) == (1, 1)
    finally:
        board.close()


def test_our_own_firmware_that_boots_for_longer_than_answer_is_not_reset_again():
    opened = []

    def late(device, frame, message):
        if isinstance(message, Hello):
            opened.append(time.monotonic())
            if opened[-1] - opened[0] > 1.0:
                device.welcome(message)
            else:
                os.write(device.master, b"garbage\r\n\0")

    device = FakeDevice(late)
    try:
        with FirmwareLink(LinkConfig(device.address, answer=0.4)) as link:
            wait_for(lambda: "no frame of this protocol" in link.status().error)
            assert link.wait_connected(5.0)
            assert link.status().connections == 1
    finally:
        device.close()


def test_firmware_of_another_number_of_wheels_is_refused_in_one_line():
    device = FakeDevice(lambda device, frame, message: isinstance(message, Hello) and device.welcome(message))
    try:
        with FirmwareLink(LinkConfig(device.address, wheels=4)) as link:
            wait_for(lambda: "firmware drives 2 wheels, the kinematics that are set have 4" in link.status().error)
    finally:
        device.close()


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (bytes([0, 2, 18]), "firmware 2.18, which orders its values otherwise"),
        (bytes([0, 5, 2]) + b"BMS\0" + bytes(14) + b"\1", "is no motor controller"),
        (bytes([0, 6]), "tells no firmware version"),
        (b"", "tells no firmware version"),
    ],
)
def test_a_vesc_that_answers_otherwise_than_this_driver_reads_is_refused(payload, said):
    with pytest.raises(LinkError, match=said):
        check_version(payload, "VESC")


@given(st.binary(max_size=80))
def test_any_answer_to_the_firmware_version_is_taken_or_refused_in_one_line(payload):
    with contextlib.suppress(LinkError):
        check_version(payload, "VESC")


@pytest.mark.parametrize(
    ("device", "make", "changes", "said"),
    [
        (VescDevice, vesc, {"version": (2, 18)}, "has firmware 2.18"),
        (OdriveDevice, odrive, {"version": (0, 4)}, "ODrive firmware 0.4; expected 0.5 or 0.6"),
        (Servos, dynamixel, {"registers": [XL320, XL320]}, "model 350"),
    ],
)
def test_a_controller_that_is_not_of_the_driver_s_kind_is_refused_and_never_driven(device, make, changes, said):
    device = device()
    for name, value in changes.items():
        setattr(device, name, value)
    try:
        with make(device) as driver:
            wait_for(lambda: said in driver.status().error)
            assert not driver.send((1.0, 1.0))
    finally:
        device.close()


@settings(max_examples=15, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=5), st.sampled_from((0, 1, 2)))
def test_any_bytes_in_place_of_answers_drive_nothing_and_end_in_one_line(noise, which):
    device_class, make = ((ArduinoDevice, arduino), (OdriveDevice, odrive), (VescDevice, vesc))[which]

    class Noise(device_class):
        def react(self) -> None:
            self.pending = b""
            for data in noise:
                self.write(data)

    device = Noise()
    try:
        with make(device) as driver:
            time.sleep(0.15)
            assert not driver.send((1.0, 1.0))
            assert "\n" not in driver.status().error
            assert driver.state() is None
    finally:
        device.close()


def test_packets_stay_as_they_were():
    assert encode_packet(b"\x00").hex() == "020100000003"

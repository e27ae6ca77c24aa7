"""Adapters against emulations of the device side, written from each protocol's public description.

No hardware was used. docs/firmware.md says what else each was tried against.
"""

from __future__ import annotations

import math
import struct
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from firmware_bridge_wait import wait_for
from hypothesis import given
from hypothesis import strategies as st
from wheel_devices import ArduinoDevice, Device, OdriveDevice, ServoBus, VescDevice

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


@pytest.mark.parametrize("device", [ArduinoDevice], indirect=True)
def test_arduino_without_a_speed_loop_is_driven_by_its_duty(device: ArduinoDevice) -> None:
    with make(device, full_speed=25.0) as driver:
        assert driver.wait_connected(5.0)
        # 10 of 25 rad/s are 102 of 255, -40 is more than all it has
        keep_sending(
            driver, (10.0, -40.0), lambda: device.speeds == pytest.approx((102 * 25 / 255, -25.0), abs=1e-9)
        )
        assert "o" in device.said
        wait_for(lambda: device.speeds == [0.0, 0.0])  # not renewed: stopped
    assert device.said.count("r") == 1


@pytest.mark.parametrize("device", [ArduinoDevice], indirect=True)
def test_arduino_counts_begin_anew_with_each_connection_and_positions_go_on(device: ArduinoDevice) -> None:
    device.angles = [50.0, 50.0]  # what it had turned before
    with make(device) as driver:
        assert driver.wait_connected(5.0)
        wait_for(driver.state)
        assert driver.state().positions == (0.0, 0.0)
        keep_sending(driver, (8.0, 8.0), lambda: driver.state().positions[0] > 1.0)
        device.mute = True
        wait_for(lambda: not driver.status().connected)
        device.pending, device.mute = b"", False
        assert driver.wait_connected(5.0)
        before = driver.state().positions[0]
        wait_for(lambda: driver.status().counts["sent"] and device.said.count("r") == 2)
        keep_sending(driver, (8.0, 8.0), lambda: driver.state().positions[0] > before + 0.5)
        assert driver.state().positions[0] < before + 3.0


@pytest.mark.parametrize("device", [OdriveDevice], indirect=True)
def test_an_odrive_of_firmware_05_tells_its_errors_by_their_older_name(device: OdriveDevice) -> None:
    device.errors_are_called = "error"
    with make(device) as driver:
        assert driver.wait_connected(5.0), driver.status().error
        device.errors[1] = 0x800
        wait_for(lambda: driver.state() and driver.state().faults == ("axis1:0x800",))


def test_an_adapter_for_another_device_says_what_it_got() -> None:
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


def test_vesc_packets_are_those_of_the_published_protocol() -> None:
    # the request for values that many sources print, and -12345 erpm as pyvesc 1.0.5 encodes it
    assert codec.encode_packet(b"\x04").hex() == "020104408403"
    assert codec.encode_packet(struct.pack(">Bi", 8, -12345)).hex() == "020508ffffcfc7292c03"
    assert codec.encode_packet(bytes(300))[:3].hex() == "03012c"


@given(st.binary(min_size=1, max_size=400))
def test_vesc_packets_are_those_of_pyvesc(payload: bytes) -> None:
    packets = pytest.importorskip(
        "pyvesc.packet.codec", reason="needs pyvesc: pip install pyvesc==1.0.5 pythoncrc"
    )
    assert packets.frame(payload) == codec.encode_packet(payload)
    assert codec.decode_packets(packets.frame(payload)) == ([payload], b"")
    assert packets.unframe(codec.encode_packet(payload)) == (payload, len(codec.encode_packet(payload)))


@given(st.integers(-(2**31), 2**31 - 1))
def test_pyvesc_understands_the_speed_that_is_commanded(erpm: int) -> None:
    pyvesc = pytest.importorskip("pyvesc", reason="needs pyvesc: pip install pyvesc==1.0.5 pythoncrc")
    message, _ = pyvesc.decode(codec.encode_packet(struct.pack(">Bi", codec.SET_RPM, erpm)))
    assert (type(message).__name__, message.rpm) == ("SetRPM", erpm)
    assert codec.encode_packet(bytes([codec.GET_VALUES])) == pyvesc.encode_request(pyvesc.GetValues)


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
        lambda: ArduinoTextConfig(address="x", full_speed=0.0),
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


def test_dynamixel_servos_driven_by_the_makers_sdk() -> None:
    pytest.importorskip("dynamixel_sdk", reason="needs PyPI dynamixel-sdk")
    bus = ServoBus()
    try:
        with Dynamixel(DynamixelConfig(address=bus.address, watchdog=0.5, command_timeout=0.3)) as driver:
            assert driver.wait_connected(5.0), driver.status().error
            assert bus.registers[0][98] == 25  # watchdog of 0.5 s in units of 20 ms
            keep_sending(driver, (3.0, -2.0), lambda: driver.state() and driver.state().positions[0] > 1.0)
            assert (bus.speeds[0], -bus.speeds[1]) == pytest.approx((3.0, -2.0), abs=0.03)
            assert driver.state().speeds == pytest.approx((3.0, -2.0), abs=0.03)
            assert driver.state().battery == pytest.approx(11.8)
            wait_for(lambda: bus.speeds == [0.0, 0.0])
            assert not bus.registers[0][64]
    finally:
        bus.close()

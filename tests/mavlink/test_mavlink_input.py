"""What is wrong at either end is one line, and moves nothing."""

from __future__ import annotations

import math
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mavlink_wait import wait_for

pytest.importorskip("pymavlink", reason="pymavlink is not installed: pip install '.[mavlink]' in the repository")

from firmware_bridge.link import LinkError
from firmware_bridge.mavlink import Autopilot, AutopilotConfig, MavlinkError, Setpoint
from firmware_bridge.mavlink.modes import mode_name, mode_numbers
from firmware_bridge.mavlink.transport import open_vehicle


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"autopilot": "betaflight"}, "autopilot 'betaflight': expected one of px4, ardupilot"),
        ({"rate": 10.0}, "rate 10 Hz: expected 20 .. 1000"),
        ({"system_id": 0}, "system_id 0: expected 1 .. 255"),
        ({"command_timeout": 0.0}, "command_timeout 0.0: expected more than 0"),
        ({"hold": -1.0}, "hold -1.0 s: expected 0 .. 3600"),
    ],
)
def test_a_config_that_cant_be_is_refused(change, message):
    with pytest.raises(MavlinkError) as error:
        AutopilotConfig("udpin::14540", **change)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "address", ["udpin:14540", "udpout::14540", "udpin:host:0", "udpin:h:99999", "udp:a:1"]
)
def test_an_address_that_cant_be_is_one_line(address):
    with pytest.raises(LinkError) as error:
        open_vehicle(address, 57600)
    assert address in str(error.value)
    assert "\n" not in str(error.value)


def test_a_port_that_another_has_is_told_and_tried_again():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        with Autopilot(AutopilotConfig(f"udpin:127.0.0.1:{port}")) as pilot:
            assert wait_for(lambda: "in use" in pilot.status().error)
            other.close()
            assert wait_for(lambda: "no heartbeat" in pilot.status().error)


@pytest.mark.parametrize(
    "setpoint",
    [
        Setpoint(x=math.nan),
        Setpoint(y=math.inf),
        Setpoint(x=4.0, y=4.0),
        Setpoint(z=-2.1),
        Setpoint(yaw_rate=3.1),
    ],
)
def test_a_setpoint_that_must_not_fly_is_refused_and_counted(setpoint):
    pilot = Autopilot(AutopilotConfig("udpin::14540"))
    with pytest.raises(MavlinkError, match="setpoint: "):
        pilot.send(setpoint)
    assert pilot.status().counts["refused"] == 1


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=600))
def test_bytes_that_are_no_mavlink_move_nothing(data):
    pilot = Autopilot(AutopilotConfig("udpin::14540"))
    pilot._take(data)
    state = pilot.state()
    assert not state.armed
    assert state.position is None


def test_modes_have_the_numbers_that_px4_and_ardupilot_document():
    assert mode_name("px4", 6 << 16) == "OFFBOARD"
    assert mode_name("px4", 4 << 16 | 6 << 24) == "AUTO.LAND"
    assert mode_name("ardupilot", 4) == "GUIDED"
    assert mode_name("ardupilot", 77) == "77"
    assert mode_numbers("px4", "AUTO.LOITER") == (4, 3)
    with pytest.raises(ValueError, match="mode 'OFFBOARD': ardupilot has STABILIZE"):
        mode_numbers("ardupilot", "OFFBOARD")


def test_a_second_start_is_refused():
    with (
        Autopilot(AutopilotConfig("udpin:127.0.0.1:0")) as pilot,
        pytest.raises(MavlinkError, match="started already"),
    ):
        pilot.start()

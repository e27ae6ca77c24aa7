"""Who is at the other end: only the vehicle that was set is heard and steered, and only what it says is believed."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mavlink_wait import wait_for

pytest.importorskip("pymavlink", reason="pymavlink is not installed: pip install '.[mavlink]' in the repository")

from mavlink_vehicle import ARDUPILOT, QUAD, ROVER, Vehicle, distance_sensor
from pymavlink.dialects.v20 import common as m

from firmware_bridge.mavlink import Autopilot, AutopilotConfig, MavlinkError, Setpoint
from firmware_bridge.mavlink import autopilot as module
from firmware_bridge.mavlink.readings import Readings, distance
from firmware_bridge.mavlink.transport import open_vehicle

ARM, SET_MODE = m.MAV_CMD_COMPONENT_ARM_DISARM, m.MAV_CMD_DO_SET_MODE


@contextlib.contextmanager
def air(*vehicles, silence=2.5, **config):
    """Our end on a free port, and vehicles (their keywords) that send there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with Autopilot(AutopilotConfig(f"udpin:127.0.0.1:{port}", silence=silence, **config)) as pilot:
        present = [Vehicle(port, **keywords) for keywords in vehicles]
        try:
            yield (pilot, port, *present)
        finally:
            for vehicle in present:
                vehicle.close()


@contextlib.contextmanager
def commands(pilot):
    """Fresh commands, as the reflex sends them."""
    ending = threading.Event()

    def run():
        while not ending.wait(0.01):
            pilot.send(Setpoint(0.5))

    pilot.enable(True)
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def test_of_two_vehicles_the_one_of_our_system_id_is_armed_and_steered_alone():
    with air({"system": 1}, {"system": 2}, system_id=2) as (pilot, _, other, ours):
        assert pilot.wait_connected(5.0)
        with commands(pilot):
            assert wait_for(lambda: ours.setpoints > 5)
            pilot.arm()
            pilot.engage()
        assert ours.armed
        assert (other.armed, other.setpoints, other.asked(ARM), other.asked(SET_MODE)) == (False, 0, False, False)
        assert wait_for(lambda: any("vehicle 1 (px4 quadrotor) is heard" in line for line in pilot.notices()))
        time.sleep(0.3)
        assert pilot.notices() == []  # once


def test_a_vehicle_of_another_system_id_alone_is_refused_in_one_line():
    with air({"system": 1}, system_id=2) as (pilot, _, other):
        assert wait_for(lambda: "vehicle 1 (px4 quadrotor) is heard, but system_id is set to 2" in pilot.status().error)
        with pytest.raises(MavlinkError, match="arm: no link"):
            pilot.arm()
        assert other.commands == []


@pytest.mark.parametrize(
    ("autopilot", "vehicle", "said"),
    [
        ("px4", {"autopilot": ARDUPILOT}, "of kind ardupilot quadrotor, but autopilot is set to px4"),
        ("ardupilot", {}, "of kind px4 quadrotor, but autopilot is set to ardupilot"),
        ("ardupilot", {"autopilot": ARDUPILOT, "kind": ROVER}, "ardupilot ground_rover; only multirotors"),
        ("px4", {"kind": m.MAV_TYPE_FIXED_WING}, "px4 fixed_wing; only multirotors"),
        ("px4", {"autopilot": m.MAV_AUTOPILOT_GENERIC}, "generic quadrotor, but autopilot is set to px4"),
        ("px4", {"autopilot": 199, "kind": 250}, "of kind 199 250, but"),
    ],
)
def test_another_kind_of_vehicle_than_was_set_is_refused_and_never_commanded(autopilot, vehicle, said):
    with air(vehicle, autopilot=autopilot) as (pilot, _, wrong):
        assert wait_for(lambda: said in pilot.status().error), pilot.status().error
        assert "\n" not in pilot.status().error
        with commands(pilot):
            time.sleep(0.2)
            with pytest.raises(MavlinkError, match=f"engage: no link .*{said}"):
                pilot.engage()
        assert (wrong.commands, wrong.setpoints) == ([], 0)


def test_a_vehicle_that_becomes_another_kind_is_let_go():
    with air({}) as (pilot, _, vehicle):
        assert pilot.wait_connected(5.0)
        vehicle.autopilot = ARDUPILOT
        assert wait_for(lambda: not pilot.status().connected)
        assert wait_for(lambda: "of kind ardupilot" in pilot.status().error)
        vehicle.autopilot = m.MAV_AUTOPILOT_PX4
        assert pilot.wait_connected(5.0)


def test_what_is_accepted_and_not_done_is_no_success(monkeypatch):
    monkeypatch.setattr(module, "READ_BACK", 0.5)
    with air({"obeys": False}) as (pilot, _, vehicle):
        assert pilot.wait_connected(5.0)
        with commands(pilot):
            assert wait_for(lambda: vehicle.setpoints > 5)
            for request in (pilot.arm, pilot.engage, pilot.hold_position, pilot.land):
                with pytest.raises(MavlinkError, match=r"the autopilot accepted, but 0\.5 s later it is disarmed"):
                    request()
        assert vehicle.asked(ARM)
        vehicle.obeys = True
        pilot.hold_position()
        assert pilot.state().mode == "AUTO.LOITER"


def test_an_answer_to_somebody_else_is_not_ours(monkeypatch):
    monkeypatch.setattr(module, "ANSWER_WITHIN", 0.1)
    with air({}) as (pilot, _, vehicle):
        assert pilot.wait_connected(5.0)
        vehicle.acknowledge_to = (255, 190)
        with pytest.raises(MavlinkError, match="arm: no answer"):
            pilot.arm()


def test_datagrams_of_strangers_divert_no_setpoint_and_are_told_of_once():
    with air({}) as (pilot, port, vehicle), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.settimeout(0.01)
        assert pilot.wait_connected(5.0)
        spoofed = m.MAVLink(None, srcSystem=1, srcComponent=1)
        with commands(pilot):
            assert wait_for(lambda: vehicle.setpoints > 5)
            begun, before = time.monotonic(), vehicle.setpoints
            while time.monotonic() - begun < 1.0:
                stranger.sendto(b"garbage", ("127.0.0.1", port))
                stranger.sendto(b"\xfd", ("127.0.0.1", port))
                heartbeat = m.MAVLink_heartbeat_message(QUAD, m.MAV_AUTOPILOT_PX4, 129, 0, 4, 3)
                stranger.sendto(heartbeat.pack(spoofed), ("127.0.0.1", port))
                time.sleep(0.005)
            assert vehicle.setpoints - before > 30  # of 50
            with pytest.raises(TimeoutError):
                stranger.recv(4096)
        assert not pilot.state().armed
        assert pilot.status().counts["strangers"] > 50
        told = pilot.notices()
        assert len(told) == 1
        assert "it is not heard" in told[0]


def test_a_vehicle_that_comes_back_from_another_port_is_found_again():
    with air({}, silence=0.5) as (pilot, port, vehicle):
        assert pilot.wait_connected(5.0)
        vehicle.close()
        assert wait_for(lambda: not pilot.status().connected)
        again = Vehicle(port)
        try:
            assert pilot.wait_connected(5.0)
            pilot.arm()
            assert again.armed
        finally:
            again.close()


def test_a_listening_address_without_a_host_is_this_computer_alone():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    transport = open_vehicle(f"udpin::{port}", 57600)
    try:
        with socket.socket(fileno=os.dup(transport.fileno())) as bound:
            assert bound.getsockname() == ("127.0.0.1", port)
    finally:
        transport.close()


@pytest.mark.parametrize(
    "reading",
    [
        {"now": 150, "quality": 1},  # invalid by its own words
        {"now": 150, "quality": 101},
        {"now": 0},
        {"now": 4},  # of 5 .. 800
        {"now": 801},
        {"now": 65535},
        {"now": 100, "low": 0, "high": 0},
        {"now": 100, "low": 800, "high": 5},
        {"now": 40, "variance": 254},
    ],
)
def test_an_invalid_distance_is_no_reading(reading):
    readings = Readings("px4")
    readings.take(distance_sensor(150))
    assert readings.state.down == 1.5
    came = readings.state.down_ns
    with pytest.raises(ValueError, match=r"signal quality|cm"):
        readings.take(distance_sensor(**reading))
    assert readings.state.down is None
    assert readings.state.down_ns == came


@given(*(st.integers(0, 65535) for _ in range(3)), *(st.integers(0, 255) for _ in range(2)), st.sampled_from((24, 25)))
def test_a_distance_is_within_its_sensors_range_or_infinite_or_refused(now, low, high, quality, variance, way):
    try:
        value = distance(distance_sensor(now, quality, low, high, way, variance))
    except ValueError:
        return
    assert quality != 1
    assert low < high
    assert now >= low
    assert value == math.inf or (0 < value == now / 100 < high / 100)


def test_a_position_that_the_estimator_does_not_vouch_for_is_not_taken():
    readings = Readings("px4")
    here = m.MAVLink_local_position_ned_message(1, 1.0, 2.0, -3.0, 0.0, 0.0, 0.0)

    def flags(value):
        return m.MAVLink_estimator_status_message(1, value, *([0.0] * 8))

    readings.take(here)
    readings.take(flags(m.ESTIMATOR_ATTITUDE))
    with pytest.raises(ValueError, match="the estimator's flags"):
        readings.take(here)
    readings.take(flags(m.ESTIMATOR_VELOCITY_HORIZ | m.ESTIMATOR_POS_HORIZ_REL))
    readings.take(here)


def test_an_autopilot_that_takes_no_velocities_is_not_engaged():
    with air({}) as (pilot, _, vehicle):
        assert pilot.wait_connected(5.0)
        text = [0] * 8
        vehicle.say(m.MAVLink_autopilot_version_message(0, 1 << 24 | 2 << 16, 0, 0, 0, text, text, text, 0, 0, 0))
        assert wait_for(lambda: pilot.vehicle == "px4 quadrotor 1.2.0")
        with commands(pilot):
            assert wait_for(lambda: vehicle.setpoints > 5)
            with pytest.raises(MavlinkError, match="takes no velocity setpoints"):
                pilot.engage()

"""Our end against MAVSDK's autopilot side, over UDP."""

from __future__ import annotations

import itertools
import math
import threading
import time

import numpy as np
import pytest
from mavlink_wait import wait_for

pytest.importorskip("pymavlink", reason="pymavlink is not installed: pip install '.[mavlink]' in the repository")

from firmware_bridge.mavlink import Autopilot, AutopilotConfig, MavlinkError, Setpoint

BODY_NED = 8  # MAV_FRAME
ARM, SET_MODE = 400, 176  # MAV_CMD


class Stream:
    """Commands at 100 Hz, as the reflex sends them."""

    def __init__(self, pilot, setpoint):
        self.pilot, self.setpoint = pilot, setpoint
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.ending.wait(0.01):
            self.pilot.send(self.setpoint)

    def __enter__(self):
        self.pilot.enable(True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()


def test_a_velocity_arrives_in_the_body_frame_with_y_to_the_right_and_z_down(vehicle, pilot):
    with Stream(pilot, Setpoint(1.0, 0.5, -0.25, 0.3)):
        assert wait_for(lambda: vehicle.count() > 3)
        fields = vehicle.newest()
    assert fields["coordinate_frame"] == BODY_NED
    assert (fields["target_system"], fields["target_component"]) == (1, 1)
    sent = [fields[name] for name in ("vx", "vy", "vz", "yaw_rate")]
    np.testing.assert_allclose(sent, [1.0, -0.5, 0.25, -0.3], rtol=1e-6)
    # by the common message set: bits 0 to 2 position, 6 to 8 acceleration, 10 yaw are not to be used; the rest is
    assert fields["type_mask"] == 7 + 448 + 1024


def test_setpoints_come_at_twenty_hertz_and_more(vehicle, pilot):
    with Stream(pilot, Setpoint(0.5)):
        assert wait_for(lambda: vehicle.count() > 100, 20.0)
    times = [when for when, fields in vehicle.setpoints if fields["vx"] == 0.5][:100]
    assert 99 / (times[-1] - times[0]) >= 20.0


def test_nothing_is_sent_before_the_first_command_or_while_not_enabled(vehicle, pilot):
    time.sleep(0.4)
    pilot.send(Setpoint(1.0))  # not enabled
    time.sleep(0.4)
    assert all(fields["vx"] == 0.0 for _, fields in vehicle.setpoints)


def test_without_a_fresh_command_zero_is_sent_and_then_nothing(vehicle, pilot):
    with Stream(pilot, Setpoint(1.0, 0.2, 0.1, 0.5)):
        assert wait_for(lambda: vehicle.count() > 20)
    assert wait_for(lambda: pilot.status().sending == "zero")
    assert wait_for(lambda: pilot.status().sending == "nothing")
    time.sleep(0.1)
    told = [(f["vx"], f["vy"], f["vz"], f["yaw_rate"]) for _, f in vehicle.setpoints]
    kinds = [zero for zero, _ in itertools.groupby(told, key=lambda v: not any(v))]
    assert kinds == [False, True]
    count = vehicle.count()
    time.sleep(0.4)
    assert vehicle.count() == count
    with Stream(pilot, Setpoint(0.7)):  # a fresh command flows again
        assert wait_for(lambda: vehicle.newest()["vx"] == pytest.approx(0.7))


def test_closing_ends_with_zero(vehicle, pilot):
    with Stream(pilot, Setpoint(1.0)):
        assert wait_for(lambda: vehicle.count() > 5)
    pilot.close()
    assert wait_for(lambda: vehicle.newest()["vx"] == 0.0)


def test_it_arms_on_request_alone_and_says_so(vehicle, pilot):
    with Stream(pilot, Setpoint(0.5)):
        assert wait_for(lambda: vehicle.count() > 20)
        assert not pilot.state().armed
    pilot.arm()
    assert wait_for(lambda: pilot.state().armed)
    pilot.disarm()
    assert wait_for(lambda: not pilot.state().armed)


def test_a_refusal_to_arm_is_one_line(vehicle, pilot):
    vehicle.take_command(ARM, result=1)
    with pytest.raises(MavlinkError, match=r"arm: the autopilot refused .MAV_RESULT_TEMPORARILY_REJECTED"):
        pilot.arm()
    assert not pilot.state().armed


def test_offboard_is_engaged_only_while_commands_flow(vehicle, pilot):
    with pytest.raises(MavlinkError, match="engage: no fresh commands"):
        pilot.engage()
    with Stream(pilot, Setpoint()):
        assert wait_for(lambda: vehicle.count() > 5)
        pilot.engage()
        assert wait_for(lambda: pilot.state().mode == "OFFBOARD")
        assert pilot.engaged
    pilot.land()
    assert wait_for(lambda: pilot.state().mode == "AUTO.LAND")
    assert not pilot.engaged


def test_px4_is_asked_for_hold(vehicle, pilot):
    vehicle.take_command(SET_MODE)  # MAVSDK's own action server refuses this mode
    pilot.hold_position()
    # MAV_CMD_DO_SET_MODE: custom, main mode 4 (auto), sub mode 3 (loiter)
    command = vehicle.commands[-1]
    assert (command["param1"], command["param2"], command["param3"]) == (1.0, 4.0, 3.0)


def test_ardupilot_is_asked_for_guided(vehicle):
    vehicle.relay.autopilot = 3
    vehicle.take_command(SET_MODE)
    config = AutopilotConfig(f"udpin:127.0.0.1:{vehicle.port}", "ardupilot")
    with Autopilot(config) as pilot, Stream(pilot, Setpoint(0.4)):
        assert pilot.wait_connected(5.0)
        assert wait_for(lambda: vehicle.count() > 5)
        pilot.engage()
        pilot.land()
        assert vehicle.newest()["coordinate_frame"] == BODY_NED
    # COMMAND_LONG of MAV_CMD_DO_SET_MODE: 1 for a custom mode, then Copter's number of GUIDED and LAND
    assert [(c["param1"], c["param2"]) for c in vehicle.commands] == [(1.0, 4.0), (1.0, 9.0)]


def test_a_lost_link_is_told_and_nothing_from_before_flies_on_afterwards(vehicle):
    config = AutopilotConfig(f"udpin:127.0.0.1:{vehicle.port}", silence=1.5)
    with Autopilot(config) as pilot:
        assert pilot.wait_connected(5.0)
        with Stream(pilot, Setpoint(1.0)):
            assert wait_for(lambda: vehicle.count() > 5)
        vehicle.end()
        assert wait_for(lambda: not pilot.status().connected, 5.0)
        assert "link lost" in pilot.status().error
        assert pilot.status().error.count("\n") == 0
        with pytest.raises(MavlinkError, match="arm: no link"):
            pilot.arm()
        vehicle.setpoints.clear()
        vehicle.begin()
        assert wait_for(lambda: pilot.status().connected, 8.0)
        time.sleep(0.3)
        assert vehicle.setpoints == []
        assert pilot.status().connections == 2


def test_the_autopilots_readings_come_in_ros_frames(vehicle, pilot):
    from mavsdk.plugins.telemetry_server import telemetry_server as t

    def publish():
        position, velocity = t.PositionNed(1.0, 2.0, -3.0), t.VelocityNed(0.1, 0.2, -0.3)
        vehicle.telemetry.publish_position_velocity_ned(t.PositionVelocityNed(position, velocity))
        vehicle.say(
            "ATTITUDE",
            time_boot_ms=1,
            roll=0.1,
            pitch=0.2,
            yaw=0.3,
            rollspeed=0.4,
            pitchspeed=0.5,
            yawspeed=0.6,
        )
        vehicle.say(
            "SYS_STATUS", voltage_battery=15200, battery_remaining=81, current_battery=-1, load=0, drop_rate_comm=0,
            errors_comm=0, errors_count1=0, errors_count2=0, errors_count3=0, errors_count4=0,
            onboard_control_sensors_present=0, onboard_control_sensors_enabled=0, onboard_control_sensors_health=0,
        )  # fmt: skip
        for orientation, centimetres in ((25, 123), (24, 800)):
            vehicle.say(
                "DISTANCE_SENSOR", time_boot_ms=1, min_distance=5, max_distance=800, current_distance=centimetres,
                type=0, id=0, orientation=orientation, covariance=255,
            )  # fmt: skip

    def complete():
        publish()
        time.sleep(0.05)
        s = pilot.state()
        return None not in (s.position, s.attitude, s.battery, s.down, s.up)

    assert wait_for(complete)
    state = pilot.state()
    np.testing.assert_allclose(state.position, (1.0, -2.0, 3.0), rtol=1e-6)
    np.testing.assert_allclose(state.velocity, (0.1, -0.2, 0.3), rtol=1e-6)
    np.testing.assert_allclose(state.attitude, (0.1, -0.2, -0.3), rtol=1e-6)
    np.testing.assert_allclose(state.angular_velocity, (0.4, -0.5, -0.6), rtol=1e-6)
    assert (state.battery, state.remaining) == (15.2, 0.81)
    assert (state.down, state.up) == (1.23, math.inf)


def test_values_that_are_no_numbers_are_not_taken(vehicle, pilot):
    before = pilot.status().counts["refused"]

    def refused():
        # null is MAVSDK's JSON for NaN
        vehicle.say(
            "ATTITUDE",
            time_boot_ms=1,
            roll=0.0,
            pitch=0.0,
            yaw=None,
            rollspeed=0.0,
            pitchspeed=0.0,
            yawspeed=0.0,
        )
        return pilot.status().counts["refused"] > before

    assert wait_for(refused)
    assert pilot.state().attitude is None

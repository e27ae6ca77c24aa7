"""The bridge node against the firmware on the emulated chip."""

from __future__ import annotations

import functools
import math
import os
import re
import struct
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Twist, TwistStamped
from hybrid_control_ros import wheel_drivers
from hybrid_control_ros.direct import DirectPath
from hybrid_control_ros.firmware_bridge import FirmwareBridgeNode
from hybrid_control_ros.reflex import ReflexNode
from hybrid_control_ros.simulator import SimNode
from hybrid_control_ros.wheel_drivers import make_driver, make_kinematics
from nav_msgs.msg import Odometry
from rcl_interfaces.msg import Log
from sensor_msgs.msg import BatteryState, JointState, Range
from std_srvs.srv import Trigger
from wheel_devices import ArduinoDevice, FakeDevice, OdriveDevice, ServoBus, VescDevice

import firmware_bridge.firmware
from firmware_bridge.link import Hello, LinkConfig, open_transport
from hybrid_control.bringup.dds import without_shared_memory
from hybrid_control.bringup.node_parameters import FIRMWARE_BRIDGE
from hybrid_control.parameters import ParameterError, check_all


def speeds(emulator):
    return [wheel["speed"] for wheel in emulator.state()["wheels"]]


def drive(graph, kind=Twist, linear=0.0, angular=0.0):
    """A cmd_vel that goes on until its timer is cancelled."""

    def message():
        made = kind()
        twist = made.twist if kind is TwistStamped else made
        if kind is TwistStamped:
            made.header.stamp = graph.tester.get_clock().now().to_msg()
        twist.linear.x, twist.angular.z = linear, angular
        return made

    return graph.repeat(graph.tester.create_publisher(kind, "cmd_vel", 1), message)


def clear_faults(graph):
    assert graph.call(Trigger, "firmware_bridge_node/clear_faults", Trigger.Request()).success


def test_firmware_node_defaults_of_limits_and_gains_are_what_the_firmware_is_built_with():
    text = (Path(firmware_bridge.firmware.__file__).parent / "config.h").read_text()
    built = dict(re.findall(r"#define (\w+) ([0-9.]+)", text))
    values = {p.name: p.default for p in FIRMWARE_BRIDGE}
    assert values["max_wheel_speed"] == float(built["MAX_SPEED_MRAD"]) / 1000
    assert values["wheel_acceleration"] == float(built["MAX_ACCEL_MRAD"]) / 1000
    assert values["min_battery"] == float(built["MIN_BATTERY_MV"]) / 1000
    for name in ("kp", "ki", "kd", "kff"):
        assert values[f"wheel_{name}"] == float(built[f"GAIN_{name.upper()}"])


def test_firmware_node_sets_the_limits_and_the_gains_of_the_firmware(graph, emulated):
    none = {f"wheel_{name}": 0.0 for name in ("kp", "ki", "kd", "kff")}
    node = graph.start(
        FirmwareBridgeNode, port=emulated.address, wheel_radius=0.1, set_limits=True, wheel_acceleration=5.0,
        set_gains=True, **none,
    )  # fmt: skip
    graph.until(lambda: node.driver.state())
    driving = drive(graph, TwistStamped, linear=0.8)
    graph.until(lambda: node.driver.state().motors_on, 10)
    time.sleep(0.5)
    assert max(map(abs, speeds(emulated))) < 0.2  # without gains there is no duty
    graph.until(lambda: "does not follow: commanded" in node.report()[1])  # and that is a fault
    # all at once, while it is told to drive
    assert graph.set("firmware_bridge_node", wheel_kp=0.1, wheel_ki=1.0, wheel_kff=0.037).successful
    assert max(map(abs, speeds(emulated))) < 0.2  # latched until cleared
    clear_faults(graph)
    graph.until(lambda: speeds(emulated) == pytest.approx([8.0, 8.0], rel=0.05), 10)
    # from rest again: 7.6 rad/s at 5 rad/s^2 take 1.5 s, which the node's own 40 rad/s^2 would not
    driving.cancel()
    graph.until(lambda: max(map(abs, speeds(emulated))) < 0.2, 10)
    begun = time.monotonic()
    drive(graph, TwistStamped, linear=0.8)
    graph.until(lambda: min(speeds(emulated)) > 7.6, 10)
    assert time.monotonic() - begun > 1.3
    assert not node.driver.status().error


@pytest.mark.parametrize("kind", [Twist, TwistStamped])
def test_firmware_node_turns_wheels_by_cmd_vel_and_tells_what_they_do(graph, emulated, kind):
    odom, joints = graph.collect(Odometry, "odom"), graph.collect(JointState, "joint_states")
    battery, ranges = graph.collect(BatteryState, "battery_state"), graph.collect(Range, "range/range_0")
    graph.start(
        FirmwareBridgeNode,
        port=emulated.address,
        stamped_cmd_vel=kind is TwistStamped,
        wheel_radius=0.1,
        track=0.4,
        initial_x=3.0,
    )
    graph.until(lambda: odom)
    assert odom[0].pose.pose.position.x == 3.0
    drive(graph, kind, linear=0.5, angular=0.5)
    # (0.5 -/+ 0.5 * 0.4 / 2) / 0.1 = 4 and 6 rad/s
    graph.until(lambda: speeds(emulated) == pytest.approx([4.0, 6.0], rel=0.05))
    graph.until(lambda: odom[-1].pose.pose.position.x > 3.3)
    twist = odom[-1].twist.twist
    assert twist.linear.x == pytest.approx(0.5, rel=0.1)
    assert twist.angular.z == pytest.approx(0.5, rel=0.3)
    # the odometry is that of the wheels: (left + right) / 2 * 0.1 of path, (right - left) / 0.4 * 0.1 of turn
    left, right = (wheel["angle"] for wheel in emulated.state()["wheels"])
    orientation = odom[-1].pose.pose.orientation
    yaw = 2 * math.atan2(orientation.z, orientation.w)
    assert yaw == pytest.approx((right - left) * 0.25, abs=0.1)
    assert joints[-1].name == ["left_wheel", "right_wheel"]
    assert joints[-1].position[1] > joints[-1].position[0] > 0
    graph.until(lambda: battery and ranges)
    assert battery[-1].voltage == pytest.approx(12.0, abs=0.5)
    assert ranges[-1].range == pytest.approx(2.0, abs=0.05)


def test_firmware_node_stops_when_commands_cease_and_when_it_is_deactivated(graph, emulated):
    node = graph.start(FirmwareBridgeNode, port=emulated.address, stamped_cmd_vel=False, command_timeout=0.1)
    timer = drive(graph, linear=0.6)
    graph.until(lambda: min(speeds(emulated)) > 5)
    timer.cancel()
    graph.until(lambda: max(speeds(emulated)) == 0.0, 3.0)
    timer.reset()
    graph.until(lambda: min(speeds(emulated)) > 5)
    node.trigger_deactivate()
    graph.until(lambda: max(speeds(emulated)) == 0.0, 3.0)
    time.sleep(0.3)
    assert max(speeds(emulated)) == 0.0  # though cmd_vel goes on
    assert "stop" in node.driver.state().faults
    node.trigger_activate()
    graph.until(lambda: min(speeds(emulated)) > 5)


def test_firmware_node_refuses_old_and_impossible_commands(graph, emulated):
    node = graph.start(FirmwareBridgeNode, port=emulated.address)
    graph.until(lambda: node.driver.status().connected)
    publisher = graph.tester.create_publisher(TwistStamped, "cmd_vel", 1)
    graph.until(lambda: publisher.get_subscription_count())
    old = TwistStamped()
    old.header.stamp.sec = 1
    old.twist.linear.x = 1.0
    wrong = TwistStamped()
    wrong.header.stamp = graph.tester.get_clock().now().to_msg()
    wrong.twist.linear.x = math.nan
    publisher.publish(old)
    graph.until(lambda: node.refused["cmd_vel"] == 1)
    publisher.publish(wrong)
    graph.until(lambda: node.refused["cmd_vel"] == 2)
    time.sleep(0.2)
    assert speeds(emulated) == [0.0, 0.0]


def test_firmware_node_says_what_is_missing_and_goes_on_trying_until_it_is_there(graph, emulated, tmp_path):
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics")

    def levels():
        return [s.level for d in diagnostics for s in d.status if s.name == "firmware_bridge_node"]

    emulated.command("unplug")
    node = graph.start(FirmwareBridgeNode, port=emulated.address, stamped_cmd_vel=False)
    graph.until(lambda: "there is no such port" in node.driver.status().error)
    graph.until(lambda: DiagnosticStatus.ERROR in levels())
    emulated.command("plug")
    drive(graph, linear=0.6)
    graph.until(lambda: min(speeds(emulated)) > 5)
    graph.until(lambda: DiagnosticStatus.OK in levels())
    emulated.command("unplug")
    graph.until(lambda: max(speeds(emulated)) == 0.0, 3.0)
    emulated.command("plug")
    graph.until(lambda: min(speeds(emulated)) > 5)
    assert node.driver.status().connections == 2


def test_firmware_node_tells_a_fault_and_clears_it_when_asked(graph, emulated):
    node = graph.start(FirmwareBridgeNode, port=emulated.address, stamped_cmd_vel=False)
    drive(graph, linear=0.6)
    graph.until(lambda: min(speeds(emulated)) > 5)
    emulated.command("bumper 1")
    graph.until(lambda: "motors off: bumper" in node.report()[1])
    graph.until(lambda: max(speeds(emulated)) == 0.0)
    emulated.command("bumper 0")
    time.sleep(0.2)
    assert max(speeds(emulated)) == 0.0
    clear_faults(graph)
    graph.until(lambda: min(speeds(emulated)) > 5)


def test_firmware_node_loop_of_the_reflex_sends_to_the_firmware_itself(graph, emulated):
    direct = DirectPath()
    reflex = graph.start(ReflexNode, options={"direct": direct}, priority=0)
    bridge = graph.start(
        FirmwareBridgeNode, options={"direct": direct}, port=emulated.address, command_rate=200.0, direct=True
    )
    # without a scan the reflex commands zero, and that is what leaves, at the rate asked for
    sent = lambda: direct.report()["frames sent by the loop"]  # noqa: E731
    graph.until(lambda: sent() > 20)
    begun, before = time.monotonic(), sent()
    time.sleep(1.0)
    rate = (sent() - before) / (time.monotonic() - begun)
    assert 100 < rate < 220
    graph.until(lambda: bridge.driver.state().motors_on)
    # what the tick commands is what the wheels do
    reflex._loop.stop()
    graph.until(lambda: not bridge.driver.state().motors_on)
    bridge.trigger_deactivate()
    count = sent()
    time.sleep(0.1)
    assert sent() == count


def test_firmware_node_loop_turns_wheels_as_the_command_says(emulated):
    import numpy as np

    from firmware_bridge.link import FirmwareLink, LinkConfig
    from hybrid_control.navigation.reflex import Reflex
    from hybrid_control.navigation.reflex.gains import GAINS, SETTINGS
    from hybrid_control.realtime.loop import call_ticks

    defaults = {p.name: p.default for p in (*SETTINGS, *GAINS)}
    reflex = Reflex(
        {p.name: defaults[p.name] for p in SETTINGS},
        {p.name: defaults[p.name] for p in GAINS},
        time.monotonic_ns,
    )
    direct = DirectPath()
    values = check_all(FIRMWARE_BRIDGE, {"wheel_radius": 0.1, "track": 0.4})
    with FirmwareLink(LinkConfig(emulated.address)) as link:
        assert link.wait_connected(5.0)
        direct.connect(link.port, make_kinematics(values), 18.0, 200.0)
        tick, context = direct.wrap(reflex)
        direct.enable(True)
        assert call_ticks(tick, context.ctypes.data, time.monotonic_ns(), 1_000_000, 1) == 1
        assert direct.report()["frames sent by the loop"] == 1
        assert not np.any(context["speeds"])  # the reflex is not active
        # stands in for the reflex's tick: one that leaves the command as it is
        context["tick"] = _idle_tick().address
        reflex.context["command"]["linear_x"], reflex.context["command"]["angular_z"] = 0.5, 0.5
        end = time.monotonic() + 5.0
        while time.monotonic() < end and speeds(emulated) != pytest.approx([4.0, 6.0], rel=0.05):
            call_ticks(tick, context.ctypes.data, time.monotonic_ns(), 1_000_000, 1)
            time.sleep(0.005)
        assert speeds(emulated) == pytest.approx([4.0, 6.0], rel=0.05)
        # a tick that takes longer than a command may be old sends zero, not what it found out before
        context["tick"] = _idle_tick(120_000_000).address
        call_ticks(tick, context.ctypes.data, time.monotonic_ns(), 1_000_000, 1)
        assert not np.any(context["speeds"])
        context["tick"] = _idle_tick().address
        call_ticks(tick, context.ctypes.data, time.monotonic_ns() + 5_000_000, 1_000_000, 1)
        assert np.any(context["speeds"])
        direct.enable(False)


def _idle_tick(duration_ns=0):
    from numba import cfunc

    from hybrid_control.realtime import monotonic_ns, sleep_until

    @cfunc("int64(voidptr, int64)")
    def tick(context, now_ns):
        if duration_ns:
            sleep_until(monotonic_ns() + duration_ns)
        return 1

    return tick


def test_firmware_node_refuses_the_direct_path_without_a_reflex_in_its_process(graph, emulated):
    node = FirmwareBridgeNode({"port": emulated.address, "direct": True}, context=graph.context)
    try:
        assert not node.start()
    finally:
        node.end()


def test_firmware_node_simulated_wheels_turn_as_the_firmware_s_do(graph, built_firmware, tmp_path):
    import socket

    from hybrid_control_msgs.msg import SimState

    from firmware_bridge.firmware.emulator import Emulator

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    states = graph.collect(SimState, "sim/state")
    with Emulator(*built_firmware, link=tmp_path / "port", wheels=port) as emulator:
        graph.start(FirmwareBridgeNode, port=emulator.address, stamped_cmd_vel=False)
        sim = graph.start(SimNode, world="open", camera=False, wheel_port=port)
        timer = drive(graph, linear=0.5)
        graph.until(lambda: states and states[-1].linear_x == pytest.approx(0.5, abs=0.03))
        timer.cancel()
        graph.until(lambda: states[-1].linear_x == pytest.approx(0.0, abs=0.01))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wrong:
            while not sim.refused["wheel speeds"]:
                wrong.sendto(struct.pack("=2d", math.nan, 1.0), ("127.0.0.1", port))
                wrong.sendto(b"abc", ("127.0.0.1", port))
                time.sleep(0.002)


@pytest.mark.parametrize(
    ("kind", "driver", "more"),
    [
        (ArduinoDevice, "ros_arduino_bridge", {"ticks_per_rev": 1320}),
        (OdriveDevice, "odrive", {}),
        (VescDevice, "vesc", {"pole_pairs": 7}),
        (ServoBus, "dynamixel", {}),
    ],
)
def test_firmware_node_drives_every_controller_and_stops_it_when_commands_cease(graph, kind, driver, more):
    if driver == "dynamixel":
        pytest.importorskip("dynamixel_sdk", reason="needs PyPI dynamixel-sdk")
    odom = graph.collect(Odometry, "odom")
    device = kind()
    device.slack = 20.0  # its own stop is another test's business
    mirrored = 1 if kind is ArduinoDevice else -1
    try:
        node = graph.start(
            FirmwareBridgeNode, driver=driver, port=device.address, wheel_radius=0.1, track=0.4, **more
        )
        timer = drive(graph, TwistStamped, linear=0.3, angular=0.5)
        # (0.3 -/+ 0.5 * 0.4 / 2) / 0.1 = 2 and 4 rad/s
        graph.until(lambda: device.speeds == pytest.approx([2.0, mirrored * 4.0], abs=0.08))
        graph.until(lambda: odom and odom[-1].pose.pose.position.x > 0.1)
        graph.until(lambda: odom[-1].twist.twist.linear.x == pytest.approx(0.3, abs=0.05))
        graph.until(lambda: odom[-1].pose.pose.position.y > 0.0)
        timer.cancel()
        graph.until(lambda: device.speeds == [0.0, 0.0])
        graph.until(lambda: node.driver.status().connected)
    finally:
        for made in list(graph._nodes):
            graph.remove(made)
        device.close()


def test_firmware_node_says_in_one_line_what_is_wrong_at_its_port_and_goes_on_trying(
    graph, tmp_path, monkeypatch
):
    monkeypatch.setattr(wheel_drivers, "LinkConfig", functools.partial(LinkConfig, answer=0.4))
    said = graph.collect(Log, "/rosout")
    port = tmp_path / "port"

    def mute(device, frame, message):
        pass

    def chatter(device, frame, message):
        os.write(device.master, b"$GPGGA,123519,4807.038,N\r\n")

    def newer(device, frame, message):
        device.welcome(message, version=2)

    def late(device, frame, message):
        if isinstance(message, Hello):
            time.sleep(0.3)
            device.welcome(message)

    (tmp_path / "file").write_text("")
    devices = [FakeDevice(how) for how in (mute, mute, chatter, newer, late)]
    busy = open_transport(devices[0].address)
    try:
        node = graph.start(FirmwareBridgeNode, port=str(port))

        def lines():
            return [m.msg for m in said if "no wheels" in m.msg]

        for target, expected in (
            (None, "there is no such port"),
            (tmp_path / "file", "is no serial port"),
            (devices[0].address, "the port is busy: another program has it open"),
            (devices[1].address, "no answer within 0.4 s"),
            (devices[2].address, "no frame of this protocol; another device, or not 500000 baud"),
            (devices[3].address, "firmware speaks version 2 of the protocol, this side version 1"),
        ):
            if target is not None:
                point(port, target)
            graph.until(lambda expected=expected: any(expected in line for line in lines()), what=expected)
            assert node.active
        point(port, devices[4].address)
        graph.until(lambda: node.driver.status().connected)
        assert all(str(port) in line and "\n" not in line for line in lines())
        assert len(lines()) == 6  # one for each, though it tried many times
    finally:
        for made in list(graph._nodes):
            graph.remove(made)
        busy.close()
        for device in devices:
            device.close()


def point(port, target):
    """The port's name now leads to another device, in one step."""
    new = port.with_suffix(".new")
    new.symlink_to(target)
    new.replace(port)


def made(**values):
    return make_driver(check_all(FIRMWARE_BRIDGE, values))


def test_firmware_node_makes_the_driver_and_the_base_that_the_parameters_name():
    from firmware_bridge.adapters.arduino_text import ArduinoText
    from firmware_bridge.adapters.odrive import Odrive
    from firmware_bridge.adapters.vesc import Vesc

    odrive = made(driver="odrive", motors="1, 0", directions="-1,1", gear=8.0)
    assert isinstance(odrive, Odrive)
    assert (odrive.odrive.axes, odrive.odrive.directions, odrive.odrive.gear) == ((1, 0), (-1, 1), 8.0)
    vesc = made(driver="vesc", motors="local, 7", baud=230400)
    assert isinstance(vesc, Vesc)
    assert (vesc.vesc.can_ids, vesc.vesc.baud) == ((None, 7), 230400)
    arduino = made(driver="ros_arduino_bridge", full_speed=25.0)
    assert isinstance(arduino, ArduinoText)
    assert arduino.arduino.full_speed == 25.0
    assert made(driver="ros_arduino_bridge").arduino.full_speed is None
    for kind, wheels in (("differential", 2), ("skid", 4), ("mecanum", 4), ("ackermann", 2)):
        base = make_kinematics(check_all(FIRMWARE_BRIDGE, {"kinematics": kind, "wheels_per_side": 2}))
        assert len(base.wheels) == wheels


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"port": ""}, "port: is empty"),
        ({"driver": "odrive", "motors": "0, local"}, "'local' is for the motors of VESCs"),
        ({"driver": "odrive", "motors": "left"}, "motors: 'left'; expected whole numbers"),
        ({"driver": "odrive", "motors": "0, 1, 2"}, "must be as many"),
        ({"driver": "odrive", "directions": "2, 1"}, r"directions \+1 or -1"),
    ],
)
def test_firmware_node_refuses_impossible_drivers_in_one_line(values, said):
    with pytest.raises(ValueError, match=said) as error:
        made(**values)
    assert "\n" not in str(error.value)
    assert isinstance(error.value, (ParameterError, ValueError))


@pytest.mark.parametrize("direct", [False, True])
def test_firmware_node_program_with_reflex_joins_the_two_where_asked(direct, monkeypatch):
    import rclpy
    from hybrid_control_ros import reflex_wheels
    from hybrid_control_ros.run.processes import private_domain

    with private_domain() as domain:
        monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        without_shared_memory(os.environ)
        rclpy.init(domain_id=domain)
        try:
            nodes = reflex_wheels.build(
                {"reflex_node": {}, "firmware_bridge_node": {"direct": direct, "port": "/nowhere"}}
            )
            reflex, bridge = nodes
            assert bridge._direct is reflex._direct
            assert (bridge._direct is not None) is direct
            assert bridge.start()  # a port that is not there is no reason to fail
            for node in nodes:
                node.end()
        finally:
            rclpy.shutdown()

"""The bridge node against the firmware on the emulated chip."""

from __future__ import annotations

import math
import struct
import time

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Twist, TwistStamped
from hybrid_control_ros.direct import DirectPath
from hybrid_control_ros.firmware_bridge import FirmwareBridgeNode
from hybrid_control_ros.reflex import ReflexNode
from hybrid_control_ros.simulator import SimNode
from hybrid_control_ros.wheel_drivers import make_driver, make_kinematics
from nav_msgs.msg import Odometry
from sensor_msgs.msg import BatteryState, JointState, Range

from hybrid_control.node_parameters import FIRMWARE_BRIDGE
from hybrid_control.parameters import ParameterError, check_all


def speeds(emulator):
    return [wheel["speed"] for wheel in emulator.state()["wheels"]]


def drive(bench, kind=Twist, linear=0.0, angular=0.0):
    """A cmd_vel that goes on until its timer is cancelled."""

    def message():
        made = kind()
        twist = made.twist if kind is TwistStamped else made
        if kind is TwistStamped:
            made.header.stamp = bench.tester.get_clock().now().to_msg()
        twist.linear.x, twist.angular.z = linear, angular
        return made

    return bench.repeat(bench.tester.create_publisher(kind, "cmd_vel", 1), message)


@pytest.mark.parametrize("kind", [Twist, TwistStamped])
def test_firmware_node_turns_wheels_by_cmd_vel_and_tells_what_they_do(bench, emulated, kind):
    odom, joints = bench.collect(Odometry, "odom"), bench.collect(JointState, "joint_states")
    battery, ranges = bench.collect(BatteryState, "battery_state"), bench.collect(Range, "range/range_0")
    bench.start(
        FirmwareBridgeNode,
        port=emulated.address,
        stamped_cmd_vel=kind is TwistStamped,
        wheel_radius=0.1,
        track=0.4,
        initial_x=3.0,
    )
    bench.until(lambda: odom)
    assert odom[0].pose.pose.position.x == 3.0
    drive(bench, kind, linear=0.5, angular=0.5)
    # (0.5 -/+ 0.5 * 0.4 / 2) / 0.1 = 4 and 6 rad/s
    bench.until(lambda: speeds(emulated) == pytest.approx([4.0, 6.0], rel=0.05))
    bench.until(lambda: odom[-1].pose.pose.position.x > 3.3)
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
    bench.until(lambda: battery and ranges)
    assert battery[-1].voltage == pytest.approx(12.0, abs=0.5)
    assert ranges[-1].range == pytest.approx(2.0, abs=0.05)


def test_firmware_node_stops_when_commands_cease_and_when_it_is_deactivated(bench, emulated):
    node = bench.start(FirmwareBridgeNode, port=emulated.address, stamped_cmd_vel=False, command_timeout=0.1)
    timer = drive(bench, linear=0.6)
    bench.until(lambda: min(speeds(emulated)) > 5)
    timer.cancel()
    bench.until(lambda: max(speeds(emulated)) == 0.0, 3.0)
    timer.reset()
    bench.until(lambda: min(speeds(emulated)) > 5)
    node.trigger_deactivate()
    bench.until(lambda: max(speeds(emulated)) == 0.0, 3.0)
    time.sleep(0.3)
    assert max(speeds(emulated)) == 0.0  # though cmd_vel goes on
    assert "stop" in node.driver.state().faults
    node.trigger_activate()
    bench.until(lambda: min(speeds(emulated)) > 5)


def test_firmware_node_refuses_old_and_impossible_commands(bench, emulated):
    node = bench.start(FirmwareBridgeNode, port=emulated.address)
    bench.until(lambda: node.driver.status().connected)
    publisher = bench.tester.create_publisher(TwistStamped, "cmd_vel", 1)
    bench.until(lambda: publisher.get_subscription_count())
    old = TwistStamped()
    old.header.stamp.sec = 1
    old.twist.linear.x = 1.0
    wrong = TwistStamped()
    wrong.header.stamp = bench.tester.get_clock().now().to_msg()
    wrong.twist.linear.x = math.nan
    publisher.publish(old)
    bench.until(lambda: node.refused["cmd_vel"] == 1)
    publisher.publish(wrong)
    bench.until(lambda: node.refused["cmd_vel"] == 2)
    time.sleep(0.2)
    assert speeds(emulated) == [0.0, 0.0]


def test_firmware_node_says_what_is_missing_and_goes_on_trying_until_it_is_there(bench, emulated, tmp_path):
    diagnostics = bench.collect(DiagnosticArray, "/diagnostics")

    def levels():
        return [s.level for d in diagnostics for s in d.status if s.name == "firmware_bridge_node"]

    emulated.command("unplug")
    node = bench.start(FirmwareBridgeNode, port=emulated.address, stamped_cmd_vel=False)
    bench.until(lambda: "there is no such port" in node.driver.status().error)
    bench.until(lambda: DiagnosticStatus.ERROR in levels())
    emulated.command("plug")
    drive(bench, linear=0.6)
    bench.until(lambda: min(speeds(emulated)) > 5)
    bench.until(lambda: DiagnosticStatus.OK in levels())
    emulated.command("unplug")
    bench.until(lambda: max(speeds(emulated)) == 0.0, 3.0)
    emulated.command("plug")
    bench.until(lambda: min(speeds(emulated)) > 5)
    assert node.driver.status().connections == 2


def test_firmware_node_tells_a_fault_and_clears_it_when_asked(bench, emulated):
    from std_srvs.srv import Trigger

    node = bench.start(FirmwareBridgeNode, port=emulated.address, stamped_cmd_vel=False)
    drive(bench, linear=0.6)
    bench.until(lambda: min(speeds(emulated)) > 5)
    emulated.command("bumper 1")
    bench.until(lambda: "motors off: bumper" in node.report()[1])
    bench.until(lambda: max(speeds(emulated)) == 0.0)
    emulated.command("bumper 0")
    time.sleep(0.2)
    assert max(speeds(emulated)) == 0.0
    client = bench.tester.create_client(Trigger, "firmware_bridge_node/clear_faults")
    bench.until(client.service_is_ready)
    time.sleep(0.2)
    answer = client.call_async(Trigger.Request())
    bench.until(answer.done)
    assert answer.result().success
    bench.until(lambda: min(speeds(emulated)) > 5)


def test_firmware_node_loop_of_the_reflex_sends_to_the_firmware_itself(bench, emulated):
    direct = DirectPath()
    reflex = bench.start(ReflexNode, {"direct": direct}, priority=0)
    bridge = bench.start(
        FirmwareBridgeNode, {"direct": direct}, port=emulated.address, command_rate=200.0, direct=True
    )
    # without a scan the reflex commands zero, and that is what leaves, at the rate asked for
    sent = lambda: direct.report()["frames sent by the loop"]  # noqa: E731
    bench.until(lambda: sent() > 20)
    begun, before = time.monotonic(), sent()
    time.sleep(1.0)
    rate = (sent() - before) / (time.monotonic() - begun)
    assert 100 < rate < 220
    bench.until(lambda: bridge.driver.state().motors_on)
    # what the tick commands is what the wheels do
    reflex._loop.stop()
    bench.until(lambda: not bridge.driver.state().motors_on)
    bridge.trigger_deactivate()
    count = sent()
    time.sleep(0.1)
    assert sent() == count


def test_firmware_node_loop_turns_wheels_as_the_command_says(emulated):
    import numpy as np

    from firmware_bridge.link import Link, LinkConfig
    from hybrid_control.realtime.loop import call_ticks
    from hybrid_control.reflex import Reflex
    from hybrid_control.reflex.gains import GAINS, SETTINGS

    defaults = {p.name: p.default for p in (*SETTINGS, *GAINS)}
    reflex = Reflex(
        {p.name: defaults[p.name] for p in SETTINGS},
        {p.name: defaults[p.name] for p in GAINS},
        time.monotonic_ns,
    )
    direct = DirectPath()
    values = check_all(FIRMWARE_BRIDGE, {"wheel_radius": 0.1, "track": 0.4})
    with Link(LinkConfig(emulated.address)) as link:
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
        direct.enable(False)


def _idle_tick():
    from numba import cfunc

    @cfunc("int64(voidptr, int64)")
    def tick(context, now_ns):
        return 1

    return tick


def test_firmware_node_refuses_the_direct_path_without_a_reflex_in_its_process(bench, emulated):
    node = FirmwareBridgeNode({"port": emulated.address, "direct": True}, context=bench.context)
    try:
        assert not node.start()
    finally:
        node.end()


def test_firmware_node_simulated_wheels_turn_as_the_firmware_s_do(bench, built_firmware, tmp_path):
    import socket

    from hybrid_control_msgs.msg import SimState

    from firmware_bridge.firmware.emulator import Emulator

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    states = bench.collect(SimState, "sim/state")
    with Emulator(*built_firmware, link=tmp_path / "port", wheels=port) as emulator:
        bench.start(FirmwareBridgeNode, port=emulator.address, stamped_cmd_vel=False)
        sim = bench.start(SimNode, world="open", camera=False, wheel_port=port)
        timer = drive(bench, linear=0.5)
        bench.until(lambda: states and states[-1].linear_x == pytest.approx(0.5, abs=0.03))
        timer.cancel()
        bench.until(lambda: states[-1].linear_x == pytest.approx(0.0, abs=0.01))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wrong:
            while not sim.refused["wheel speeds"]:
                wrong.sendto(struct.pack("=2d", math.nan, 1.0), ("127.0.0.1", port))
                wrong.sendto(b"abc", ("127.0.0.1", port))
                time.sleep(0.002)


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
    assert isinstance(made(driver="ros_arduino_bridge"), ArduinoText)
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

"""What one part that is out does to the whole base, and parameters that would have no effect."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import TwistStamped
from hybrid_control_ros import convert
from hybrid_control_ros.firmware_bridge import FirmwareBridgeNode
from hybrid_control_ros.wheel_drivers import make_driver
from rcl_interfaces.msg import Log
from std_srvs.srv import Trigger
from wheel_devices import ArduinoDevice, OdriveDevice

from hybrid_control.bringup.node_parameters import FIRMWARE_BRIDGE
from hybrid_control.parameters import ParameterError, check_all


class DeadWheel(ArduinoDevice):
    dead = False

    def answer(self, name: str, *words: str) -> str:
        said = super().answer(name, *words)
        if self.dead:
            self.speeds[1] = 0.0
        return said


def axis_out(device):
    device.armed[0], device.speeds[0] = False, 0.0


def wheel_out(device):
    device.dead = True


@pytest.mark.parametrize(
    ("kind", "driver", "breaks", "reason"),
    [
        (OdriveDevice, "odrive", axis_out, "motors off: axis0: not in closed loop (state 1)"),
        (DeadWheel, "ros_arduino_bridge", wheel_out, "motors off: wheel 1 does not follow: commanded 4.00 rad/s"),
    ],
)
def test_firmware_node_stops_the_base_where_one_wheel_is_out_says_why_and_goes_on_when_cleared(
    graph, kind, driver, breaks, reason
):
    diagnostics, said = graph.collect(DiagnosticArray, "/diagnostics"), graph.collect(Log, "/rosout")
    device = kind()
    device.slack = 100.0  # its own stop is another test's business

    def message():
        made = TwistStamped()
        made.header.stamp = graph.tester.get_clock().now().to_msg()
        made.twist.linear.x = 0.4
        return made

    def told(text):
        return any(
            s.level == DiagnosticStatus.ERROR and text in s.message for d in diagnostics[-3:] for s in d.status
        )

    try:
        graph.start(FirmwareBridgeNode, driver=driver, port=device.address, wheel_radius=0.1)
        graph.repeat(graph.publisher(TwistStamped, "cmd_vel", 1), message)
        graph.until(lambda: min(map(abs, device.speeds)) > 3.5)
        breaks(device)
        graph.until(lambda: device.speeds == [0.0, 0.0], 2.0)
        graph.until(lambda: told(reason))
        graph.until(lambda: any(reason in line.msg for line in said))
        time.sleep(0.5)
        assert device.speeds == [0.0, 0.0]  # though commands go on
        device.dead = False
        assert graph.call(Trigger, "firmware_bridge_node/clear_faults", Trigger.Request()).success
        graph.until(lambda: min(map(abs, device.speeds)) > 3.5)
    finally:
        for made in list(graph._nodes):
            graph.remove(made)
        device.close()


@pytest.mark.parametrize("late", [0.0, 1.5])
def test_firmware_node_stops_when_the_newest_command_is_old_by_its_stamp_not_by_its_arrival(graph, late):
    device = ArduinoDevice()
    try:
        node = graph.start(
            FirmwareBridgeNode, driver="ros_arduino_bridge", port=device.address, wheel_radius=0.1, command_timeout=2.0
        )
        publisher = graph.publisher(TwistStamped, "cmd_vel", 1)
        graph.until(lambda: node.driver.status().connected and publisher.get_subscription_count())
        message = TwistStamped()
        message.header.stamp = convert.to_stamp(time.time_ns() - round(late * 1e9))
        message.twist.linear.x = 0.4
        begun = time.monotonic()
        publisher.publish(message)
        graph.until(lambda: min(map(abs, device.speeds)) > 2.0)
        graph.until(lambda: device.speeds == [0.0, 0.0])
        lasted = time.monotonic() - begun
        assert lasted < 1.5 if late else lasted > 2.0
    finally:
        for made in list(graph._nodes):
            graph.remove(made)
        device.close()


def test_firmware_node_refuses_a_command_of_another_clock_and_takes_one_without_a_stamp(graph):
    device = ArduinoDevice()
    try:
        node = graph.start(FirmwareBridgeNode, driver="ros_arduino_bridge", port=device.address, wheel_radius=0.1)
        publisher = graph.publisher(TwistStamped, "cmd_vel", 1)
        graph.until(lambda: node.driver.status().connected and publisher.get_subscription_count())
        message = TwistStamped()
        message.twist.linear.x = 0.4
        for ahead, why in ((1.0, "s in the future"), (-1.0, "s old, command_timeout is 0.25 s")):
            message.header.stamp = convert.to_stamp(time.time_ns() + round(ahead * 1e9))
            publisher.publish(message)
            graph.until(lambda w=why: w in node.refusal("cmd_vel"), what=why)
        assert device.speeds == [0.0, 0.0]
        message.header.stamp = convert.to_stamp(0)
        graph.repeat(publisher, lambda: message)
        graph.until(lambda: min(map(abs, device.speeds)) > 3.5)
    finally:
        for made in list(graph._nodes):
            graph.remove(made)
        device.close()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"directions": "1, -1"}, "directions: '1, -1' would have no effect with driver 'link'"),
        ({"motors": "1, 2"}, "motors: '1, 2' would have no effect with driver 'link'"),
        ({"driver": "ros_arduino_bridge", "motors": "1, 2"}, "motors: '1, 2' would have no effect"),
        ({"driver": "ros_arduino_bridge", "gear": 2.0}, "leave it at 1.0, or set driver to odrive or vesc"),
        ({"driver": "dynamixel", "gear": 2.0}, "gear: 2.0 would have no effect"),
        ({"driver": "odrive", "pole_pairs": 9}, "pole_pairs: 9 would have no effect"),
        ({"driver": "vesc", "ticks_per_rev": 99}, "ticks_per_rev: 99 would have no effect"),
        ({"driver": "vesc", "full_speed": 9.0}, "full_speed: 9.0 would have no effect"),
        ({"driver": "vesc", "set_limits": True}, "set_limits: True would have no effect"),
        ({"driver": "vesc", "set_gains": True}, "set_gains: True would have no effect"),
        ({"driver": "odrive", "range_max": 3.0}, "range_max: 3.0 would have no effect"),
        ({"wheel_kp": 0.2}, "wheel_kp: 0.2 would have no effect with set_gains 'false'"),
        ({"min_battery": 7.0}, "min_battery: 7.0 would have no effect with set_limits 'false'"),
        ({"wheelbase": 0.5}, "wheelbase: 0.5 would have no effect with kinematics 'differential'"),
        ({"wheels_per_side": 2}, "wheels_per_side: 2 would have no effect"),
        ({"kinematics": "mecanum", "max_steering": 0.3}, "max_steering: 0.3 would have no effect"),
        ({"port": "tcp://h:1", "baud": 9600}, "baud: 9600 would have no effect at tcp://h:1"),
        ({"driver": "odrive", "kinematics": "mecanum"}, "driver 'odrive' has 2 of them, kinematics 'mecanum' 4 wheels"),
        ({"driver": "ros_arduino_bridge", "directions": "1"}, "must be as many"),
    ],
)
def test_firmware_node_refuses_parameters_that_would_have_no_effect_in_one_line(values, said):
    with pytest.raises(ValueError, match=r"effect|motors|as many") as error:
        make_driver(check_all(FIRMWARE_BRIDGE, values))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_firmware_node_parameters_are_obeyed_by_a_driver_or_refused():
    """Every parameter, changed from its default, is refused or reaches what is made of it."""
    drivers = next(p for p in FIRMWARE_BRIDGE if p.name == "driver").choices
    nodes_own = {
        "autostart", "driver", "port", "kinematics", "wheel_radius", "track", "max_speed", "max_yaw_rate",
        "acceleration", "yaw_acceleration", "grip", "max_wheel_speed", "max_slip", "command_timeout", "command_rate",
        "publish_rate", "stamped_cmd_vel", "odom_frame", "base_frame", "initial_x", "initial_y", "initial_yaw", "baud",
    }  # fmt: skip
    for parameter in FIRMWARE_BRIDGE:
        if parameter.name in nodes_own:
            continue
        changed = {"motors": "1, 0", "directions": "-1, 1"}.get(parameter.name)
        if changed is None:
            was = parameter.default
            changed = not was if isinstance(was, bool) else type(was)(min(was * 1.5 + 1, parameter.high))
        outcomes = set()
        for driver in drivers:
            try:
                outcomes.add(bool(make_driver(check_all(FIRMWARE_BRIDGE, {"driver": driver, parameter.name: changed}))))
            except (ParameterError, ValueError) as error:
                outcomes.add("no effect" in str(error) or "dynamixel" in str(error))
        assert outcomes == {True}, parameter.name


def test_firmware_node_gains_that_nothing_would_take_are_refused_while_it_runs(graph):
    graph.start(FirmwareBridgeNode, port="/nowhere")
    answer = graph.set("firmware_bridge_node", wheel_kp=0.3)
    assert not answer.successful
    assert "wheel_kp: 0.3 would have no effect with set_gains 'false'" in answer.reason


def test_a_ros_arduino_bridge_whose_motor_is_mounted_mirrored_is_driven_by_its_directions():
    device = ArduinoDevice()
    try:
        values = {"driver": "ros_arduino_bridge", "port": device.address, "directions": "1, -1"}
        with make_driver(check_all(FIRMWARE_BRIDGE, values)) as driver:
            assert driver.wait_connected(5.0)
            end = time.monotonic() + 5.0
            while time.monotonic() < end and not (driver.state() and driver.state().positions[1] > 1.0):
                driver.send((3.0, 3.0))
                time.sleep(0.01)
            assert device.speeds[0] == -device.speeds[1] > 2.5
            assert min(driver.state().positions) > 0.5
    finally:
        device.close()

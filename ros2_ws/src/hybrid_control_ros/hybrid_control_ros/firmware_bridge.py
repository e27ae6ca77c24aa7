"""The bridge node: cmd_vel to wheel speeds for a motor controller, and its readings back as odometry and sensors."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import Twist as TwistMessage
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry as OdometryMessage
from sensor_msgs.msg import BatteryState, JointState, Range
from std_srvs.srv import Trigger

from firmware_bridge.drive import Drive
from firmware_bridge.following import Following
from firmware_bridge.kinematics import BodyVelocity, slip
from firmware_bridge.link import FirmwareLink
from firmware_bridge.odometry import WheelOdometry
from firmware_bridge.wheels import WheelDriver, WheelState
from hybrid_control.bringup.node_parameters import FIRMWARE_BRIDGE
from hybrid_control.parameters import ParameterError, Value
from hybrid_control.signals import Odometry, Pose, Twist
from hybrid_control_ros import convert, qos
from hybrid_control_ros.node import ManagedNode
from hybrid_control_ros.wheel_drivers import (
    check_obeyed,
    make_driver,
    make_gains,
    make_kinematics,
    make_limits,
)

if TYPE_CHECKING:
    from hybrid_control_ros.direct import DirectPath

# the drivers' own lines are told by this node
logging.getLogger("firmware_bridge").addHandler(logging.NullHandler())

_SAY_AGAIN = 10.0  # s after which a fault that stays is told again
_COMMANDED_WITHIN = 0.08  # s that a command is good for in the firmware, a little less
_FRESH_NS = 500_000_000  # age of a reading beyond which nothing is told from it


class FirmwareBridgeNode(ManagedNode):
    """Hands commands to a WheelDriver, which keeps its connection by itself, and publishes what it reads.

    The driver runs from configure to cleanup, so readings come before the node is active; wheels turn only while it is.
    direct: given where a reflex in the same process sends the wheel speeds; cmd_vel then does not count.
    """

    kind = "firmware_bridge_node"

    def __init__(
        self,
        values: Mapping[str, Value] | None = None,
        direct: DirectPath | None = None,
        **options: object,
    ) -> None:
        super().__init__(values, **options)
        self._direct = direct
        self.driver: WheelDriver | None = None
        self._clear_due = False
        self._error: tuple[str, float] = ("", 0.0)
        self._seen: WheelState | None = None
        self._astray = ""  # why the wheels are stopped until they are cleared
        self._told_faults = ""

    # -- lifecycle -----------------------------------------------------------------------------------------------

    def configure(self) -> None:
        values = self.values(FIRMWARE_BRIDGE)
        kinematics, max_wheel_speed = make_kinematics(values), self.value("max_wheel_speed")
        self._drive = Drive(kinematics, make_limits(values), max_wheel_speed, self.value("command_timeout"))
        start = Pose(self.value("initial_x"), self.value("initial_y"), self.value("initial_yaw"))
        # twice the limit: what is faster was no motion but a counter that began anew
        self._odometry = WheelOdometry(kinematics, 2 * max_wheel_speed, start)
        self._seen = None
        self._error = ("", 0.0)
        slowest = self.value("wheel_acceleration") if self.value("set_limits") else math.inf
        self._following = Following(acceleration=slowest)
        self._astray = ""
        self._odom_topic = self.talk(OdometryMessage, "odom", qos.SENSOR)
        self._joints_topic = self.talk(JointState, "joint_states", qos.STREAM)
        self._battery_topic = self.talk(BatteryState, "battery_state", qos.STREAM)
        self._steering_topic = self.talk(JointState, "steering_command", qos.COMMAND)
        self._range_topics: list[Any] = []
        self.take(self.twist_kind, "cmd_vel", self._put_command, qos.COMMAND)
        self.serve("~/clear_faults", self._on_clear)
        if self.value("direct") and self._direct is None:
            raise ParameterError("direct: needs the reflex in the same process: run reflex_wheels_node")
        self.driver = make_driver(values)
        if self._direct is not None:
            if not isinstance(self.driver, FirmwareLink):
                raise ParameterError("direct: needs driver 'link'")
            self._direct.connect(self.driver.port, kinematics, max_wheel_speed, self.value("command_rate"))
        self.driver.start()
        self.steadily(1.0 / self.value("command_rate"), self._send)
        self.steadily(1.0 / self.value("publish_rate"), self._publish)
        self.steadily(1.0, self._publish_battery)
        self.steadily(0.2, self._tell)

    def activate(self) -> None:
        self._drive.reset()
        self._clear_due = True  # a stop that an earlier process left, once there is a connection

    def deactivate(self) -> None:
        self._clear_due = False
        if self._direct is not None:
            self._direct.enable(False)
        self.halt()

    def cleanup(self) -> None:
        if self._direct is not None:
            self._direct.enable(False)  # before its port is closed
        driver, self.driver = self.driver, None
        if driver is not None:
            driver.close()

    def halt(self) -> None:
        driver = self.driver
        if driver is not None:
            driver.stop()

    def change(self, changes: Mapping[str, Value]) -> None:
        values = {**self.values(FIRMWARE_BRIDGE), **changes}
        check_obeyed(values, changes)
        if isinstance(self.driver, FirmwareLink) and self.value("set_gains"):
            self.driver.configure(make_gains(values))

    # -- commands ------------------------------------------------------------------------------------------------

    def _put_command(self, message: TwistStamped | TwistMessage) -> None:
        if self._direct is not None:
            return
        twist, age = self.fresh_twist(message)
        self._drive.put(BodyVelocity(twist.linear_x, twist.linear_y, twist.angular_z), time.monotonic(), age)
        self._send()

    def _send(self) -> None:
        """The newest command, within the limits, to the wheels; zero where it is stale."""
        driver = self.driver
        if driver is None or not self.active:
            return
        if self._clear_due:
            if driver.state() is None or not driver.status().connected:
                return
            driver.clear_stop()
            self._clear_due, self._astray = False, ""
            if self._direct is not None:
                self._direct.enable(True)
        if self._direct is not None or self._astray:
            return
        drive = self._drive
        was_stale = drive.stale
        command = drive.step(time.monotonic())
        if drive.stale and not was_stale:
            self.get_logger().warning(f"no cmd_vel for {drive.timeout} s: the wheels are stopped")
        if command is None:
            return
        try:
            sent = driver.send(command.speeds)
        except ValueError as error:
            self.refuse("wheel speeds", error)
            sent = False
        if not sent:
            drive.rest()
        if command.steering:
            message = JointState(name=["front_left_steering", "front_right_steering"])
            message.header.stamp = self.get_clock().now().to_msg()
            message.position = list(command.steering)
            self._steering_topic.publish(message)

    def _on_clear(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Clear latched faults whose cause is gone; nothing moves before the next cmd_vel."""
        if self.driver is None or not self.active:
            response.message = "the node is not active"
        else:
            self._drive.reset()
            self.driver.clear_stop()
            self._astray = ""
            if self._direct is not None:
                self._direct.enable(True)
            response.success = True
        return response

    # -- readings ------------------------------------------------------------------------------------------------

    def _publish(self) -> None:
        state = self.driver.state() if self.driver is not None else None
        if state is None or (self._seen is not None and state.received_ns <= self._seen.received_ns):
            return
        before, self._seen = self._seen, state
        self._watch(state)
        dt = (state.received_ns - before.received_ns) * 1e-9 if before is not None else 1.0
        try:
            pose = self._odometry.update(state.positions, dt)
            velocity = self._drive.kinematics.to_body(state.speeds)
        except ValueError as error:
            self.refuse("wheel readings", error)
            return
        stamp_ns = self.stamp_ns(state.received_ns)
        twist = Twist(stamp_ns, velocity.x, velocity.y, 0.0, velocity.yaw)
        self._odom_topic.publish(
            convert.odometry_message(
                Odometry(stamp_ns, pose, twist), self.value("odom_frame"), self.value("base_frame")
            )
        )
        joints = JointState(name=[f"{wheel}_wheel" for wheel in self._drive.kinematics.wheels])
        joints.header.stamp = convert.to_stamp(stamp_ns)
        joints.position, joints.velocity = list(state.positions), list(state.speeds)
        self._joints_topic.publish(joints)
        self._publish_ranges(stamp_ns, state.ranges)

    def _watch(self, state: WheelState) -> None:
        """Stop where a wheel of the firmware does not do what it is commanded; the adapters see to it themselves."""
        driver = self.driver
        if not isinstance(driver, FirmwareLink) or self._astray:
            return
        commanded = driver.commanded(_COMMANDED_WITHIN) if self.active and state.motors_on else None
        if commanded is None or len(commanded) != len(state.speeds):
            self._following.reset()
            return
        self._astray = self._following.check(commanded, state.speeds, state.received_ns * 1e-9)
        if self._astray:
            if self._direct is not None:
                self._direct.enable(False)
            driver.stop()
            self._drive.rest()

    def _publish_ranges(self, stamp_ns: int, ranges: tuple[float, ...]) -> None:
        while len(self._range_topics) < len(ranges):
            self._range_topics.append(self.talk(Range, f"range/range_{len(self._range_topics)}", qos.SENSOR))
        low, high = self.value("range_min"), self.value("range_max")
        for i, distance in enumerate(ranges):
            message = Range(radiation_type=Range.ULTRASOUND, min_range=low, max_range=high)
            message.header.stamp = convert.to_stamp(stamp_ns)
            message.header.frame_id = f"range_{i}"
            message.field_of_view = self.value("range_field_of_view")
            # REP 117: beyond either end of the range is an infinity
            message.range = -math.inf if distance < low else math.inf if distance > high else distance
            self._range_topics[i].publish(message)

    def _publish_battery(self) -> None:
        state = self._fresh_state()
        if state is None or state.battery is None:
            return
        message = BatteryState(voltage=state.battery, present=True)
        message.header.stamp = convert.to_stamp(self.stamp_ns(state.received_ns))
        for name in ("temperature", "current", "charge", "capacity", "design_capacity", "percentage"):
            setattr(message, name, math.nan)  # not measured
        self._battery_topic.publish(message)

    def _fresh_state(self) -> WheelState | None:
        state = self.driver.state() if self.driver is not None else None
        return state if state is not None and time.monotonic_ns() - state.received_ns < _FRESH_NS else None

    # -- what is told --------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        """One line when the connection breaks, another reason comes up, or it is there again; and the device's log."""
        driver = self.driver
        if driver is None:
            return
        if isinstance(driver, FirmwareLink):
            for line in driver.logs():
                self.get_logger().info(f"firmware: {line.text}")
        state = self._fresh_state()
        faults = ", ".join(self._faults(state)) if state is not None and self.active else ""
        if faults != self._told_faults:
            self._told_faults = faults
            if faults:
                self.get_logger().error(f"motors off: {faults}")
        status = driver.status()
        now = time.monotonic()
        error = "" if status.connected else status.error
        known, since = self._error
        if error in ("connecting", "not started"):
            return
        if error != known or (error and now - since > _SAY_AGAIN):
            self._error = error, now
            if error:
                self.get_logger().warning(f"no wheels: {error}; trying on")
            elif status.connections:
                self.get_logger().info(f"wheels connected at {self.value('port')}")

    def _faults(self, state: WheelState) -> list[str]:
        """What keeps the motors off; not the time-out, by which they are off whenever nothing is commanded."""
        faults = [self._astray] if self._astray else []
        return faults + [f for f in state.faults if f != "timeout"]

    def report(self) -> tuple[bytes, str, dict[str, object]]:
        driver = self.driver
        if driver is None:
            return DiagnosticStatus.OK, "", {}
        status, state = driver.status(), self._fresh_state()
        values: dict[str, object] = {
            "driver": self.value("driver"),
            "port": self.value("port"),
            "connections": status.connections,
            "round trip [ms]": status.round_trip * 1e3,
            "odometry jumps": self._odometry.jumps,
            **status.counts,
        }
        if self._direct is not None:
            values |= self._direct.report()
        if state is not None:
            values |= {"motors on": state.motors_on, "faults": " ".join(state.faults), "bumper": state.bumper}
            if state.battery is not None:
                values["battery [V]"] = state.battery
        if isinstance(driver, FirmwareLink) and driver.counters is not None:
            values |= {f"firmware {k}": v for k, v in dataclasses.asdict(driver.counters).items()}
        if not status.connected or state is None:
            return DiagnosticStatus.ERROR, status.error or "no readings", values
        faults = self._faults(state)
        if faults:
            return DiagnosticStatus.ERROR, f"motors off: {', '.join(faults)}", values
        if status.error:
            return DiagnosticStatus.WARN, status.error, values
        kinematics = self._drive.kinematics
        sliding = slip(kinematics, state.speeds) if len(state.speeds) == len(kinematics.wheels) else 0.0
        values["slip [rad/s]"] = sliding
        if self.value("max_slip") and sliding > self.value("max_slip"):
            return DiagnosticStatus.WARN, f"a wheel slips by {sliding:.2f} rad/s", values
        if self._drive.stale and self.active:
            return DiagnosticStatus.WARN, "stopped: cmd_vel is stale", values
        return DiagnosticStatus.OK, "", values

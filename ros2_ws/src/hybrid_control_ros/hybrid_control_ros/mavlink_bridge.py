"""The drone's bridge node: cmd_vel to velocity setpoints for a flight controller, and its state back.

It never arms by itself and never changes the flight mode by itself: both only by its services.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import Twist as TwistMessage
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry as OdometryMessage
from sensor_msgs.msg import BatteryState, Range
from std_srvs.srv import Trigger

from firmware_bridge.mavlink import Autopilot, AutopilotConfig, AutopilotState, Setpoint
from hybrid_control.parameters import Value
from hybrid_control.signals import Odometry, Pose, Twist
from hybrid_control_ros import convert, qos
from hybrid_control_ros.node import ManagedNode
from hybrid_control_ros.vertical import range_message

# the connection's own lines are told by this node
logging.getLogger("firmware_bridge").addHandler(logging.NullHandler())

_RANGE_MIN, _RANGE_MAX = 0.05, 100.0  # m
_TOGETHER_NS = 500_000_000  # by which the attitude may be older than the position that it goes with


def odometry_of(state: AutopilotState, stamp_ns: int) -> Odometry:
    """The autopilot's position, velocity and yaw as odometry; the twist in the body's level frame.

    ValueError while one of them has not come.
    """
    if state.position is None or state.velocity is None or state.attitude is None:
        raise ValueError("no position, velocity or attitude yet")
    yaw = state.attitude[2]
    c, s = math.cos(yaw), math.sin(yaw)
    vx, vy, vz = state.velocity
    turn = state.angular_velocity[2] if state.angular_velocity is not None else 0.0
    twist = Twist(stamp_ns, c * vx + s * vy, c * vy - s * vx, vz, turn)
    return Odometry(stamp_ns, Pose(state.position[0], state.position[1], yaw), twist)


class MavlinkBridgeNode(ManagedNode):
    """Hands commands to an Autopilot, which keeps its connection by itself, and publishes what it says.

    The connection lasts from configure to cleanup, so readings come before the node is active; setpoints go out only
    while it is.
    """

    kind = "mavlink_bridge_node"

    def __init__(self, values: Mapping[str, Value] | None = None, **options: object) -> None:
        super().__init__(values, **options)
        self.autopilot: Autopilot | None = None
        self._seen_ns = 0
        self._ranges_ns = {"up": 0, "down": 0}
        self._error = ""

    # -- lifecycle -----------------------------------------------------------------------------------------------

    def configure(self) -> None:
        config = AutopilotConfig(
            address=self.value("address"),
            autopilot=self.value("autopilot"),
            baud=self.value("baud"),
            system_id=self.value("system_id"),
            component_id=self.value("component_id"),
            rate=self.value("setpoint_rate"),
            command_timeout=self.value("command_timeout"),
            hold=self.value("hold"),
            silence=self.value("heartbeat_timeout"),
            state_rate=self.value("publish_rate"),
            max_speed=self.value("max_speed"),
            max_climb=self.value("max_climb"),
            max_yaw_rate=self.value("max_yaw_rate"),
        )
        self._seen_ns = 0
        self._ranges_ns = {"up": 0, "down": 0}
        self._error = ""
        self._odom_topic = self.talk(OdometryMessage, "odom", qos.SENSOR)
        self._battery_topic = self.talk(BatteryState, "battery_state", qos.STREAM)
        if self.value("ranges"):
            self._range_topics = {
                side: self.talk(Range, f"range/{side}", qos.SENSOR) for side in ("up", "down")
            }
        self.take(self.twist_kind, "cmd_vel", self._put_command, qos.COMMAND)
        autopilot = Autopilot(config)
        for name, request in (
            ("arm", autopilot.arm),
            ("disarm", autopilot.disarm),
            ("engage", autopilot.engage),
            ("hold", autopilot.hold_position),
            ("land", autopilot.land),
        ):
            self.serve(f"~/{name}", self._answer(name, request))
        self.autopilot = autopilot
        autopilot.start()
        self.steadily(1.0 / self.value("publish_rate"), self._publish)
        self.steadily(1.0, self._publish_battery)
        self.steadily(0.2, self._tell)

    def activate(self) -> None:
        if self.autopilot is not None:
            self.autopilot.enable(True)

    def deactivate(self) -> None:
        self.halt()

    def cleanup(self) -> None:
        autopilot, self.autopilot = self.autopilot, None
        if autopilot is not None:
            autopilot.close()

    def halt(self) -> None:
        autopilot = self.autopilot
        if autopilot is not None:
            autopilot.enable(False)

    # -- commands ------------------------------------------------------------------------------------------------

    def _put_command(self, message: TwistStamped | TwistMessage) -> None:
        if self.autopilot is not None:
            twist, age = self.fresh_twist(message)
            self.autopilot.send(Setpoint(twist.linear_x, twist.linear_y, twist.linear_z, twist.angular_z), age)

    def _answer(
        self, name: str, request: Callable[[], None]
    ) -> Callable[[Trigger.Request, Trigger.Response], Trigger.Response]:
        def answer(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            if name in ("arm", "engage") and not self.active:
                response.message = "the node is not active"
                return response
            try:
                request()
                response.success = True
            except ValueError as error:
                response.message = str(error)
            self.get_logger().info(f"{name}: {response.message or 'done'}")
            return response

        return answer

    # -- readings ------------------------------------------------------------------------------------------------

    def _publish(self) -> None:
        state = self.autopilot.state() if self.autopilot is not None else None
        if state is None:
            return
        turned = state.attitude is not None and state.position_ns - state.attitude_ns < _TOGETHER_NS
        if state.position_ns > self._seen_ns and turned:
            self._seen_ns = state.position_ns
            odometry = odometry_of(state, self.stamp_ns(state.position_ns))
            message = convert.odometry_message(odometry, self.value("odom_frame"), self.value("base_frame"))
            assert state.position is not None
            message.pose.pose.position.z = state.position[2]
            self._odom_topic.publish(message)
        if self.value("ranges"):
            for side, value, came_ns in (("up", state.up, state.up_ns), ("down", state.down, state.down_ns)):
                if value is not None and came_ns > self._ranges_ns[side]:
                    self._ranges_ns[side] = came_ns
                    stamp_ns = self.stamp_ns(came_ns)
                    self._range_topics[side].publish(
                        range_message(stamp_ns, side, value, _RANGE_MIN, _RANGE_MAX)
                    )

    def _publish_battery(self) -> None:
        autopilot = self.autopilot
        if autopilot is None or not autopilot.status().connected or autopilot.state().battery is None:
            return
        state = autopilot.state()
        message = BatteryState(voltage=float(state.battery or 0.0), present=True)
        message.header.stamp = self.get_clock().now().to_msg()
        for name in ("temperature", "current", "charge", "capacity", "design_capacity"):
            setattr(message, name, math.nan)  # not told
        message.percentage = math.nan if state.remaining is None else state.remaining
        self._battery_topic.publish(message)

    # -- what is told --------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        autopilot = self.autopilot
        if autopilot is None:
            return
        for text in autopilot.texts():
            self.get_logger().info(f"autopilot: {text}")
        for line in autopilot.notices():
            self.get_logger().warning(line)
        status = autopilot.status()
        if status.error != self._error and status.error not in ("connecting", "not started"):
            self._error = status.error
            if status.error:
                self.get_logger().warning(status.error)
            else:
                self.get_logger().info(f"{autopilot.vehicle} connected at {self.value('address')}")

    def report(self) -> tuple[bytes, str, dict[str, object]]:
        autopilot = self.autopilot
        if autopilot is None:
            return DiagnosticStatus.OK, "", {}
        status, state = autopilot.status(), autopilot.state()
        values: dict[str, object] = {
            "address": self.value("address"),
            "connections": status.connections,
            "vehicle": autopilot.vehicle,
            "armed": state.armed,
            "mode": state.mode,
            "obeys setpoints": autopilot.engaged,
            "sending": status.sending,
            **status.counts,
        }
        if state.battery is not None:
            values["battery [V]"] = state.battery
        if not status.connected:
            return DiagnosticStatus.ERROR, status.error or "no autopilot", values
        if self.active and status.sending != "setpoint":
            return DiagnosticStatus.WARN, f"no fresh cmd_vel: {status.sending} is sent", values
        return DiagnosticStatus.OK, "", values

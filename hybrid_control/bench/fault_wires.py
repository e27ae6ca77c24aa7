"""The wires between a simulated robot's sensors, nodes and base, all in one hand: each can be cut or made to lie.

`hybrid-control up` is asked to have the simulator alone use other names (true/scan and so on); what comes there goes on
under the name that everybody else knows, as it is or as a fault makes it.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hybrid_control.bench.fault_truth import Sample, Truth
from hybrid_control.bringup.dds import without_shared_memory

Change = Callable[[Any], list[Any]]


@dataclass
class Heard:
    """The newest of what the nodes say. status: ReflexStatus or None; said: level and message of each node's
    diagnostics, with the monotonic s at which they came; odometry: the true one's x, y, yaw."""

    status: Any = None
    status_at: float = -math.inf
    said: dict[str, tuple[int, str, float]] = field(default_factory=dict)
    odometry: tuple[float, float, float] | None = None


class _Wire:
    """One topic on its way. change: makes messages of a message; None passes the bytes on."""

    def __init__(self, node: Any, kind: type, source: str, target: str, profile: Any) -> None:
        from rclpy.serialization import deserialize_message

        self.kind, self.change = kind, None
        self._read = deserialize_message
        self.publisher = node.create_publisher(kind, target, profile)
        node.create_subscription(kind, source, self._pass, profile, raw=True)

    change: Change | None

    def _pass(self, data: bytes) -> None:
        change = self.change
        if change is None:
            self.publisher.publish(data)
            return
        for message in change(self._read(data, self.kind)):
            self.publisher.publish(message)


class Wires:
    """A node in the graph of a robot that is tried. sim_time: whether its nodes go by /clock.

    wires: by name, with their `change`. strangers: publishers beside the robot's own, by topic.
    """

    def __init__(self, domain: int, sim_time: bool) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from geometry_msgs.msg import PoseStamped, TwistStamped
        from hybrid_control_msgs.msg import RateVector, ReflexStatus, SimState, SpikeTrain
        from nav_msgs.msg import Odometry
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
        from rclpy.signals import SignalHandlerOptions
        from rosgraph_msgs.msg import Clock
        from sensor_msgs.msg import Image, LaserScan

        without_shared_memory(os.environ)
        self._rclpy, self.sim_time = rclpy, sim_time
        self.heard, self.truth = Heard(), Truth()
        self._context = rclpy.context.Context()
        rclpy.init(
            context=self._context, domain_id=domain, signal_handler_options=SignalHandlerOptions.NO, args=[]
        )
        self.node = rclpy.create_node("fault_campaign", context=self._context, use_global_arguments=False)
        command, stream = QoSProfile(depth=1), QoSProfile(depth=10)
        clock = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        sensor, node = qos_profile_sensor_data, self.node
        self.wires = {
            "scan": _Wire(node, LaserScan, "true/scan", "scan", sensor),
            "odom": _Wire(node, Odometry, "true/odom", "odom", sensor),
            "image": _Wire(node, Image, "true/camera/image_raw", "camera/image_raw", sensor),
            "command": _Wire(node, TwistStamped, "cmd_vel", "true/cmd_vel", command),
        }
        if sim_time:
            self.wires["clock"] = _Wire(node, Clock, "true/clock", "/clock", clock)
        self.strangers = {
            "goal": node.create_publisher(PoseStamped, "goal_pose", command),
            "rates": node.create_publisher(RateVector, "planner/rates", stream),
            "spikes": node.create_publisher(SpikeTrain, "planner/spikes", stream),
            "scan": node.create_publisher(LaserScan, "scan", sensor),
        }
        node.create_subscription(SimState, "sim/state", self._see, stream)
        node.create_subscription(ReflexStatus, "reflex/status", self._hear, stream)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._hear_diagnostics, stream)
        node.create_subscription(Odometry, "true/odom", self._hear_odometry, sensor)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(node)
        self._ending = False
        self._thread = threading.Thread(target=self._spin, name="wires", daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        with contextlib.suppress(Exception):  # the context is taken away under it at the end
            while not self._ending:
                self._executor.spin_once(timeout_sec=0.2)

    def close(self) -> None:
        """Leave the graph."""
        self._ending = True
        self._thread.join(2.0)
        self._executor.shutdown(timeout_sec=0.1)
        self.node.destroy_node()
        self._rclpy.shutdown(context=self._context)

    def stamp(self) -> Any:
        """Now; 0 for "the newest" where the robot goes by simulated time."""
        from builtin_interfaces.msg import Time

        ns = 0 if self.sim_time else time.time_ns()
        return Time(sec=ns // 1_000_000_000, nanosec=ns % 1_000_000_000)

    def send_goal(self, x: float, y: float) -> None:
        """A goal in the map, told in the odometry's frame as it lies now."""
        from geometry_msgs.msg import PoseStamped

        true, said = self.truth.newest, self.heard.odometry
        if true is None or said is None:
            return
        turn = said[2] - true.yaw
        dx, dy = x - true.x, y - true.y
        goal = PoseStamped()
        goal.header.stamp, goal.header.frame_id = self.stamp(), "odom"
        goal.pose.position.x = said[0] + math.cos(turn) * dx - math.sin(turn) * dy
        goal.pose.position.y = said[1] + math.sin(turn) * dx + math.cos(turn) * dy
        goal.pose.orientation.w = 1.0
        self.strangers["goal"].publish(goal)

    def _see(self, m: Any) -> None:
        pose = m.pose
        self.truth.see(
            Sample(
                time.monotonic(),
                pose.x,
                pose.y,
                pose.theta,
                m.linear_x,
                m.angular_z,
                m.contacts,
                m.path_length,
            )
        )

    def _hear(self, message: Any) -> None:
        self.heard.status, self.heard.status_at = message, time.monotonic()

    def _hear_diagnostics(self, message: Any) -> None:
        for status in message.status:
            level = status.level[0] if isinstance(status.level, bytes) else int(status.level)
            self.heard.said[status.name] = (level, status.message, time.monotonic())

    def _hear_odometry(self, message: Any) -> None:
        p, q = message.pose.pose.position, message.pose.pose.orientation
        yaw = math.atan2(2 * (q.w * q.z + q.x * q.y), 1 - 2 * (q.y * q.y + q.z * q.z))
        self.heard.odometry = (p.x, p.y, yaw)

"""`hybrid-control bench latency`: from a scan published in one process to the command it causes received there again.

The reflex node runs in a second process, a bare node that answers every scan at once in a third. Scans go to them in
turns, so that both are measured in the same minutes, through the same topics' types and quality of service.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

import numpy as np

from hybrid_control.bench.machine import machine
from hybrid_control.bringup.dds import without_shared_memory

BEAMS = 360
STRAY_S = 0.006  # a second command within so long of a scan: which of them it caused is not known
ANSWER_S = 0.5
COMMAND_RATE_HZ = 10.0  # of the reflex node, the lowest it allows: these commands are caused by no scan


def answer() -> None:
    """The bare node: a command for every scan, from its callback, until the process is ended."""
    import rclpy
    from geometry_msgs.msg import TwistStamped
    from rclpy.qos import qos_profile_sensor_data
    from rclpy.signals import SignalHandlerOptions
    from sensor_msgs.msg import LaserScan

    try:  # the executor that the project's nodes use
        from rclpy.experimental.events_executor import EventsExecutor as Executor
    except ImportError:
        from rclpy.executors import SingleThreadedExecutor as Executor

    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("bare_node")
    publisher = node.create_publisher(TwistStamped, "bare/cmd_vel", 1)

    def on_scan(_: Any) -> None:
        command = TwistStamped()
        command.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(command)

    node.create_subscription(LaserScan, "bare/scan", on_scan, qos_profile_sensor_data)
    executor = Executor()
    executor.add_node(node)
    while True:
        executor.spin_once(timeout_sec=1.0)


class _Client:
    """Publishes scans and receives commands, in the process that measures."""

    def __init__(self) -> None:
        import rclpy
        from geometry_msgs.msg import PoseStamped, TwistStamped
        from nav_msgs.msg import Odometry
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import qos_profile_sensor_data
        from sensor_msgs.msg import LaserScan

        self._rclpy = rclpy
        without_shared_memory(os.environ)  # as the project's nodes do, and the bare node that inherits it
        self._context = rclpy.context.Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node("bench_latency", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self.received: dict[str, list[tuple[int, int]]] = {"reflex": [], "bare": []}
        self._scans = {}
        for name, prefix in (("reflex", ""), ("bare", "bare/")):
            self._scans[name] = self._node.create_publisher(
                LaserScan, f"{prefix}scan", qos_profile_sensor_data
            )
            self._node.create_subscription(
                TwistStamped, f"{prefix}cmd_vel", self._hear(self.received[name]), 1
            )
        self._odometry_topic = self._node.create_publisher(Odometry, "odom", qos_profile_sensor_data)
        self._goal_topic = self._node.create_publisher(PoseStamped, "goal_pose", 1)
        self._scan = LaserScan(
            angle_min=-np.pi,
            angle_max=np.pi,
            angle_increment=2 * np.pi / BEAMS,
            range_min=0.1,
            range_max=10.0,
        )
        self._scan.header.frame_id = "base_link"
        self._scan.ranges = [4.0] * BEAMS
        self._odometry = Odometry()
        self._odometry.header.frame_id = "odom"
        self._odometry.pose.pose.orientation.w = 1.0
        self._goal = PoseStamped()
        self._goal.header.frame_id = "odom"
        self._goal.pose.position.x = 5.0
        self._goal.pose.orientation.w = 1.0

    @staticmethod
    def _hear(received: list[tuple[int, int]]) -> Any:
        """A callback that notes when a command came, and the stamp it was sent with, both in ns since 1970."""

        def callback(command: Any) -> None:
            stamp = command.header.stamp
            received.append((time.time_ns(), stamp.sec * 1_000_000_000 + stamp.nanosec))

        return callback

    def spin_until(self, until: float) -> None:
        """Receive what comes until a time of the monotonic clock."""
        while (left := until - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def move(self) -> None:
        """Publish odometry and goal, which the reflex wants fresh."""
        self._odometry.header.stamp = self._goal.header.stamp = self._node.get_clock().now().to_msg()
        self._odometry_topic.publish(self._odometry)
        self._goal_topic.publish(self._goal)

    def ask(self, name: str) -> tuple[int, list[tuple[int, int]]]:
        """Publish a scan; when that was, and the commands that came soon after it."""
        received = self.received[name]
        received.clear()
        self._scan.header.stamp = self._node.get_clock().now().to_msg()
        published = time.time_ns()
        self._scans[name].publish(self._scan)
        until = time.monotonic() + ANSWER_S
        while not received and time.monotonic() < until:
            self._executor.spin_once(timeout_sec=ANSWER_S)
        self.spin_until(time.monotonic() + STRAY_S)
        return published, list(received)

    def close(self) -> None:
        """Leave the graph."""
        self._node.destroy_node()
        self._rclpy.shutdown(context=self._context)


def _start_nodes(rate_hz: float, priority: int) -> list[subprocess.Popen[bytes]]:
    parameters = {"autostart": "true", "rate": rate_hz, "priority": priority, "command_rate": COMMAND_RATE_HZ}
    settings = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    commands = (
        [sys.executable, "-m", "hybrid_control_ros", "reflex_node", "--ros-args", *settings],
        [sys.executable, "-c", "from hybrid_control.bench.latency import answer; answer()"],
    )
    return [subprocess.Popen(command, env=dict(os.environ)) for command in commands]


def measure(scans: int, rate_hz: float = 1000.0, priority: int = 80) -> dict[str, Any]:
    """Send so many scans to each node in turns; a dictionary for a JSON file.

    ValueError where ROS 2 or the workspace is missing, or a node does not answer.
    """
    from importlib.util import find_spec

    from tqdm import tqdm

    if scans < 1:
        raise ValueError(f"scans: {scans} must be 1 or more")
    for package in ("rclpy", "hybrid_control_ros"):
        if find_spec(package) is None:
            raise ValueError(
                f"bench latency needs {package}: source ROS 2 and the workspace, or scripts/env.sh"
            )
    random = np.random.default_rng(1)
    total: dict[str, list[float]] = {"reflex": [], "bare": []}
    out: dict[str, list[float]] = {"reflex": [], "bare": []}
    dropped = {"reflex": 0, "bare": 0}
    nodes = _start_nodes(rate_hz, priority)
    client = _Client()
    try:
        _wait_for_answers(client, nodes)
        for _ in tqdm(range(scans), desc="scans", disable=None):
            client.move()
            for name in total:
                # at no fixed phase to the ticks
                client.spin_until(time.monotonic() + float(random.uniform(0.002, 0.010)))
                published, answers = client.ask(name)
                if len(answers) != 1:
                    dropped[name] += 1
                    continue
                received, sent = answers[0]
                total[name].append((received - published) * 1e-3)
                out[name].append((received - sent) * 1e-3)
    finally:
        client.close()
        _end(nodes)
    within = {name: np.subtract(total[name], out[name]) for name in total}
    return {
        "benchmark": "latency",
        "machine": machine(),
        "rate_hz": rate_hz,
        "priority": priority,
        "scans": scans,
        "nodes": {
            name: {
                "scan_to_command": _percentiles(total[name]),
                "scan_to_sending": _percentiles(within[name]),
                "sending_to_receiving": _percentiles(out[name]),
                "answered": len(total[name]),
                "dropped": dropped[name],
            }
            for name in total
        },
    }


def _end(nodes: list[subprocess.Popen[bytes]]) -> None:
    for node in nodes:
        node.terminate()
    for node in nodes:
        try:
            node.wait(5.0)
        except subprocess.TimeoutExpired:
            node.kill()
            node.wait()


def _wait_for_answers(
    client: _Client, nodes: list[subprocess.Popen[bytes]], patience_s: float = 60.0
) -> None:
    until = time.monotonic() + patience_s
    answered: set[str] = set()
    while answered != set(client.received):
        for node in nodes:
            if node.poll() is not None:
                raise ValueError(f"a node ended by itself with status {node.returncode}: {node.args!r}")
        if time.monotonic() > until:
            raise ValueError(f"no command within {patience_s:g} s from {set(client.received) - answered}")
        client.move()
        answered |= {name for name in client.received if client.ask(name)[1]}


def _percentiles(microseconds: Any) -> dict[str, float]:
    if len(microseconds) == 0:
        raise ValueError("no scan was answered by exactly one command")
    names = {"p50_us": 50, "p90_us": 90, "p99_us": 99, "max_us": 100}
    return {name: round(float(np.percentile(microseconds, percent)), 1) for name, percent in names.items()}


def table(result: dict[str, Any]) -> str:
    """A result of `measure` as text: where the time goes."""
    lines = [
        f"{result['scans']} scans of {BEAMS} beams to each node, the reflex at {result['rate_hz']:g} Hz; µs"
    ]
    lines.append(f"{'':32s}{'p50':>9s}{'p90':>9s}{'p99':>9s}{'max':>9s}")
    stages = {
        "scan_to_sending": "scan out to command sent",
        "sending_to_receiving": "command sent to received",
        "scan_to_command": "in all",
    }
    for name, node in result["nodes"].items():
        for stage, text in stages.items():
            values = "".join(f"{node[stage][p]:9.0f}" for p in ("p50_us", "p90_us", "p99_us", "max_us"))
            lines.append(f"{name + ': ' + text:32s}{values}")
        lines.append(f"{name + ': answered':32s}{node['answered']:9d}, left out {node['dropped']}")
    reflex, bare = (result["nodes"][name]["scan_to_command"] for name in ("reflex", "bare"))
    tick_us = 1e6 / result["rate_hz"]
    added = reflex["p50_us"] - bare["p50_us"]
    lines.append(
        f"the reflex adds {added:.0f} µs at the median; a tick and 100 µs are {tick_us + 100:.0f} µs"
    )
    lines.append(f"its p99 is {reflex['p99_us'] / bare['p99_us']:.2f} times the bare node's")
    return "\n".join(lines)

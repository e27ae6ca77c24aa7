"""A trial on the floor, for `hybrid-control new-robot`: `navigation.identify` between odometry, scan and cmd_vel.

Nothing is sent before `drive`; whatever ends it, zero is what goes out last, again and again for half a second.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import rclpy
from geometry_msgs.msg import Twist as TwistMessage
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import LaserScan

from hybrid_control.navigation.identify.trial import Trial
from hybrid_control.signals import Twist
from hybrid_control_ros import convert, qos
from hybrid_control_ros.node import bare_node
from hybrid_control_ros.run.terminal import Interrupt

_PERIOD = 0.02  # s between commands
_ZEROS = 25  # commands of zero at the end, _PERIOD apart
_SETTLES = 1.0  # s in which others are discovered; who comes later ends the drive
_PATIENCE = 7.0  # s in which every participant has been heard


@contextlib.contextmanager
def terminal_signals() -> Iterator[list[int]]:
    """Signals by which a terminal ends or suspends a program go on a list: who is suspended could send no stop."""
    caught: list[int] = []
    kinds = (signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP)
    before = {kind: signal.signal(kind, lambda number, frame: caught.append(number)) for kind in kinds}
    try:
        yield caught
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


@dataclass(frozen=True)
class Names:
    """The robot's own names: topics, frames (scan_frame: "" for any), and whether cmd_vel is a TwistStamped."""

    scan: str
    odom: str
    cmd_vel: str
    scan_frame: str
    base_frame: str
    odom_frame: str
    stamped_cmd_vel: bool


class TrialFloor:
    """The robot on its floor, as long as the context lasts."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._trial: Trial | None = None
        self._heard: set[str] = set()
        self._wrong = ""

    def __enter__(self) -> TrialFloor:
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self._node = bare_node("hybrid_control_trial", self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._node.create_subscription(Odometry, self._names.odom, self._put_odometry, qos.SENSOR)
        self._node.create_subscription(LaserScan, self._names.scan, self._put_scan, qos.SENSOR)
        return self

    def __exit__(self, *exception: object) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()

    def check(self, patience: float = _PATIENCE) -> None:
        """ValueError, one line, where odometry, scan or a listener to the commands is missing, or somebody else
        commands. Nothing is sent."""
        end = time.monotonic() + patience
        begun = time.monotonic()
        while time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.1)
            # whoever else commands may be discovered a little after the sensors
            if not self._lacks() and time.monotonic() > begun + _SETTLES:
                break
        lacks = self._lacks()
        if lacks:
            raise ValueError(f"{lacks}{f'; the newest: {self._wrong}' if self._wrong else ''}")

    def _lacks(self) -> str:
        node, names = self._node, self._names
        for topic in (names.odom, names.scan):
            if topic not in self._heard:
                return f"{topic}: nothing that could be read; expected the robot's driver to publish it"
        others = node.get_publishers_info_by_topic(names.cmd_vel)
        if others:
            who = ", ".join(f"{p.node_namespace.rstrip('/')}/{p.node_name}" for p in others)
            return f"{names.cmd_vel}: {who} may command already; end it first, the base must hear one alone"
        kind = "TwistStamped" if names.stamped_cmd_vel else "Twist"
        listening = {
            p.topic_type.rsplit("/", 1)[1] for p in node.get_subscriptions_info_by_topic(names.cmd_vel)
        }
        if kind not in listening:
            heard = f"as {', '.join(sorted(listening))}" if listening else "by nobody"
            return f"{names.cmd_vel}: is listened to {heard}; expected the base's driver, as {kind}"
        return ""

    def drive(
        self, trial: Trial, stopped: Callable[[], bool], each: Callable[[], None] = lambda: None
    ) -> None:
        """Drive a trial to its end, or until `stopped` says so, or a signal; each: called after each command."""
        kind = TwistStamped if self._names.stamped_cmd_vel else TwistMessage
        topic = self._node.create_publisher(kind, self._names.cmd_vel, qos.COMMAND)
        self._trial = trial
        with Interrupt() as interrupt, terminal_signals() as signalled:
            try:
                while not trial.over:
                    self._spin_for(_PERIOD)
                    if interrupt.requested or signalled or stopped():
                        trial.stop("stopped by hand")
                    if self._node.count_publishers(self._names.cmd_vel) > 1:
                        trial.stop(
                            f"{self._names.cmd_vel}: somebody else may command too; the base must hear one alone"
                        )
                    self._send(topic, trial.command(self._now_ns()))
                    each()
            finally:
                trial.stop("broken off")  # what was over before stays as it was
                for _ in range(_ZEROS):
                    with contextlib.suppress(Exception):
                        self._send(topic, Twist(self._now_ns()))
                    time.sleep(_PERIOD)
                self._node.destroy_publisher(topic)

    def _spin_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0.0:
            self._executor.spin_once(timeout_sec=left)

    def _now_ns(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def _send(self, topic: Any, twist: Twist) -> None:
        topic.publish(convert.twist_message(twist, self._names.stamped_cmd_vel, self._names.base_frame))

    def _put_odometry(self, message: Odometry) -> None:
        self._take(
            self._names.odom, lambda: convert.odometry(message, self._names.odom_frame), Trial.put_odometry
        )

    def _put_scan(self, message: LaserScan) -> None:
        frame, wanted = message.header.frame_id, self._names.scan_frame

        def read() -> Any:
            if wanted and frame != wanted:
                raise ValueError(f"scan is in frame {frame!r}, expected {wanted!r}")
            return convert.range_scan(message)

        self._take(self._names.scan, read, Trial.put_scan)

    def _take(self, topic: str, read: Callable[[], Any], put: Callable[[Trial, Any, int], None]) -> None:
        """A message; one that can't be read ends the trial."""
        try:
            value = read()
        except ValueError as error:
            self._wrong = str(error)
            if self._trial is not None:
                self._trial.stop(self._wrong)
            return
        self._heard.add(topic)
        if self._trial is not None:
            put(self._trial, value, self._now_ns())

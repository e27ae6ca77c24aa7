"""What stands around a reflex node in a test: a lidar, odometry, a goal, a planner's spikes, and ears."""

from __future__ import annotations

import threading
import time

import numpy as np
from geometry_msgs.msg import PoseStamped, TwistStamped
from hybrid_control_msgs.msg import ReflexStatus
from hybrid_control_ros import convert, qos
from hybrid_control_ros.convert import SpikeTrainMessage, StateVectorMessage
from nav_msgs.msg import Odometry as OdometryMessage
from sensor_msgs.msg import LaserScan

from hybrid_control.navigation.planner.closed import ClosedDirections
from hybrid_control.signals import Goal, Odometry, Pose, RangeScan, SpikeTrain, Twist, layout

POPULATIONS = layout(heading=72, speed=8)


def scan(stamp_ns, distance=2.5, frame="lidar", beams=360):
    step = 2 * np.pi / 360
    ranges = np.full(beams, distance, np.float32)
    return convert.scan_message(RangeScan(stamp_ns, -np.pi, step, 0.05, 10.0, ranges), frame)


def spikes(stamp_ns, rng):
    """10 ms of a planner that wants to go straight ahead, fast."""
    rates = np.zeros(80)
    rates[34:38] = (60, 100, 100, 60)
    rates[76:80] = (20, 60, 90, 100)
    neuron = np.repeat(np.arange(80), rng.poisson(rates * 0.01))
    offset = np.sort(rng.integers(0, 10_000_000, neuron.size))
    return SpikeTrain(stamp_ns, 10_000_000, POPULATIONS, rng.permutation(neuron), offset)


def odometry(stamp_ns):
    return convert.odometry_message(Odometry(stamp_ns, Pose(), Twist(stamp_ns)), "odom", "base_link")


class World:
    """Feeds a node over its topics in real time; what is left out of `sending` falls silent."""

    def __init__(self, graph, prefix="", stamped=True, hears=("scan", "odom", "goal_pose", "planner/spikes")):
        self.graph = graph
        self.sending = set(hears)
        self.lidar = {}  # arguments of scan()
        self.rows = None  # what a planner says is closed, of ClosedDirections
        self.clock_offset_ns = 0  # of the sensors' clock against the system's
        self._rng = np.random.default_rng(0)
        kinds = {
            "scan": (LaserScan, qos.SENSOR),
            "odom": (OdometryMessage, qos.SENSOR),
            "goal_pose": (PoseStamped, qos.COMMAND),
            "planner/spikes": (SpikeTrainMessage, qos.STREAM),
            "planner/directions": (StateVectorMessage, qos.STREAM),
        }
        self.publishers = {
            name: graph.publisher(kinds[name][0], prefix + name, kinds[name][1]) for name in hears
        }
        if stamped:
            self.commands = graph.collect(TwistStamped, prefix + "cmd_vel", qos.COMMAND)
        self.status = graph.collect(ReflexStatus, prefix + "reflex/status", qos.STREAM)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def begin(self):
        for publisher in self.publishers.values():
            self.graph.until(lambda p=publisher: p.get_subscription_count() >= 1, 30)
        self._thread.start()
        return self

    def _run(self):
        period, due, k, window = 0.01, time.monotonic(), 0, time.time_ns()
        while not self._ending.wait(max(0.0, due - time.monotonic())):
            due = max(due + period, time.monotonic() - period)
            now = time.time_ns() + self.clock_offset_ns
            if "planner/spikes" in self.sending:
                window = window + 10_000_000 if abs(now - window) < 50_000_000 else now
                self._send("planner/spikes", convert.spike_train_message(spikes(window, self._rng)))
            if k % 3 == 0 and "scan" in self.sending:
                self._send("scan", scan(now, **self.lidar))
            if k % 3 == 1 and "odom" in self.sending:
                self._send("odom", odometry(now))
            if k % 7 == 3 and "planner/directions" in self.sending and self.rows is not None:
                states = ClosedDirections(now, self.rows).states()
                self._send("planner/directions", convert.state_vector_message(states))
            if k % 50 == 2 and "goal_pose" in self.sending:
                self._send("goal_pose", convert.goal_message(Goal(now, 9.0, 0.0), "odom"))
            k += 1

    def _send(self, topic, message):
        self.publishers[topic].publish(message)

    def end(self):
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(2.0)

    @property
    def mode(self):
        return self.status[-1].mode if self.status else None

    def speed(self):
        return self.commands[-1].twist.linear.x

    def until_mode(self, mode, timeout=30.0):
        """Wait for a mode; from a moment on, so that an old status does not count."""
        count = len(self.status)
        said = lambda: [s.reason for s in self.status[-1:]]  # noqa: E731
        try:
            self.graph.until(lambda: len(self.status) > count and self.mode == mode, timeout)
        except AssertionError as error:
            raise AssertionError(f"mode {self.mode} ({said()}), expected {mode}: {error}") from None

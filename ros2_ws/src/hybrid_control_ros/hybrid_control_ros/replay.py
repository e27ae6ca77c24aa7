"""The replay node: a recording's sensors and goal, played into the graph on the time at which they were recorded."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from mcap.exceptions import McapError
from mcap.reader import make_reader
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from rosgraph_msgs.msg import Clock as ClockMessage

from hybrid_control.parameters import ParameterError, Value
from hybrid_control_ros import convert, qos
from hybrid_control_ros.node import ManagedNode
from hybrid_control_ros.run.recorder import message_class

# What a recorded run has that nodes of ours or ROS itself publish anew
_MADE_ANEW = ("planner/", "reflex/", "sim/", "cmd_vel", "diagnostics", "clock", "rosout", "parameter_events")
_COMMANDS = ("geometry_msgs/msg/PoseStamped",)
_CLOCK_NS = 10_000_000  # recorded time between two messages on /clock
_SAME_CLOCK_NS = 60_000_000_000  # a stamp nearer to the time of recording than this is of the same clock
_LATE_NS = 200_000_000  # lateness beyond which time is dropped instead of caught up with
_PROBED = 10_000  # messages that are looked at to find which clock the stamps are of


class ReplayNode(ManagedNode):
    """Plays an MCAP file in a thread of its own, and ends the program when the file is through.

    The time on /clock is that of the messages' own stamps: the recorded /clock where they were simulated, the time of
    recording otherwise.
    """

    kind = "replay_node"

    def __init__(self, values: Mapping[str, Value] | None = None, **options: object) -> None:
        super().__init__(values, **options)
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()
        self._topics: dict[str, Any] = {}
        self._played = 0
        self._through = False
        self._error = ""

    def configure(self) -> None:
        if self.get_parameter("use_sim_time").value:
            raise ParameterError("use_sim_time: must be false, the recording makes the time")
        self._file = str(self.value("file"))
        if not self._file:
            raise ParameterError("file: expected the path of a recording, an MCAP file")
        wanted = {name.strip().strip("/") for name in str(self.value("topics")).split(",") if name.strip()}
        try:
            with open(self._file, "rb") as file:
                summary = make_reader(file).get_summary()
                if summary is None:
                    raise ParameterError(f"file: {self._file} has no index; it was cut short")
                kinds = {
                    c.topic: summary.schemas[c.schema_id].name
                    for c in summary.channels.values()
                    if c.schema_id in summary.schemas and c.message_encoding == "cdr"
                }
                self._simulated = self._stamps_are_simulated(file)
        except (McapError, EOFError) as error:
            raise ParameterError(f"file: {self._file} is no MCAP file: {error}") from None
        chosen = {}
        for topic, kind in kinds.items():
            name = topic.strip("/")
            if name in wanted if wanted else not name.startswith(_MADE_ANEW):
                chosen[topic] = kind
        missing = wanted - {topic.strip("/") for topic in chosen}
        if missing or not chosen:
            which, there = ", ".join(sorted(missing)) or "nothing to play", ", ".join(sorted(kinds))
            raise ParameterError(f"topics: {which} in {self._file}; it has {there}")
        for topic, kind in chosen.items():
            try:
                message = message_class(kind)
            except LookupError as error:
                raise ParameterError(f"topics: {topic}: {error}") from None
            profile: QoSProfile = qos.COMMAND if kind in _COMMANDS else qos.SENSOR
            self._topics[topic] = self.talk(message, topic.strip("/"), profile)
        self._clock_topic = self.talk(ClockMessage, "/clock", qos.CLOCK)

    def _stamps_are_simulated(self, file: Any) -> bool:
        """Whether stamps are of the recorded /clock rather than of the time of recording."""
        file.seek(0)
        for i, (schema, _, message) in enumerate(make_reader(file).iter_messages()):
            if schema is not None and schema.name == "sensor_msgs/msg/LaserScan":
                stamp = convert.to_ns(deserialize_message(message.data, message_class(schema.name)).header.stamp)
                return abs(stamp - message.log_time) > _SAME_CLOCK_NS
            if i > _PROBED:
                break
        return False

    def activate(self) -> None:
        self._ending.clear()
        self._played, self._error, self._through = 0, "", False
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)
        self._thread.start()

    def deactivate(self) -> None:
        self._ending.set()
        if self._thread is not None:
            self._thread.join(1.0)
            self._thread = None

    def cleanup(self) -> None:
        self._topics.clear()

    def _run(self) -> None:
        try:
            while not self._ending.is_set():
                self._play()
                if not self.value("loop"):
                    break
        except (OSError, McapError, EOFError) as error:
            self._error = f"{self._file}: {error}"
            self.get_logger().error(self._error)
            return
        if not self._ending.is_set():
            self._through = True
            self.get_logger().info(f"{self._file}: played to its end, {self._played} messages")
            os.kill(os.getpid(), 15)  # as a person would end the program

    def _play(self) -> None:
        rate = float(self.value("rate"))
        begun_ns = first_ns = clock_ns = -1
        with open(self._file, "rb") as file:
            topics = [*self._topics, *(["/clock"] if self._simulated else [])]
            for _, channel, message in make_reader(file).iter_messages(topics=topics):
                now_ns = message.log_time
                if begun_ns < 0:
                    begun_ns, first_ns, clock_ns = time.monotonic_ns(), now_ns, now_ns
                while clock_ns <= now_ns:
                    if not self._wait(begun_ns + round((clock_ns - first_ns) / rate)):
                        return
                    if not self._simulated:
                        self._clock_topic.publish(ClockMessage(clock=convert.to_stamp(clock_ns)))
                    clock_ns += _CLOCK_NS
                late_ns = time.monotonic_ns() - begun_ns - round((now_ns - first_ns) / rate)
                if late_ns > _LATE_NS:
                    begun_ns += late_ns
                publisher = self._clock_topic if channel.topic == "/clock" else self._topics[channel.topic]
                publisher.publish(bytes(message.data))
                self._played += 1

    def _wait(self, until_ns: int) -> bool:
        """Wait for a moment of the monotonic clock; False where all is to end."""
        return not self._ending.wait(max(0.0, (until_ns - time.monotonic_ns()) * 1e-9))

    def report(self) -> tuple[bytes, str, dict[str, object]]:
        level = DiagnosticStatus.ERROR if self._error else DiagnosticStatus.OK
        return level, self._error, {"file": self.value("file"), "played": self._played, "through": self._through}

"""Records every topic of a run into one MCAP file, as serialized, and keeps the newest message of each."""

from __future__ import annotations

import functools
import importlib
import re
import threading
import time
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from rclpy.context import Context
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from hybrid_control.files.mcap import McapWriter
from hybrid_control_ros.node import bare_node

_PERIOD = 0.04  # s between two looks for messages; each carries the time at which it really came
_DEPTH = 500  # messages of a topic that may wait for the next look
_SEPARATOR = "=" * 80
_FIELD = re.compile(r"^\s*([A-Za-z][\w/]*)")
_BUILT_IN = {
    "bool", "byte", "char", "float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64",
    "uint64", "string", "wstring",
}  # fmt: skip


def message_class(kind: str) -> Any:
    """The Python class of a message type such as std_msgs/msg/Header; LookupError where it is not there."""
    package, _, name = kind.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise LookupError(f"no message type {kind}: {error}") from None


@functools.cache
def _definition(package: str, name: str) -> str:
    try:
        return (Path(get_package_share_directory(package)) / "msg" / f"{name}.msg").read_text()
    except (OSError, PackageNotFoundError) as error:
        raise LookupError(f"no definition of {package}/{name}: {error}") from None


def _parts(package: str, text: str) -> list[tuple[str, str]]:
    """The (package, name) of every message that a definition uses directly, in order."""
    found = []
    for line in text.splitlines():
        match = _FIELD.match(line.split("#")[0])
        if match and match[1] not in _BUILT_IN:
            owner, _, name = match[1].rpartition("/")
            owner = owner.removesuffix("/msg") or ("std_msgs" if name == "Header" else package)
            found.append((owner, name))
    return found


@functools.cache
def full_definition(kind: str) -> str:
    """The definition of a message type with those of all types that it stands on, as MCAP's ros2msg encoding asks.

    Raises LookupError where one is not installed.
    """
    package, _, name = kind.split("/")
    text = _definition(package, name)
    result, seen, waiting = [text.rstrip()], {(package, name)}, _parts(package, text)
    while waiting:
        part = waiting.pop(0)
        if part in seen:
            continue
        seen.add(part)
        text = _definition(*part)
        result += [_SEPARATOR, f"MSG: {part[0]}/{part[1]}", text.rstrip()]
        waiting += _parts(part[0], text)
    return "\n".join(result) + "\n"


class McapFile(McapWriter):
    """An MCAP file of serialized ROS 2 messages; see McapWriter."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, profile="ros2")

    def write(self, topic: str, kind: str, data: bytes, received_ns: int, published_ns: int) -> None:
        """Add a message; does nothing once the recording has stopped."""
        if self.note:
            return
        if not self.knows(topic):
            self.channel(topic, "cdr", (kind, "ros2msg", full_definition(kind)))
        self.add(topic, data, received_ns, published_ns)

    def close(self, metadata: dict[str, str] | None = None) -> None:
        """Write the index, with a few words about the run, and close."""
        if metadata:
            self.metadata("hybrid_control", metadata)
        self.finish()


class Recorder(threading.Thread):
    """Takes every message of every topic in a thread of its own, at little cost: it wakes 25 times a second.

    counts: messages of each topic so far; newest: the newest message of each topic, serialized.
    """

    def __init__(self, context: Context, path: Path) -> None:
        super().__init__(name="recorder", daemon=True)
        self._node = bare_node("run_recorder", context)
        self._file = McapFile(path)
        self._subscriptions: dict[str, tuple[Any, str]] = {}
        self._skipped: set[str] = set()
        self._ending = threading.Event()
        self.metadata: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        self.newest: dict[str, bytes] = {}

    @property
    def note(self) -> str:
        """Why the recording stopped, "" while all is well."""
        return self._file.note

    def knows(self, topic: str) -> bool:
        """Whether a topic is being recorded."""
        return topic in self._subscriptions

    def run(self) -> None:
        """Record until `end`."""
        looked = flushed = 0.0
        while not self._ending.wait(_PERIOD):
            now = time.monotonic()
            if now - looked > 0.2:
                looked = now
                self._discover()
            self._take_all()
            if now - flushed > 2.0:
                flushed = now
                self._file.flush()
        self._take_all()
        self._file.close(self.metadata)
        self._node.destroy_node()

    def end(self) -> None:
        """Take what is left, close the file, and wait for both."""
        self._ending.set()
        self.join(10.0)

    def _discover(self) -> None:
        for topic, kinds in self._node.get_topic_names_and_types():
            if topic in self._subscriptions or topic in self._skipped or not kinds:
                continue
            publishers = self._node.get_publishers_info_by_topic(topic)
            if not publishers:
                continue
            try:
                full_definition(kinds[0])
                kind = message_class(kinds[0])
            except LookupError:
                self._skipped.add(topic)  # a type of somebody else's that is not installed here
                continue
            profiles = [p.qos_profile for p in publishers]
            # what all of the publishers offer, so that each one fits
            reliable = all(p.reliability == ReliabilityPolicy.RELIABLE for p in profiles)
            latched = all(p.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in profiles)
            qos = QoSProfile(
                history=HistoryPolicy.KEEP_LAST,
                depth=_DEPTH,
                reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
                durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
            )
            subscription = self._node.create_subscription(kind, topic, _unused, qos, raw=True)
            self._subscriptions[topic] = subscription, kinds[0]

    def _take_all(self) -> None:
        """Every message that has come, straight from each subscription: an executor would cost ten times as much."""
        for topic, (subscription, kind) in self._subscriptions.items():
            with subscription.handle:
                for _ in range(_DEPTH):
                    taken = subscription.handle.take_message(subscription.msg_type, True)
                    if taken is None:
                        break
                    data, info = taken
                    self.counts[topic] = self.counts.get(topic, 0) + 1
                    self.newest[topic] = data
                    received = info["received_timestamp"] or time.time_ns()
                    self._file.write(topic, kind, data, received, info["source_timestamp"] or received)


def _unused(message: bytes) -> None:
    """Messages are taken by hand."""

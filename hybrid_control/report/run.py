"""A recorded run as arrays over time: what the numbers and the pictures of a report are made from."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.messages import Population, layout
from hybrid_control.report.recording import Recording, RecordingError, Topic, read

FloatArray = NDArray[np.float64]

#: Names of ReflexStatus.mode, by its number.
MODES = ("INACTIVE", "HYBRID", "REFLEX_ONLY", "STOPPED", "ARRIVED", "ERROR")


@dataclass(frozen=True)
class Series:
    """Values over time: t (n,) seconds of the run; each field (n,)."""

    t: FloatArray
    fields: dict[str, FloatArray]

    def __len__(self) -> int:
        return int(self.t.size)

    def __getitem__(self, name: str) -> FloatArray:
        return self.fields[name]

    def at(self, t: float) -> int:
        """Index of the newest value at time t; 0 before the first."""
        return max(0, int(np.searchsorted(self.t, t, side="right")) - 1)


@dataclass(frozen=True)
class Raster:
    """Spikes of one population: t (k,) seconds, neuron (k,), size the number of neurons."""

    name: str
    size: int
    t: FloatArray
    neuron: NDArray[np.int64]


@dataclass(frozen=True)
class Frame:
    """One camera image: t in seconds, pixels (h, w, 3) uint8 RGB."""

    t: float
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class Obstacle:
    """One shape of the map: kind "circle" or "box", centre, yaw, size in x and y (a circle's diameter); metres."""

    kind: str
    x: float
    y: float
    yaw: float
    size_x: float
    size_y: float


@dataclass
class Run:
    """Everything that a report needs; a topic that was not recorded is an empty series.

    metadata: run.json. Times are seconds of the ROS clock since `start_ns`, the first state of the simulator.
    """

    folder: Path
    metadata: dict[str, Any]
    recording: Recording
    start_ns: int
    state: Series
    status: Series
    reasons: list[str]
    command: Series
    odometry: Series
    rates: Series
    heading_rates: FloatArray  # (n, neurons) Hz
    rasters: list[Raster]
    obstacles: list[Obstacle]
    goal: tuple[float, float] | None
    outline: tuple[float, float] = (0.508, 0.43)
    clock: tuple[FloatArray, FloatArray] = field(default_factory=lambda: (np.zeros(0), np.zeros(0)))

    def time_of(self, received_ns: NDArray[np.int64]) -> FloatArray:
        """Seconds of the run at which a message was received, (n,); by /clock where that was recorded.

        Without /clock the ROS clock is the system clock.
        """
        system, ros = self.clock
        if system.size < 2:
            return (received_ns - self.start_ns) / 1e9
        return np.interp(received_ns / 1e9 - self._system_zero, system, ros)

    _system_zero: float = 0.0

    @property
    def duration(self) -> float:
        """Seconds from the first to the last state of the simulator, or of the status where there is no state."""
        for series in (self.state, self.status, self.command):
            if len(series):
                return float(series.t[-1])
        return 0.0


def stamp_ns(message: Any) -> int:
    """The stamp of a message with a header, nanoseconds."""
    return int(message.header.stamp.sec) * 1_000_000_000 + int(message.header.stamp.nanosec)


def _series(topic: Topic | None, start_ns: int, row: Callable[[Any], Iterable[float]], names: str) -> Series:
    """One row of numbers for each message; times from the headers."""
    columns = names.split()
    if topic is None or not len(topic):
        return Series(np.zeros(0), {name: np.zeros(0) for name in columns})
    stamps = np.empty(len(topic))
    values = np.empty((len(topic), len(columns)))
    for i, message in enumerate(topic):
        stamps[i] = (stamp_ns(message) - start_ns) / 1e9
        values[i] = tuple(row(message))
    return Series(stamps, {name: values[:, k].copy() for k, name in enumerate(columns)})


def yaw_of(q: Any) -> float:
    """Yaw in radians of a quaternion message."""
    return math.atan2(2 * (q.w * q.z + q.x * q.y), 1 - 2 * (q.y * q.y + q.z * q.z))


def _command_row(message: Any) -> tuple[float, float]:
    twist = message.twist
    return twist.linear.x, twist.angular.z


def _odometry_row(m: Any) -> tuple[float, ...]:
    pose, twist = m.pose.pose, m.twist.twist
    return pose.position.x, pose.position.y, yaw_of(pose.orientation), twist.linear.x, twist.angular.z


def populations_of(message: Any) -> tuple[Population, ...]:
    """The populations that a RateVector or SpikeTrain message names; RecordingError where they do not fit."""
    if len(message.populations) != len(message.sizes):
        raise RecordingError(f"{len(message.populations)} populations with {len(message.sizes)} sizes")
    return layout(**dict(zip(message.populations, (int(n) for n in message.sizes), strict=True)))


def _rasters(topic: Topic | None, start_ns: int) -> list[Raster]:
    if topic is None or not len(topic):
        return []
    sizes: dict[str, int] = {}
    times: dict[str, list[FloatArray]] = {}
    neurons: dict[str, list[NDArray[np.int64]]] = {}
    for message in topic:
        neuron = np.asarray(message.neuron, dtype=np.int64)
        base = (stamp_ns(message) - start_ns) / 1e9
        t = base + np.asarray(message.offset_ns, dtype=np.float64) / 1e9
        for p in populations_of(message):
            sizes[p.name] = max(sizes.get(p.name, 0), p.size)
            inside = (neuron >= p.first) & (neuron < p.first + p.size)
            times.setdefault(p.name, []).append(t[inside])
            neurons.setdefault(p.name, []).append(neuron[inside] - p.first)
    return [Raster(n, sizes[n], np.concatenate(times[n]), np.concatenate(neurons[n])) for n in sizes]


_CUBE, _SPHERE, _CYLINDER, _DELETE, _DELETE_ALL = 1, 2, 3, 2, 3  # of visualization_msgs/Marker


def _obstacles(topic: Topic | None) -> list[Obstacle]:
    """The map as the last state of each marker says."""
    found: dict[tuple[str, int], Obstacle] = {}
    for message in topic or ():
        for m in message.markers:
            if m.action == _DELETE_ALL:
                found.clear()
            elif m.action == _DELETE:
                found.pop((m.ns, m.id), None)
            elif m.type in (_CUBE, _SPHERE, _CYLINDER) and m.ns not in ("goal", "start", "robot"):
                kind = "box" if m.type == _CUBE else "circle"
                p, s = m.pose.position, m.scale
                found[m.ns, m.id] = Obstacle(kind, p.x, p.y, yaw_of(m.pose.orientation), s.x, s.y)
    return list(found.values())


def _markers(recording: Recording) -> Topic | None:
    kinds = [t for t in recording.topics.values() if t.type == "visualization_msgs/msg/MarkerArray" and len(t)]
    named = [t for t in kinds if t.name.endswith(("sim/world", "sim/markers"))]
    return (named or kinds or [None])[0]


def _goal(recording: Recording, metadata: dict[str, Any]) -> tuple[float, float] | None:
    topic = recording.topic("goal_pose")
    if topic is not None and len(topic):
        p = topic.decode(len(topic) - 1).pose.position
        return p.x, p.y
    goal = metadata.get("goal")
    return (float(goal[0]), float(goal[1])) if goal else None


def _clock(recording: Recording, start_ns: int) -> tuple[float, FloatArray, FloatArray]:
    """Zero of the system clock in seconds, and pairs of (system, ROS) time since their zeros."""
    topic = recording.topic("clock")
    if topic is None or len(topic) < 2:
        return 0.0, np.zeros(0), np.zeros(0)
    step = max(1, len(topic) // 2000)
    picked = range(0, len(topic), step)
    # when it was sent, not received: a reader that was late must not bend the clock
    system = np.array([topic.published_ns[i] for i in picked], dtype=np.int64)
    ros = np.array([(c := topic.decode(i).clock).sec * 10**9 + c.nanosec for i in picked], dtype=np.int64)
    zero = system[0] / 1e9
    return zero, system / 1e9 - zero, (ros - start_ns) / 1e9


def load(folder: Path) -> Run:
    """Read a run's folder: run.mcap, and run.json where it is there.

    Raises OSError where run.mcap can't be read, RecordingError where it or run.json is not what it should be.
    """
    metadata = read_metadata(folder)
    file = folder / "run.mcap"
    if not file.is_file():
        raise RecordingError(f"{file}: no such file; a report is made from the folder of a run")
    recording = read(file)
    state_topic = recording.topic("sim/state")
    first = next((t for t in (state_topic, recording.topic("reflex/status")) if t is not None and len(t)), None)
    if first is None:
        raise RecordingError(f"{file}: holds neither sim/state nor reflex/status, so there is nothing to report")
    start_ns = stamp_ns(first.decode(0))

    state = _series(
        state_topic,
        start_ns,
        lambda m: (
            m.pose.x, m.pose.y, m.pose.theta, m.linear_x, m.angular_z, m.goal_distance, m.minimum_distance,
            m.contacts, m.path_length,
        ),
        "x y yaw speed yaw_rate goal_distance minimum_distance contacts path_length",
    )  # fmt: skip
    status_topic = recording.topic("reflex/status")
    status = _series(
        status_topic,
        start_ns,
        lambda m: (
            m.mode, m.rate, m.ticks, m.missed, *m.lateness_us, *m.tick_cost_us, m.scan_age, m.planner_age, m.refused,
            m.spikes_per_second, m.synaptic_events_per_second, m.power_uw, m.nearest_obstacle, m.heading, m.guarded,
        ),
        "mode rate ticks missed late50 late99 late999 latemax cost50 cost99 cost999 costmax scan_age planner_age "
        "refused spikes events power nearest heading guarded",
    )  # fmt: skip
    rates_topic = recording.topic("planner/rates")
    rates = _series(rates_topic, start_ns, lambda m: (len(m.rates),), "neurons")
    zero, system, ros = _clock(recording, start_ns)
    run = Run(
        folder=folder,
        metadata=metadata,
        recording=recording,
        start_ns=start_ns,
        state=state,
        status=status,
        reasons=[m.reason for m in status_topic] if status_topic is not None else [],
        command=_series(_twist_stamped(recording), start_ns, _command_row, "speed yaw_rate"),
        odometry=_series(recording.topic("odom"), start_ns, _odometry_row, "x y yaw speed yaw_rate"),
        rates=rates,
        heading_rates=_heading_rates(rates_topic),
        rasters=_rasters(recording.topic("planner/spikes"), start_ns)
        + _rasters(recording.topic("reflex/spikes"), start_ns),
        obstacles=_obstacles(_markers(recording)),
        goal=_goal(recording, metadata),
        clock=(system, ros),
    )
    run._system_zero = zero
    robot = metadata.get("robot")
    if isinstance(robot, dict) and {"length", "width"} <= robot.keys():
        run.outline = (float(robot["length"]), float(robot["width"]))
    return run


def _twist_stamped(recording: Recording) -> Topic | None:
    topic = recording.topic("cmd_vel")
    return topic if topic is not None and topic.type == "geometry_msgs/msg/TwistStamped" else None


def _heading_rates(topic: Topic | None) -> FloatArray:
    rows = []
    for message in topic or ():
        heading = next((p for p in populations_of(message) if p.name == "heading"), None)
        rows.append(np.asarray(message.rates, dtype=np.float64)[heading.slice] if heading else np.zeros(0))
    width = max((len(r) for r in rows), default=0)
    table = np.zeros((len(rows), width))
    for i, row in enumerate(rows):
        table[i, : row.size] = row
    return table


def read_metadata(folder: Path) -> dict[str, Any]:
    """run.json of a run's folder, {} where there is none; RecordingError where it is no JSON object."""
    file = folder / "run.json"
    if not file.is_file():
        return {}
    try:
        metadata = json.loads(file.read_text())
    except ValueError as error:
        raise RecordingError(f"{file}: no JSON: {error}") from None
    if not isinstance(metadata, dict):
        raise RecordingError(f"{file}: a {type(metadata).__name__}, expected an object")
    return metadata


_CHANNELS = {"rgb8": 3, "bgr8": 3, "mono8": 1}


def frames(run: Run, at: Iterable[float]) -> list[Frame]:
    """The camera images that were newest at the times given; images of an unknown or broken kind are left out."""
    topic = run.recording.topic("camera/image_raw")
    if topic is None or not len(topic):
        return []
    received = run.time_of(topic.received)
    picked = sorted({max(0, int(np.searchsorted(received, t, side="right")) - 1) for t in at})
    result = []
    for i in picked:
        m = topic.decode(i)
        channels = _CHANNELS.get(m.encoding)
        data = np.frombuffer(bytes(m.data), dtype=np.uint8)
        if channels is None or not m.height or m.step < m.width * channels or data.size != m.height * m.step:
            continue
        pixels = data.reshape(m.height, m.step)[:, : m.width * channels].reshape(m.height, m.width, channels)
        if m.encoding == "bgr8":
            pixels = pixels[:, :, ::-1]
        elif m.encoding == "mono8":
            pixels = np.repeat(pixels, 3, axis=2)
        result.append(Frame((stamp_ns(m) - run.start_ns) / 1e9, np.ascontiguousarray(pixels)))
    return result

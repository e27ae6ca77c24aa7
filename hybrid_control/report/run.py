"""A recorded run as arrays over time: what the numbers and the pictures of a report are made from."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.planner.images import ImageError, decode
from hybrid_control.report.recording import Recording, RecordingError, Topic, read
from hybrid_control.signals import Population, Pose, layout

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """Values over time: t (n,) seconds of the run by the stamps; received (n,) seconds when received; fields (n,)."""

    t: FloatArray
    received: FloatArray
    fields: dict[str, FloatArray]

    def __len__(self) -> int:
        return int(self.t.size)

    def __getitem__(self, name: str) -> FloatArray:
        return self.fields[name]

    def at(self, t: float) -> int:
        """Index of the newest value at time t; 0 before the first."""
        return max(0, int(np.searchsorted(self.t, t, side="right")) - 1)

    def pose(self, t: float) -> Pose:
        """x, y and yaw at a time, between two values on the straight line; ValueError for a series without any."""
        x, y, yaw = (np.interp(t, self.t, values) for values in (self["x"], self["y"], np.unwrap(self["yaw"])))
        return Pose(float(x), float(y), float(yaw))

    def cut(self, end: float) -> tuple[Series, NDArray[np.bool_]]:
        """What lies within 0 .. end, and which values that are."""
        inside = (self.t >= 0) & (self.t <= end)
        kept = {name: values[inside] for name, values in self.fields.items()}
        return Series(self.t[inside], self.received[inside], kept), inside


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
    """One shape of the map: centre, yaw, size in x and y (a circle's diameter); metres, rad.

    kind: "circle", "box", "mover" for a circle that moves, where it begins, or "patch" for a piece of ground, with its
    name and colour.
    """

    kind: str
    x: float
    y: float
    yaw: float
    size_x: float
    size_y: float
    name: str = ""
    colour: str = ""


@dataclass(frozen=True)
class Clock:
    """Seconds of the run for times of the system clock.

    start_ns: the ROS clock at the run's time 0. system_ns, ros: pairs of system time and seconds of the run, as /clock
    said; empty where the ROS clock is the system clock.
    """

    start_ns: int
    system_ns: NDArray[np.int64]
    ros: FloatArray

    @property
    def live(self) -> bool:
        """Whether the ROS clock is the system clock, so that a time of reception may be compared with a stamp."""
        return self.system_ns.size < 2

    def at(self, system_ns: NDArray[np.int64]) -> FloatArray:
        """Seconds of the run at each system time, (n,)."""
        if self.live:
            return (system_ns - self.start_ns) / 1e9
        zero = self.system_ns[0]
        return np.interp((system_ns - zero) / 1e9, (self.system_ns - zero) / 1e9, self.ros)


@dataclass
class Run:
    """Everything that a report needs; a topic that was not recorded is an empty series.

    metadata: run.json. Times are seconds of the ROS clock since the first state of the simulator; what was recorded
    before, while the nodes started, and after the end is left out. reasons: of each status. heading_rates:
    (n, neurons) Hz, with rates. outline: length and width of the robot, m.
    """

    folder: Path
    metadata: dict[str, Any]
    recording: Recording
    clock: Clock
    duration: float
    state: Series
    status: Series
    reasons: list[str]
    command: Series
    odometry: Series
    scans: Series
    rates: Series
    heading_rates: FloatArray
    rasters: list[Raster]
    obstacles: list[Obstacle]
    goal: tuple[float, float] | None
    outline: tuple[float, float] = (0.508, 0.43)

    def time(self, message: Any) -> float:
        """Seconds of the run at a message's stamp."""
        return (stamp_ns(message) - self.clock.start_ns) / 1e9


def stamp_ns(message: Any) -> int:
    """The stamp of a message with a header, nanoseconds."""
    return int(message.header.stamp.sec) * 1_000_000_000 + int(message.header.stamp.nanosec)


def _series(topic: Topic | None, clock: Clock, names: str, row: Callable[[Any], Iterable[float]]) -> Series:
    """One row of numbers for each message."""
    columns = names.split()
    count = len(topic) if topic is not None else 0
    stamps, values = np.empty(count), np.empty((count, len(columns)))
    for i, message in enumerate(topic or ()):
        stamps[i] = (stamp_ns(message) - clock.start_ns) / 1e9
        values[i] = tuple(row(message))
    received = clock.at(topic.received) if topic is not None and count else np.empty(0)
    return Series(stamps, received, {name: values[:, k].copy() for k, name in enumerate(columns)})


def yaw_of(q: Any) -> float:
    """Yaw in radians of a quaternion message."""
    return math.atan2(2 * (q.w * q.z + q.x * q.y), 1 - 2 * (q.y * q.y + q.z * q.z))


def _command_of(twist: Any) -> tuple[float, float]:
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
    shapes: dict[tuple[str, int], Obstacle] = {}
    for message in topic or ():
        for m in message.markers:
            if m.action == _DELETE_ALL:
                shapes.clear()
            elif m.action == _DELETE:
                shapes.pop((m.ns, m.id), None)
            elif m.type in (_CUBE, _SPHERE, _CYLINDER) and m.ns not in ("goal", "start", "robot"):
                kind = "box" if m.type == _CUBE else "mover" if m.ns == "movers" else "circle"
                p, s, c = m.pose.position, m.scale, m.color
                shapes[m.ns, m.id] = Obstacle(kind, p.x, p.y, yaw_of(m.pose.orientation), s.x, s.y)
                if m.ns == "patches":
                    colour = f"rgb({255 * c.r:.0f} {255 * c.g:.0f} {255 * c.b:.0f})"
                    name = getattr(m, "text", "")
                    shapes[m.ns, m.id] = replace(shapes[m.ns, m.id], kind="patch", name=name, colour=colour)
    return list(shapes.values())


def _markers(recording: Recording) -> Topic | None:
    topic = recording.topic("sim/world")
    return topic if topic is not None and topic.type == "visualization_msgs/msg/MarkerArray" else None


def _goal(recording: Recording, metadata: dict[str, Any]) -> tuple[float, float] | None:
    topic = recording.topic("goal_pose")
    if topic is not None and len(topic):
        p = topic.decode(len(topic) - 1).pose.position
        return p.x, p.y
    goal = metadata.get("goal")
    return (float(goal[0]), float(goal[1])) if goal else None


_SAME_CLOCK = 10**9  # ns that /clock may be behind the system clock where it passes that on


def _clock(recording: Recording, start_ns: int) -> Clock:
    topic = recording.topic("clock")
    live = Clock(start_ns, np.zeros(0, np.int64), np.zeros(0))
    if topic is None or len(topic) < 2:
        return live
    picked = range(0, len(topic), max(1, len(topic) // 2000))
    # when it was sent, not received: a reader that was late must not bend the clock
    system = np.array([topic.published_ns[i] for i in picked], dtype=np.int64)
    ros = np.array([(c := topic.decode(i).clock).sec * 10**9 + c.nanosec for i in picked], dtype=np.int64)
    if abs(np.median(system - ros)) < _SAME_CLOCK:
        return live
    return Clock(start_ns, system, (ros - start_ns) / 1e9)


_STATE = "x y yaw speed yaw_rate goal_distance minimum_distance contacts path_length"
_STATUS = (
    "mode rate ticks missed late50 late99 late999 latemax cost50 cost99 cost999 costmax scan_age planner_age refused "
    "spikes events power nearest heading wish_speed wish_yaw_rate allowed_speed allowed_yaw_rate guard_share"
)


def _state_row(m: Any) -> tuple[float, ...]:
    truth = (m.goal_distance, m.minimum_distance, m.contacts, m.path_length)
    return (m.pose.x, m.pose.y, m.pose.theta, m.linear_x, m.angular_z, *truth)


def _status_row(m: Any) -> tuple[float, ...]:
    network = (m.spikes_per_second, m.synaptic_events_per_second, m.power_uw)
    loop = (m.rate, m.ticks, m.missed, *m.lateness_us, *m.tick_cost_us)
    inputs = (m.scan_age, m.planner_age, m.refused)
    guard = [math.nan] * 5
    if hasattr(m, "guard_share"):  # older recordings have none of it
        guard = [*_command_of(m.wish), *_command_of(m.allowed), m.guard_share]
    return (m.mode, *loop, *inputs, *network, m.nearest_obstacle, m.heading, *guard)


def _open(folder: Path, metadata: dict[str, Any]) -> Recording:
    """The recording; an empty one where run.json says how the run went but nothing could be recorded."""
    file = folder / "run.mcap"
    try:
        if file.is_file():
            return read(file)
    except RecordingError:
        if "outcome" not in metadata:
            raise
    if "outcome" not in metadata:
        raise RecordingError(f"{file}: no such file; a report is made from the folder of a run")
    return Recording({}, complete=False)


def load(folder: Path) -> Run:
    """Read a run's folder: run.mcap, and run.json where it is there.

    Raises OSError where run.mcap can't be read, RecordingError where it or run.json is not what it should be.
    """
    metadata = read_metadata(folder)
    recording = _open(folder, metadata)
    first = next(
        (t for n in ("sim/state", "reflex/status") if (t := recording.topic(n)) is not None and len(t)), None
    )
    if first is None and "outcome" not in metadata:
        raise RecordingError(
            f"{folder / 'run.mcap'}: holds neither sim/state nor reflex/status: nothing to report"
        )
    start_ns = stamp_ns(first.decode(0)) if first is not None else 0
    clock = _clock(recording, start_ns)

    state = _series(recording.topic("sim/state"), clock, _STATE, _state_row)
    status_topic = recording.topic("reflex/status")
    status = _series(status_topic, clock, _STATUS, _status_row)
    end = float(next((s.t[-1] for s in (state, status) if len(s)), 0.0))
    end = min(end, float(metadata.get("ended_s", end)))
    status, kept = status.cut(end)
    reasons = [m.reason for m, keep in zip(status_topic or (), kept, strict=True) if keep]
    rates_topic = recording.topic("planner/rates")
    rates, kept = _series(rates_topic, clock, "neurons", lambda m: (len(m.rates),)).cut(end)

    run = Run(
        folder=folder,
        metadata=metadata,
        recording=recording,
        clock=clock,
        duration=end,
        state=state.cut(end)[0],
        status=status,
        reasons=reasons,
        command=_series(
            _twist_stamped(recording), clock, "speed yaw_rate", lambda m: _command_of(m.twist)
        ).cut(end)[0],
        odometry=_series(recording.topic("odom"), clock, "x y yaw speed yaw_rate", _odometry_row).cut(end)[0],
        scans=_series(recording.topic("scan"), clock, "beams", lambda m: (len(m.ranges),)).cut(end)[0],
        rates=rates,
        heading_rates=_heading_rates(rates_topic)[kept],
        rasters=_rasters(recording.topic("planner/spikes"), start_ns)
        + _rasters(recording.topic("reflex/spikes"), start_ns),
        obstacles=_obstacles(_markers(recording)),
        goal=_goal(recording, metadata),
    )
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


def frames(run: Run, at: Iterable[float]) -> list[Frame]:
    """The camera images that were newest at the times given; images of an unknown or broken kind are left out."""
    topic = run.recording.topic("camera/image_raw")
    if topic is None or not len(topic):
        return []
    received = run.clock.at(topic.received)
    picked = sorted({max(0, int(np.searchsorted(received, t, side="right")) - 1) for t in at})
    result = []
    for i in picked:
        m = topic.decode(i)
        with contextlib.suppress(ImageError):
            pixels = decode(bytes(m.data), m.encoding, m.height, m.width, m.step)
            result.append(Frame(run.time(m), pixels))
    return result

"""The reflex as one object: checks what comes in, hands it to the tick, and tells what the tick did."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.reflex import tick as t
from hybrid_control.navigation.reflex.gains import GAINS, SETTINGS
from hybrid_control.navigation.reflex.guard import nearest_distance
from hybrid_control.navigation.reflex.modes import Mode
from hybrid_control.navigation.reflex.movers import WATCHED, mark_passed, watch
from hybrid_control.navigation.reflex.network import (
    BOARD_INPUTS,
    BOARD_OUTPUTS,
    GAINED,
    SPIKE_LAYOUT,
    build_network,
    with_gains,
)
from hybrid_control.navigation.reflex.percept import (
    MAX_BEAMS,
    MAX_POINTS,
    NEAR,
    approach_speeds,
    perceive,
)
from hybrid_control.navigation.reflex.tick import Reason
from hybrid_control.parameters import ParameterError, Value, check_all
from hybrid_control.signals import (
    PLANNER_POPULATIONS,
    Goal,
    Odometry,
    Pose,
    RangeScan,
    SpikeTrain,
    Twist,
    VerticalRanges,
)
from hybrid_control.signals.headings import SECTORS
from hybrid_control.snn import Engine, Network
from hybrid_control.snn.backends.numba.kernels import K_NEW, K_THRESHOLD, K_V
from hybrid_control.snn.energy import LOIHI, estimate

INPUTS = {
    "planner": t.CHANNELS,
    "arousal": 1,
    "goal_current": SECTORS,
    "near_current": SECTORS,
    "mid_current": SECTORS,
    "far_current": SECTORS,
    "approach_current": SECTORS,
    "stuck_current": 1,
}
# Gains that are weights and parameters of the network: a board has them from when it was loaded.
LOADED = (*GAINED, "time_constant", "threshold")
# place in SPIKE_LAYOUT of each neuron of BOARD_OUTPUTS
_SPIKE_PLACE = np.concatenate(
    [
        np.arange(p.first, p.first + p.size)
        for name in (q.name.removesuffix("_out") for q in BOARD_OUTPUTS)
        for p in SPIKE_LAYOUT
        if p.name == name
    ]
)
MAX_FUTURE_NS = 50_000_000  # a stamp further ahead of the clock than this comes from another clock
LONGEST_WINDOW_NS = 2_000_000_000  # of a window of spikes that is told; a SpikeTrain holds up to 4.3 s
APPROACH_SMOOTHING = 0.4
WATCH_NS = 200_000_000  # age of the odometry, against the scan, beyond which nothing that moves is followed

REASONS = {
    Reason.NONE: "planner and sensors are fresh",
    Reason.NOT_ACTIVE: "not active",
    Reason.NO_SCAN: "no scan yet",
    Reason.STALE_SCAN: "the newest scan is too old",
    Reason.NO_GOAL: "no goal yet",
    Reason.STALE_ODOMETRY: "no planner, and no odometry to know the goal's bearing by",
    Reason.STALE_PLANNER: "no fresh spikes from the planner",
    Reason.AT_GOAL: "at the goal",
    Reason.NETWORK: "the network failed",
    Reason.STALE_HEIGHT: "no fresh ranges up and down, and hover_height is to be kept",
    Reason.BOARD_SILENT: "the board is silent",
    Reason.BOARD_REPLACED: "the board is silent, its network runs here",
}


class InputRefused(ValueError):
    """An input that the reflex does not act on; the message says why in one line."""


@dataclass(frozen=True, slots=True)
class Command:
    """What the reflex wants of the motors, and in which mode."""

    twist: Twist
    mode: Mode
    tick: int


@dataclass(frozen=True, slots=True)
class Status:
    """What the reflex is doing; the fields of ReflexStatus.msg but for the loop's timing."""

    mode: Mode
    reason: str
    tick: int
    scan_age: float  # s, NaN where none was received; as the two that follow
    planner_age: float
    odometry_age: float
    refused: int
    spikes_per_second: float
    synaptic_events_per_second: float
    power_uw: float  # estimated with the constants of `snn.energy.LOIHI`
    nearest_obstacle: float  # m from the outline, inf for none in range
    heading: float  # rad, NaN where the ring is silent
    guarded: bool
    gains_version: int


class Reflex:
    """The avoidance reflex behind its mailboxes.

    settings, gains: values by name for what differs from the defaults of `gains.SETTINGS` and `gains.GAINS`;
    ParameterError for one that does not exist or can't be. clock: the loop's clock in nanoseconds (monotonic in
    real time, the simulator's in lock step). ValueError for a network file that lacks an input, an output or a
    projection that the tick needs.

    Hand `tick` and `context` to a loop of `realtime`. The put_* methods may be called from any thread; none waits
    for the loop. Each raises InputRefused, and counts it, for a value that must not be acted on.
    """

    def __init__(
        self,
        settings: Mapping[str, Value] | None = None,
        gains: Mapping[str, Value] | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.settings = check_all(SETTINGS, settings or {})
        self._gains = check_all(GAINS, gains or {})
        self.rate = float(self.settings["rate"])
        self.tick: Any = t.tick
        self._clock = clock
        self._lock = threading.Lock()  # among writers; the loop never takes it
        self.refused = 0
        self.refusals: dict[str, int] = {}  # count by kind of input
        self._last_stamp: dict[str, int] = {}
        self._ages = {"scan": -1, "train": -1, "motion": -1}
        file = str(self.settings["network_file"])
        network = Network.load(Path(file)) if file else build_network(dt=1.0 / self.rate)
        self.network = network
        self.backend = str(self.settings["backend"])
        self.engine = Engine(network, dt=1.0 / self.rate)
        self._boxes = t.mailboxes()
        self._sectors = np.full(SECTORS, np.inf, np.float32)
        self._approach = np.zeros(SECTORS, np.float32)
        self._motion: Odometry | None = None
        self._watched: NDArray[Any] = np.zeros(1, WATCHED)
        self._goal: Goal | None = None
        self._waypoint_until: int | None = None  # by the loop's clock; None while the goal itself is aimed at
        self._nearest = math.inf
        self.context: NDArray[Any] = np.zeros(1, t.CONTEXT)
        self._log_tail = self._board_tail = 0
        self._board_record = self._boxes["board"].new()
        self._totals = np.zeros(4)  # seconds, spikes, synaptic events, joules when last asked
        self._fill_context(file or "the built-in network")
        self.set_gains({})

    @property
    def tick_address(self) -> int:
        """Address of ``int64 tick(void* context, int64 now_ns)``."""
        return int(self.tick.address)

    def _fill_context(self, name: str) -> None:
        engine, c = self.engine, self.context
        for box, mailbox in self._boxes.items():
            c[f"{box}_box"] = mailbox.address
        c["arena"] = engine.address
        for node, size in INPUTS.items():
            if node not in engine.input_names or engine.input(node).size != size:
                raise ValueError(
                    f"{name}: the reflex needs an Input {node!r} of {size}; there are {engine.input_names}"
                )
            c[f"{node.removesuffix('_current')}_in"] = engine.input(node).ctypes.data
        for population in SPIKE_LAYOUT:
            node = population.name
            if node not in engine.graph.nodes or engine.spikes(node).size != population.size:
                raise ValueError(
                    f"{name}: the reflex needs a spiking population {node!r} of {population.size}"
                )
            c[f"{node}_out"] = engine.spikes(node).ctypes.data
        for gain, projection in GAINED.items():
            c[f"{gain}_at"] = engine.projection_gain(projection).ctypes.data
        for row, number in (("keep", K_V), ("take", K_NEW), ("threshold", K_THRESHOLD)):
            values = engine.coefficient("ring", number)
            c[f"ring_{row}_at"], c["ring_rows"] = values.ctypes.data, values.size
        s = self.settings
        c["dt"] = 1.0 / self.rate
        c["half_length"] = float(s["robot_length"]) / 2
        c["half_width"] = float(s["robot_width"]) / 2
        c["goal_tolerance"] = float(s["goal_tolerance"])
        c["stop_without_planner"] = s["without_planner"] == "stop"
        c["holonomic"] = bool(s["holonomic"])
        c["response"] = float(s["response_time"])
        c["hover_height"] = float(s["hover_height"]) if s["holonomic"] else 0.0
        c["vertical_clearance"] = float(s["vertical_clearance"])
        c["max_climb"] = float(s["max_climb"])
        c["backend"] = self.backend != "numba"
        c["stop_without_board"] = s["without_board"] == "stop"
        c["board_timeout"] = float(s["board_timeout"])
        for node in ("approach", "far", "goal", "mid", "near") if self.backend != "numba" else ():
            c[f"{node}_spikes"] = engine.spikes(node).ctypes.data

    # inputs

    def _refuse(self, kind: str, why: str) -> InputRefused:
        self.refused += 1
        self.refusals[kind] = self.refusals.get(kind, 0) + 1
        return InputRefused(f"{kind} refused: {why}")

    def _received(self, kind: str, stamp_ns: int, now_ns: int, limit: str) -> int:
        """The stamp on the loop's clock; refuses one that is too old, from the future or out of order."""
        age = now_ns - stamp_ns
        allowed = float(self._gains[limit])
        if age > allowed * 1e9:
            raise self._refuse(kind, f"its stamp is {age * 1e-9:.3f} s old, {limit} is {allowed:g} s")
        if age < -MAX_FUTURE_NS:
            raise self._refuse(kind, f"its stamp is {-age * 1e-9:.3f} s in the future")
        last = self._last_stamp.get(kind)
        if last is not None and stamp_ns <= last and -MAX_FUTURE_NS <= now_ns - last < allowed * 1e9:
            raise self._refuse(
                kind, f"its stamp is {(last - stamp_ns) * 1e-9:.3f} s before the one before it"
            )
        self._last_stamp[kind] = stamp_ns
        return self._clock() - max(age, 0)

    def put_scan(
        self, scan: RangeScan, now_ns: int, handed_over: Callable[[], object] | None = None
    ) -> None:
        """A sweep of the range sensor. now_ns: the ROS clock. handed_over: called as soon as the loop can see the
        scan; what only the next scan needs is worked out after that.

        Refused: no beams or more than MAX_BEAMS, more than one turn in all, NaN, negative ranges (but -inf, which
        is read as range_min), and stamps as `gains.scan_timeout` says.
        """
        n = scan.ranges.size
        with self._lock:
            if not 1 <= n <= MAX_BEAMS:
                raise self._refuse("scan", f"{n} beams, expected 1 .. {MAX_BEAMS}")
            if abs(scan.angle_increment) * (n - 1) > 2 * math.pi + 1e-3:
                raise self._refuse(
                    "scan", f"{n} beams of {scan.angle_increment:g} rad make more than one turn"
                )
            bad = np.isnan(scan.ranges) | ((scan.ranges < 0) & np.isfinite(scan.ranges))
            if bad.any():
                first = int(np.flatnonzero(bad)[0])
                raise self._refuse(
                    "scan", f"beam {first} is {scan.ranges[first]} m ({int(bad.sum())} such beams)"
                )
            previous = self._last_stamp.get("scan")
            received = self._received("scan", scan.stamp_ns, now_ns, "scan_timeout")
            record = self._boxes["scan"].new()
            count = perceive(
                scan.ranges, scan.angle_min, scan.angle_increment, scan.range_min, scan.range_max,
                float(self.settings["lidar_x"]), float(self.settings["lidar_yaw"]), record["points"], record["sectors"],
            )  # fmt: skip
            interval = (scan.stamp_ns - previous) * 1e-9 if previous is not None else 0.0
            if not 0.0 < interval < 0.5:
                self._approach[:] = 0.0
                interval = 0.0
            approach_speeds(record["sectors"], self._sectors, interval, APPROACH_SMOOTHING, self._approach)
            self._sectors = record["sectors"].copy()
            record["count"], record["approach"] = count, self._approach
            motion = self._motion_at(scan.stamp_ns)
            record["moving"] = self._watch(scan, interval, motion, record) if motion else 0
            self._nearest = float(
                nearest_distance(
                    record["points"], count, self.context["half_length"][0], self.context["half_width"][0]
                )
            )
            self._ages["scan"] = received
            self._boxes["scan"].write(record, scan.stamp_ns, received)
            if handed_over is not None:
                handed_over()
            if motion:
                mark_passed(
                    self._watched[0], scan.ranges, scan.angle_min, scan.angle_increment, scan.range_min
                )

    def _motion_at(self, stamp_ns: int) -> Odometry | None:
        """What odometry says of a scan's time; None where it is stale: then nothing that moves is followed."""
        motion = self._motion
        if motion is None or self.settings["holonomic"] or not 0 <= stamp_ns - motion.stamp_ns < WATCH_NS:
            return None
        return motion

    def _watch(self, scan: RangeScan, interval: float, motion: Odometry, record: NDArray[Any]) -> int:
        """What moves, and which motions it leaves the robot."""
        g, s = self._gains, self.settings
        record["fastest"], record["fastest_turn"] = (
            max(float(g[limit]), 0.1) for limit in ("max_speed", "max_yaw_rate")
        )
        return watch(
            self._watched[0], scan.ranges, scan.angle_min, scan.angle_increment, scan.range_min, scan.range_max,
            float(s["lidar_x"]), float(s["lidar_yaw"]), motion.pose.x, motion.pose.y, motion.pose.yaw,
            motion.twist.linear_x, motion.twist.angular_z, (scan.stamp_ns - motion.stamp_ns) * 1e-9, interval,
            record["sectors"], float(record["fastest"]), float(record["fastest_turn"]),
            float(g["max_acceleration"]), t.MAX_YAW_ACCELERATION,
            float(s["robot_length"]) / 2, float(s["robot_width"]) / 2, record["times"],
        )  # fmt: skip

    def put_points(
        self,
        points: NDArray[np.float32],
        sectors: NDArray[np.float32],
        approach: NDArray[np.float32],
        oldest_ns: int,
        expires_ns: int,
        now_ns: int,
    ) -> None:
        """What several sensors see together (`hybrid_control.navigation.sensors.Fused`), in place of `put_scan`.

        points: (n, 2) m in the robot's frame, in order of bearing; sectors: (SECTORS,) m, inf for none; approach:
        (SECTORS,) m/s. oldest_ns, expires_ns: ROS time of the oldest reading, and at which the first of them is too
        old: the robot then stops. Refused where that has come, or `gains.scan_timeout` has gone by.
        """
        with self._lock:
            limit = round(float(self._gains["scan_timeout"]) * 1e9)
            age = max(now_ns - oldest_ns, limit - (expires_ns - now_ns))
            if age > limit:
                raise self._refuse("sensors", f"a reading is {(age - limit) * 1e-9:.3f} s too old")
            received = self._clock() - max(age, 0)
            record = self._boxes["scan"].new()
            near = np.flatnonzero(np.hypot(points[:, 0], points[:, 1]) <= NEAR)
            near = near[:: max(1, -(-near.size // MAX_POINTS))]  # thinned evenly, so that no side goes unseen
            record["points"][: near.size] = points[near]
            record["count"], record["sectors"], record["approach"] = near.size, sectors, approach
            self._nearest = float(
                nearest_distance(
                    record["points"], near.size, self.context["half_length"][0], self.context["half_width"][0]
                )
            )
            self._ages["scan"] = received
            self._boxes["scan"].write(record, oldest_ns, received)

    def put_planner_spikes(self, train: SpikeTrain, now_ns: int) -> None:
        """A window of the planner's spikes (populations heading and speed), delivered over the ticks that follow.

        Refused: other populations, more than MAX_SPIKES spikes, longer than half the playout buffer, overlapping
        the window before it, stamps as `gains.planner_timeout` says.
        """
        with self._lock:
            if [(p.name, p.size) for p in train.populations] != [
                (p.name, p.size) for p in PLANNER_POPULATIONS
            ]:
                have = ", ".join(f"{p.name} ({p.size})" for p in train.populations)
                want = ", ".join(f"{p.name} ({p.size})" for p in PLANNER_POPULATIONS)
                raise self._refuse("planner spikes", f"populations {have}; expected {want}")
            if train.neuron.size > t.MAX_SPIKES:
                raise self._refuse(
                    "planner spikes", f"{train.neuron.size} in a window, at most {t.MAX_SPIKES}"
                )
            longest = t.PLAYOUT / self.rate / 2
            if train.duration_ns > longest * 1e9:
                raise self._refuse(
                    "planner spikes", f"a window of {train.duration_ns * 1e-9:g} s, at most {longest:g} s"
                )
            last = self._last_stamp.get("planner spikes")
            if last is not None and 0 < train.stamp_ns - last < 0.5 * train.duration_ns:
                raise self._refuse(
                    "planner spikes",
                    f"the window begins {(train.stamp_ns - last) * 1e-9:.4f} s after the one before it",
                )
            received = self._received("planner spikes", train.stamp_ns, now_ns, "planner_timeout")
            record = self._boxes["train"].new()
            record["count"] = train.neuron.size
            record["neuron"][: train.neuron.size] = train.neuron
            record["offset_ns"][: train.neuron.size] = train.offset_ns
            self._ages["train"] = received
            self._boxes["train"].write(record, train.stamp_ns, received)

    def put_odometry(self, odometry: Odometry, now_ns: int) -> None:
        """Pose and speed, by which the goal's bearing is known. Stamps as `gains.odometry_timeout` says."""
        with self._lock:
            received = self._received("odometry", odometry.stamp_ns, now_ns, "odometry_timeout")
            record = self._boxes["motion"].new()
            for name, value in (
                ("x", odometry.pose.x),
                ("y", odometry.pose.y),
                ("yaw", odometry.pose.yaw),
                ("linear_x", odometry.twist.linear_x),
                ("linear_y", odometry.twist.linear_y),
                ("angular_z", odometry.twist.angular_z),
            ):
                record[name] = value
            self._ages["motion"] = received
            self._motion = odometry
            until = self._waypoint_until
            if self._goal is not None and until is not None and self._clock() > until:
                self._waypoint_until = None
                self._aim_at(self._goal)
            self._boxes["motion"].write(record, odometry.stamp_ns, received)

    def put_vertical(self, ranges: VerticalRanges, now_ns: int) -> None:
        """Ranges up and down of a holonomic vehicle. now_ns: the ROS clock. Stamps as `gains.scan_timeout` says."""
        with self._lock:
            received = self._received("vertical ranges", ranges.stamp_ns, now_ns, "scan_timeout")
            record = self._boxes["vertical"].new()
            record["up"], record["down"] = ranges.up, ranges.down
            self._boxes["vertical"].write(record, ranges.stamp_ns, received)

    def put_goal(self, goal: Goal) -> None:
        """Where to go, in the odometry's frame. The same goal again changes nothing."""
        with self._lock:
            if self._goal is None or (self._goal.x, self._goal.y) != (goal.x, goal.y):
                self._goal, self._waypoint_until = goal, None
                self._aim_at(goal)

    def put_waypoint(self, point: Goal, now_ns: int) -> None:
        """A point on the way to the goal, or where the goal lies by a better reckoning, in the odometry's frame.

        It stands in for the goal until the next one, but for `gains.planner_timeout` at most: whoever thinks about
        the way may die. Without a goal it is ignored; a stamp as `gains.planner_timeout` says.
        """
        with self._lock:
            if self._goal is None:
                return
            received = self._received("waypoint", point.stamp_ns, now_ns, "planner_timeout")
            self._waypoint_until = received + round(float(self._gains["planner_timeout"]) * 1e9)
            self._aim_at(point)

    def _aim_at(self, point: Goal) -> None:
        newest = self._boxes["goal"].read()
        if newest["sequence"] and (newest["value"]["x"], newest["value"]["y"]) == (point.x, point.y):
            return
        record = self._boxes["goal"].new()
        record["x"], record["y"] = point.x, point.y
        self._boxes["goal"].write(record, point.stamp_ns, self._clock())

    def put_board_spikes(self, train: SpikeTrain) -> None:
        """The spikes that a board's network gave since the last call, which may be none: a sign of its life.

        train: populations as in `network.BOARD_OUTPUTS`. Refused: other ones.
        """
        with self._lock:
            if [(p.name, p.size) for p in train.populations] != [(p.name, p.size) for p in BOARD_OUTPUTS]:
                have = ", ".join(f"{p.name} ({p.size})" for p in train.populations)
                want = ", ".join(f"{p.name} ({p.size})" for p in BOARD_OUTPUTS)
                raise self._refuse("board spikes", f"populations {have}; expected {want}")
            if train.neuron.size:
                np.add.at(self._board_record["spikes"], _SPIKE_PLACE[train.neuron], 1)
            self._boxes["board"].write(self._board_record, train.stamp_ns, self._clock())

    def take_board_spikes(self) -> SpikeTrain | None:
        """What the ticks since the last call have for a board; None where there was nothing.

        Populations as in `network.BOARD_INPUTS`; times on the loop's clock. For one thread. Spikes that the log could
        not hold (16,384 since the last call) are left out.
        """
        head = int(self.context["board_head"][0])
        begin = max(self._board_tail, head - t.BOARD_LOG + 1024)
        self._board_tail = head
        if head <= begin:
            return None
        places = np.arange(begin, head) % t.BOARD_LOG
        times = self.context["board_time"][0][places]
        first = int(times[0])
        duration = int(times[-1]) - first + 1
        return SpikeTrain(
            first, duration, BOARD_INPUTS, self.context["board_channel"][0][places], times - first
        )

    def board_network(self) -> Network:
        """The network with the gains that it has now, for a board."""
        return with_gains(self.network, {name: float(self._gains[name]) for name in LOADED})

    def set_gains(self, changes: Mapping[str, Value]) -> int:
        """Change several gains at once: one tick sees all of them or none. Returns the set's version.

        ParameterError where one does not exist or can't take its value, or a board has it loaded; then nothing has
        changed.
        """
        with self._lock:
            gains = check_all(GAINS, {**self._gains, **changes})
            for name in LOADED if self.backend != "numba" else ():
                if gains[name] != self._gains[name]:
                    raise ParameterError(
                        f"{name}: is loaded on the board ({self.backend}) and can't change while that runs the network"
                    )
            record = self._boxes["gains"].new()
            for name, value in gains.items():
                record[name] = value
            self._gains = gains
            return self._boxes["gains"].write(record, 0, self._clock())

    @property
    def gains(self) -> dict[str, Value]:
        """The newest set of gains."""
        return dict(self._gains)

    # state

    def activate(self) -> None:
        """Let commands flow."""
        self.context["active"] = 1

    def deactivate(self) -> None:
        """Zero commands from the next tick on."""
        self.context["active"] = 0

    def fail(self) -> None:
        """Zero commands, mode ERROR, until `reset`."""
        self.context["failed"] = 1

    def reset(self) -> None:
        """As new, gains kept; only while no loop runs the tick."""
        self.engine.reset()
        for name in self.engine.input_names:
            self.engine.input(name)[...] = 0.0
        keep = self._gains
        self.context[:] = np.zeros(1, t.CONTEXT)
        self._boxes = t.mailboxes()
        self._last_stamp.clear()
        self._goal, self._waypoint_until, self._motion = None, None, None
        self._watched = np.zeros(1, WATCHED)
        self._ages = dict.fromkeys(self._ages, -1)
        self._sectors[:], self._approach[:], self._nearest = np.inf, 0.0, math.inf
        self._log_tail = self._board_tail = 0
        self._board_record = self._boxes["board"].new()
        self._totals = np.zeros(4)
        self._fill_context("network")
        self.set_gains(keep)

    def warm(self) -> None:
        """Compile what the put_* methods call; as `reset`, only while no loop runs the tick."""
        # without odometry nothing that moves would be looked for
        self.put_odometry(Odometry(0, Pose(), Twist(0)), 0)
        self.put_scan(RangeScan(0, -math.pi, math.pi / 2, 0.1, 10.0, np.ones(4, np.float32)), 0)
        self.reset()

    # outputs

    def command(self) -> Command:
        """The newest command; zero before the first tick."""
        entry = self._boxes["command"].read()
        value = entry["value"]
        twist = Twist(
            int(entry["stamp_ns"]),
            linear_x=float(value["linear_x"]),
            linear_y=float(value["linear_y"]),
            linear_z=float(value["linear_z"]),
            angular_z=float(value["angular_z"]),
        )
        return Command(twist, Mode(int(value["mode"])), int(value["tick"]))

    def spikes(self, stamp_ns: int, now_ns: int) -> SpikeTrain | None:
        """The spikes of ring and motors since the last call, as one window that ends now; None where there are none.

        stamp_ns: the ROS clock's time that stands for now_ns of the loop's clock. Spikes that the log could not
        hold (over 32,768 since the last call), and those of over 2 s ago, are left out.
        """
        head = int(self.context["log_head"][0])
        begin = max(self._log_tail, head - t.SPIKE_LOG + 1024)
        self._log_tail = head
        if head <= begin:
            return None
        places = np.arange(begin, head) % t.SPIKE_LOG
        times = self.context["log_time"][0][places]
        neurons = self.context["log_neuron"][0][places]
        # the loop goes on writing: what it came round to meanwhile is no longer what was asked for
        lost = int(self.context["log_head"][0]) - t.SPIKE_LOG + 1 - begin
        if lost > 0:
            times, neurons = times[lost:], neurons[lost:]
        set_back = np.flatnonzero(np.diff(times) < 0)  # a simulation that began anew
        if set_back.size:
            times, neurons = times[set_back[-1] + 1 :], neurons[set_back[-1] + 1 :]
        recent = np.abs(times - now_ns) < LONGEST_WINDOW_NS
        times, neurons = times[recent], neurons[recent]
        if not times.size:
            return None
        first = int(times[0])
        duration = max(now_ns - first, int(times[-1]) - first) + 1
        return SpikeTrain(stamp_ns - (now_ns - first), duration, SPIKE_LAYOUT, neurons, times - first)

    def status(self) -> Status:
        """What the reflex is doing, rates taken since the last call."""
        now = self._clock()
        value = self._boxes["command"].read()["value"]
        counters = self.engine.counters
        totals = np.array(
            [
                counters.seconds,
                sum(counters.spikes.values()),
                sum(counters.events.values()),
                estimate(counters, LOIHI).joules,
            ]
        )
        seconds, spikes, events, joules = totals - self._totals
        self._totals = totals
        span = max(float(seconds), 1.0 / self.rate)

        def age(kind: str) -> float:
            return (now - self._ages[kind]) * 1e-9 if self._ages[kind] >= 0 else math.nan

        mode = Mode(int(value["mode"]))
        return Status(
            mode=mode,
            reason=REASONS[Reason(int(value["reason"]))],
            tick=int(value["tick"]),
            scan_age=age("scan"),
            planner_age=age("train"),
            odometry_age=age("motion"),
            refused=self.refused,
            spikes_per_second=float(spikes) / span,
            synaptic_events_per_second=float(events) / span,
            power_uw=float(joules) / span * 1e6,
            nearest_obstacle=self._nearest,
            heading=float(value["heading"]),
            guarded=bool(value["guarded"]),
            gains_version=int(value["gains_version"]),
        )

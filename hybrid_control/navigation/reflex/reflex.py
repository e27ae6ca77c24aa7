"""The reflex as one object: checks what comes in, hands it to the tick, and says what the tick did."""

from __future__ import annotations

import copy
import math
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.outline import nearest_distance
from hybrid_control.navigation.reflex.context import (
    BOARD_LOG,
    COMMAND,
    CONTEXT,
    MAX_SPIKES,
    PLAYOUT,
    SPIKE_LOG,
    mailboxes,
)
from hybrid_control.navigation.reflex.evasion import robot_of
from hybrid_control.navigation.reflex.gains import GAINS, ON_BOARD, SETTINGS
from hybrid_control.navigation.reflex.ground import mark_passed
from hybrid_control.navigation.reflex.inputs import InputRefused, Inputs
from hybrid_control.navigation.reflex.modes import Mode
from hybrid_control.navigation.reflex.network import (
    BOARD_INPUTS,
    BOARD_OUTPUTS,
    SPIKE_LAYOUT,
    build_network,
    with_gains,
)
from hybrid_control.navigation.reflex.percept import SWEEP
from hybrid_control.navigation.reflex.returns import Returns
from hybrid_control.navigation.reflex.scan import take_points, take_scan
from hybrid_control.navigation.reflex.sight import Sight
from hybrid_control.navigation.reflex.spike_log import SpikeLog
from hybrid_control.navigation.reflex.states import fill
from hybrid_control.navigation.reflex.status import Command, Meter, Status, reason_of
from hybrid_control.navigation.reflex.target import Target
from hybrid_control.navigation.reflex.tick import tick
from hybrid_control.navigation.reflex.unseen import note
from hybrid_control.navigation.reflex.wiring import connect
from hybrid_control.parameters import ParameterError, Value, check_all
from hybrid_control.signals import (
    PLANNER_POPULATIONS,
    FreeGround,
    Goal,
    NoWay,
    Odometry,
    Pose,
    RangeScan,
    SpikeTrain,
    StateVector,
    Twist,
    VerticalRanges,
)
from hybrid_control.signals.headings import SECTORS
from hybrid_control.snn import Engine, Network

__all__ = ["Command", "InputRefused", "Mode", "Reflex", "Status"]

# place in SPIKE_LAYOUT of each neuron of BOARD_OUTPUTS
_PLACES = {f"{p.name}_out": np.arange(p.first, p.first + p.size) for p in SPIKE_LAYOUT}
_SPIKE_PLACE = np.concatenate([_PLACES[population.name] for population in BOARD_OUTPUTS])
_MODE, _TICK = (list(COMMAND.fields or ()).index(name) for name in ("mode", "tick"))
LONGEST_WINDOW_NS = 2_000_000_000  # of a window of spikes that is sent; a SpikeTrain holds up to 4.3 s


class Reflex:
    """The avoidance reflex behind its mailboxes.

    settings, gains: values by name for what differs from the defaults of `gains.SETTINGS` and `gains.GAINS`;
    ParameterError for one that does not exist or can't be. clock: the loop's clock in nanoseconds (monotonic in
    real time, the simulator's in lock step). network: in place of the setting network_file. ValueError for a network
    that lacks an input, an output or a projection that the tick needs.

    Hand `tick` and `context` to a loop of `realtime`. The put_* methods may be called from any thread; none waits
    for the loop. Each raises InputRefused, and counts it, for a value that must not be acted on.
    """

    tick: Any = tick

    def __init__(
        self,
        settings: Mapping[str, Value] | None = None,
        gains: Mapping[str, Value] | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
        network: Network | None = None,
    ) -> None:
        self.settings = check_all(SETTINGS, settings or {})
        if self.settings["holonomic"] and self.settings["min_turning_radius"]:
            raise ParameterError(
                "min_turning_radius: is for a base that steers; a holonomic one turns on the spot, leave it at 0"
            )
        if self.settings["planner_states"] and self.settings["backend"] != "numba":
            raise ParameterError("planner_states: needs the network on this processor, backend numba")
        self._gains = check_all(GAINS, gains or {})
        self._clock = clock
        self._lock = threading.Lock()  # among writers; the loop never takes it
        self._inputs = Inputs(clock)
        self._returns = Returns(self.settings)
        file = str(self.settings["network_file"])
        self.network = network or (Network.load(Path(file)) if file else build_network(dt=1.0 / self.rate))
        self.engine = Engine(self.network, dt=1.0 / self.rate)
        self.context: NDArray[Any] = np.zeros(1, CONTEXT)
        self._begin(file or "the built-in network")

    def _begin(self, name: str) -> None:
        """Nothing received, nothing logged."""
        self._inputs.last_stamp.clear()
        self._boxes = mailboxes()
        self._target = Target(self._boxes["goal"], self._clock)
        self._sight = Sight()
        self._log, self._board_log = SpikeLog("log", SPIKE_LOG), SpikeLog("board", BOARD_LOG)
        self._meter = Meter()
        connect(self.context, self.engine, self._boxes, self.settings, name)
        self.set_gains({})

    @property
    def rate(self) -> float:
        """Ticks a second."""
        return float(self.settings["rate"])

    @property
    def backend(self) -> str:
        """What runs the network."""
        return str(self.settings["backend"])

    @property
    def refusals(self) -> dict[str, int]:
        """How many inputs were refused, by kind."""
        return self._inputs.refusals

    @property
    def refused(self) -> int:
        """How many inputs were refused."""
        return sum(self.refusals.values())

    @property
    def tick_address(self) -> int:
        """Address of ``int64 tick(void* context, int64 now_ns)``."""
        return int(self.tick.address)

    # inputs

    def _received(self, kind: str, stamp_ns: int, now_ns: int, limit: str) -> int:
        """The stamp on the loop's clock; see `Inputs.received`."""
        return self._inputs.received(kind, stamp_ns, now_ns, limit, float(self._gains[limit]))

    def put_scan(self, scan: RangeScan, now_ns: int, handed_over: Callable[[], object] | None = None) -> None:
        """A sweep of the range sensor. now_ns: the ROS clock. handed_over: called as soon as the loop can see the
        scan; what only the next scan needs is worked out after that.

        Refused: no beams or more than MOST_BEAMS, more than one turn in all, several beams with no angle between
        them, and stamps as `gains.scan_timeout` says. What beams say: see `Returns.read`.
        """
        with self._lock:
            self._inputs.check_scan(scan)
            scan = self._returns.read(scan)
            previous = self._inputs.last_stamp.get("scan")
            received = self._received("scan", scan.stamp_ns, now_ns, "scan_timeout")
            # what odometry says of the scan's time; where it is stale, nothing that moves is followed
            motion, age = self._sight.motion_at(scan.stamp_ns)
            sweep = np.array(
                (
                    scan.angle_min, scan.angle_increment, scan.range_min, scan.range_max,
                    self.settings["lidar_x"], self.settings["lidar_y"], self.settings["lidar_yaw"],
                    (scan.stamp_ns - previous) * 1e-9 if previous is not None else 0.0,
                    age,
                ),
                SWEEP,
            )[()]  # fmt: skip
            record = self._boxes["scan"].new()
            followed = take_scan(self._sight.view, scan.ranges, sweep, motion, self._sight.robot, record[()])
            self._sight.lay_in_hidden(record[()])
            self._boxes["scan"].write(record, scan.stamp_ns, received)
            if handed_over is not None:
                handed_over()
            if followed:
                mark_passed(self._sight.view["watched"], scan.ranges, float(scan.range_min))

    def put_points(
        self,
        points: NDArray[np.float32],
        sectors: NDArray[np.float32],
        approach: NDArray[np.float32],
        states: NDArray[np.int8],
        sight: float,
        stamps: tuple[int, int],
        now_ns: int,
    ) -> None:
        """What several sensors see together (`hybrid_control.navigation.sensors.Fused`), in place of `put_scan`.

        points: (n, 2) m in the robot's frame, in order of bearing; sectors: (SECTORS,) m, inf for none; approach:
        (SECTORS,) m/s; states: (SECTORS,) of `guard.KNOWN`, DEAD and UNLOOKED; sight: m that they see at most.
        stamps: ROS time of the oldest reading, and at which the first of them is too old: the robot then stops.
        Refused where that has come, or `gains.scan_timeout` has gone by.
        """
        with self._lock:
            oldest_ns, expires_ns = stamps
            limit = round(float(self._gains["scan_timeout"]) * 1e9)
            age = max(now_ns - oldest_ns, limit - (expires_ns - now_ns))
            if age > limit:
                raise self._inputs.refuse("sensors", f"a reading is {(age - limit) * 1e-9:.3f} s too old")
            received = self._clock() - max(age, 0)
            record = self._boxes["scan"].new()
            take_points(points, sectors, approach, states, sight, self._sight.robot, record[()])
            self._sight.lay_in_hidden(record[()])
            self._boxes["scan"].write(record, oldest_ns, received)

    def put_planner_spikes(self, train: SpikeTrain, now_ns: int) -> None:
        """A window of the planner's spikes (populations heading and speed), delivered over the ticks that follow.

        Refused: other populations, more than MAX_SPIKES spikes, longer than half the playout buffer, overlapping
        the window before it, stamps as `gains.planner_timeout` says.
        """
        with self._lock:
            self._inputs.check_populations("planner spikes", train, PLANNER_POPULATIONS)
            self._inputs.check_window(train, MAX_SPIKES, PLAYOUT / self.rate / 2)
            received = self._received("planner spikes", train.stamp_ns, now_ns, "planner_timeout")
            record = self._boxes["train"].new()
            record["count"] = train.neuron.size
            record["neuron"][: train.neuron.size] = train.neuron
            record["offset_ns"][: train.neuron.size] = train.offset_ns
            self._boxes["train"].write(record, train.stamp_ns, received)

    def put_states(self, states: StateVector, now_ns: int) -> None:
        """Membrane potentials that the network is to go on from: the next tick begins with all of them, or with none.

        Refused: everything while the setting planner_states is off, populations that the network does not have or of
        another size, potentials beyond `states.MOST_POTENTIAL`, stamps as `gains.planner_timeout` says.
        """
        with self._lock:
            record = self._boxes["states"].new()
            try:
                if not self.settings["planner_states"]:
                    raise ValueError("the setting planner_states is off")
                fill(record, states, self.engine)
            except ValueError as error:
                raise self._inputs.refuse("states", str(error)) from None
            received = self._received("states", states.stamp_ns, now_ns, "planner_timeout")
            self._boxes["states"].write(record, states.stamp_ns, received)

    def put_odometry(self, odometry: Odometry, now_ns: int) -> None:
        """Pose and speed, by which the goal's bearing is known. Stamps as `gains.odometry_timeout` says."""
        with self._lock:
            received = self._received("odometry", odometry.stamp_ns, now_ns, "odometry_timeout")
            record = self._boxes["motion"].new()
            at, twist = odometry.pose, odometry.twist
            record[...] = (at.x, at.y, at.yaw, twist.linear_x, twist.linear_y, twist.angular_z)
            self._target.lapse()
            self._sight.put_motion(odometry.stamp_ns, record[()])
            self._boxes["motion"].write(record, odometry.stamp_ns, received)

    def put_hidden(self, cells: NDArray[Any], stamp_ns: int, now_ns: int, free: FreeGround | None = None) -> None:
        """All that a planner saw up to an image of that stamp: what is hidden is laid into each scan that follows, and
        onto ground that it did not see to be free the robot does not drive fast.

        cells: (n, 4, 2) m, the corners of each in the odometry's frame; free: None where it does not matter. Stamps as
        `gains.planner_timeout` says.
        """
        with self._lock:
            received = self._received("directions", stamp_ns, now_ns, "planner_timeout")
            self._sight.hidden = np.ascontiguousarray(cells, np.float64)
            record = self._boxes["directions"].new()
            note(record, len(cells), free)
            self._boxes["directions"].write(record, stamp_ns, received)

    def put_vertical(self, ranges: VerticalRanges, now_ns: int) -> None:
        """Ranges up and down of a holonomic vehicle. now_ns: the ROS clock. Stamps as `gains.scan_timeout` says."""
        self._put("vertical", "vertical ranges", (ranges.up, ranges.down), ranges.stamp_ns, now_ns)

    def put_crossing(self, sectors: NDArray[np.bool_], stamp_ns: int, now_ns: int) -> None:
        """Where something comes into the way by an event camera, (SECTORS,): what the scan has near there counts as
        near up to straight ahead, for `feed.CROSSING_LASTS`. now_ns, stamps: as of `put_vertical`."""
        self._put("crossing", "crossing", (sectors,), stamp_ns, now_ns)

    def _put(self, box: str, what: str, value: tuple[object, ...], stamp_ns: int, now_ns: int) -> None:
        with self._lock:
            received = self._received(what, stamp_ns, now_ns, "scan_timeout")
            record = self._boxes[box].new()
            record[...] = value
            self._boxes[box].write(record, stamp_ns, received)

    def put_goal(self, goal: Goal) -> None:
        """Where to go, in the odometry's frame.

        The same goal again changes nothing on the way there, nor at it; it is driven to again where the robot had
        arrived and has left by odometry.
        """
        with self._lock:
            self._target.set_goal(goal, lambda wish: self._carried_away(goal, wish))

    def _carried_away(self, goal: Goal, wish: int) -> bool:
        """Whether the robot had reached a goal, the wish of that number, and was taken from it."""
        motion = self._boxes["motion"].read()
        away = math.hypot(goal.x - motion["value"]["x"], goal.y - motion["value"]["y"])
        arrived = self.context["fulfilled"][0] == wish and bool(motion["sequence"])
        return arrived and away >= float(self.settings["goal_tolerance"])

    def put_waypoint(self, point: Goal | NoWay, now_ns: int) -> None:
        """A point on the way to the goal, or where the goal lies by a better reckoning, in the odometry's frame.

        It stands in for the goal, and NoWay stops the robot, until the next one or for `gains.planner_timeout`: whoever
        thinks about the way may die. Without a goal it is ignored; a stamp as `gains.planner_timeout` says.
        """
        with self._lock:
            if self._target.goal is None:
                return
            received = self._received("waypoint", point.stamp_ns, now_ns, "planner_timeout")
            self._target.set_waypoint(point, received + round(float(self._gains["planner_timeout"]) * 1e9))

    def put_board_spikes(self, train: SpikeTrain) -> None:
        """The spikes that a board's network gave since the last call, which may be none: a sign of its life.

        train: populations as in `network.BOARD_OUTPUTS`. Refused: other ones.
        """
        with self._lock:
            self._inputs.check_populations("board spikes", train, BOARD_OUTPUTS)
            so_far = self._boxes["board"].read()["value"]
            if train.neuron.size:
                np.add.at(so_far["spikes"], _SPIKE_PLACE[train.neuron], 1)
            self._boxes["board"].write(so_far, train.stamp_ns, self._clock())

    def take_board_spikes(self) -> SpikeTrain | None:
        """What the ticks since the last call have for a board; None where there was nothing.

        Populations as in `network.BOARD_INPUTS`; times on the loop's clock. For one thread. Spikes that the log could
        not hold (16,384 since the last call) are left out.
        """
        times, neurons = self._board_log.take(self.context)
        if not times.size:
            return None
        first = int(times[0])
        return SpikeTrain(first, int(times[-1]) - first + 1, BOARD_INPUTS, neurons, times - first)

    def board_network(self) -> Network:
        """The network with the gains that it has now, for a board."""
        return with_gains(self.network, {name: float(self._gains[name]) for name in ON_BOARD})

    def set_gains(self, changes: Mapping[str, Value]) -> int:
        """Change several gains at once: one tick sees all of them or none. Returns the set's version.

        ParameterError where one does not exist or can't take its value, or a board has it loaded; then nothing has
        changed.
        """
        with self._lock:
            gains = check_all(GAINS, {**self._gains, **changes})
            for name in ON_BOARD if self.backend != "numba" else ():
                if gains[name] != self._gains[name]:
                    raise ParameterError(
                        f"{name}: is loaded on the board ({self.backend}) and can't change while that runs the network"
                    )
            record = self._boxes["gains"].new()
            for name, value in gains.items():
                record[name] = value
            self._gains, self._sight.robot = gains, robot_of(self.settings, gains)
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

    def doubt_scan(self, doubted: bool) -> None:
        """Stand, whatever the newest scan says, until it is no longer doubted."""
        self.context["scan_in_doubt"] = int(doubted)

    def reset(self) -> None:
        """As new, gains kept; only while no loop runs the tick."""
        self.engine.reset()
        for name in self.engine.input_names:
            self.engine.input(name)[...] = 0.0
        self.context[:] = np.zeros(1, CONTEXT)
        self._begin("network")

    def state(self) -> Any:
        """All that the next input and the next tick depend on, a copy; only while no loop runs the tick."""
        boxes = {name: box.state() for name, box in self._boxes.items()}
        return self.context.copy(), self.engine.arena.copy(), boxes, self._target.state(), self._kept()

    def set_state(self, state: Any) -> None:
        """Go on from a state of a reflex with the same settings; only while no loop runs the tick."""
        self.context[:], self.engine.arena[:], boxes, target, kept = state
        for name, box in self._boxes.items():
            box.set_state(boxes[name])
        self._target.set_state(target)
        stamps, refusals, self._gains, self._sight, self._log, self._board_log, self._meter = copy.deepcopy(kept)
        self._inputs.last_stamp, self._inputs.refusals = stamps, refusals
        connect(self.context, self.engine, self._boxes, self.settings, "network")

    def _kept(self) -> Any:
        """A copy of what Python keeps beside the mailboxes."""
        inputs = self._inputs
        logs = self._log, self._board_log, self._meter
        return copy.deepcopy((inputs.last_stamp, inputs.refusals, self._gains, self._sight, *logs))

    def warm(self) -> None:
        """Compile what the put_* methods call; as `reset`, only while no loop runs the tick."""
        # without odometry nothing that moves would be looked for
        self.put_odometry(Odometry(0, Pose(), Twist(0)), 0)
        self.put_hidden(np.ones((1, 4, 2)), 0, 0)
        self.put_scan(RangeScan(0, -math.pi, math.pi / 2, 0.1, 10.0, np.ones(4, np.float32)), 0)
        some = np.ones(SECTORS, np.float32)
        self.put_points(np.ones((1, 2), np.float32), some, some, np.zeros(SECTORS, np.int8), 1.0, (0, 1 << 40), 0)
        self.status()
        self.reset()

    # outputs

    def command(self) -> Command:
        """The newest command; zero before the first tick."""
        _, stamp_ns, _, value = self._boxes["command"].read().item()
        # a COMMAND begins with the velocities
        return Command(Twist(stamp_ns, *value[:4]), Mode(value[_MODE]), value[_TICK])

    def spikes(self, stamp_ns: int, now_ns: int) -> SpikeTrain | None:
        """The spikes of ring and motors since the last call, as one window that ends now; None where there are none.

        stamp_ns: the ROS clock's time that stands for now_ns of the loop's clock. Spikes that the log could not
        hold (over 32,768 since the last call), and those of over 2 s ago, are left out.
        """
        times, neurons = self._log.take(self.context)
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
        """What the reflex is doing, rates and shares taken since the last call."""
        now = self._clock()
        newest = {name: self._boxes[name].read() for name in ("command", "scan", "train", "motion")}

        def age(kind: str) -> float:
            entry = newest[kind]
            return (now - int(entry["received_ns"])) * 1e-9 if entry["sequence"] else math.nan

        value, scan, outline = (
            newest["command"]["value"],
            newest["scan"]["value"],
            self.context["guard"]["outline"][0],
        )
        spikes, events, watts, limited = self._meter.read(self.engine, value, 1.0 / self.rate)
        stamp = int(newest["command"]["stamp_ns"])
        wish, allowed = (
            Twist(
                stamp,
                linear_x=float(value[f"{name}_x"]),
                linear_y=float(value[f"{name}_y"]),
                angular_z=float(value[f"{name}_yaw"]),
            )
            for name in ("wish", "allowed")
        )
        return Status(
            mode=Mode(int(value["mode"])),
            reason=reason_of(self.context, value, scan, float(self._gains["max_speed"])),
            tick=int(value["tick"]),
            scan_age=age("scan"),
            planner_age=age("train"),
            odometry_age=age("motion"),
            refused=self.refused,
            spikes_per_second=spikes,
            synaptic_events_per_second=events,
            power_uw=watts * 1e6,
            nearest_obstacle=float(
                nearest_distance(scan["points"], int(scan["count"]), outline)
            ),
            heading=float(value["heading"]),
            guarded=bool(value["guarded"]),
            gains_version=int(value["gains_version"]),
            wish=wish,
            allowed=allowed,
            guard_share=limited,
        )

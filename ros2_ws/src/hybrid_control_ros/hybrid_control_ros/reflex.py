"""The reflex node: scan, planner/spikes, odometry and goal in, cmd_vel out.

Nothing here steers: the spiking network in `hybrid_control.navigation.reflex` does, ticked in a thread of its own.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped, TwistStamped
from geometry_msgs.msg import Twist as TwistMessage
from hybrid_control_msgs.msg import ReflexStatus
from nav_msgs.msg import Odometry as OdometryMessage
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import LaserScan
from std_msgs.msg import Header

from hybrid_control.navigation.reflex import Reflex
from hybrid_control.navigation.reflex.gains import GAINS, SETTINGS
from hybrid_control.navigation.sensors import Fused, read_sources
from hybrid_control.parameters import ParameterError, Value
from hybrid_control.realtime import scheduling
from hybrid_control.realtime.loop import PeriodicLoop
from hybrid_control.realtime.stepped import SteppedLoop
from hybrid_control.realtime.watchdog import Watchdog
from hybrid_control.signals import SpikeTrain, Twist, VerticalRanges
from hybrid_control_ros import convert, qos
from hybrid_control_ros.convert import SpikeTrainMessage
from hybrid_control_ros.node import ManagedNode
from hybrid_control_ros.sensing import Sensing
from hybrid_control_ros.vertical import VerticalInput

if TYPE_CHECKING:
    from hybrid_control_ros.direct import DirectPath

_JUMP_NS = 1_000_000_000  # simulated time that is gone through command by command and not jumped over
_BOARD_RATE = 1000.0  # Hz, ticks of the boards
_PERCENTS = (50.0, 99.0, 99.9, 100.0)
_MISSED_SHARE = 1e-3  # of the ticks, above which diagnostics warn
_LEVELS = {
    ReflexStatus.REFLEX_ONLY: DiagnosticStatus.WARN,
    ReflexStatus.STOPPED: DiagnosticStatus.WARN,
    ReflexStatus.ERROR: DiagnosticStatus.ERROR,
}
_MODES = ("inactive", "hybrid", "reflex only", "stopped", "arrived", "error")


class ReflexNode(ManagedNode):
    """Leaves inputs with the reflex, fetches its commands, and watches its loop.

    In real time the loop has its own thread, and another one sends commands at command_rate and one more right after
    the tick that has seen a new scan. With use_sim_time the same tick is stepped by /clock, and commands fall due in
    simulated time. listens: whether planner/spikes come over the topic; without, by put_spikes.
    direct: what the loop sends wheel speeds by, beside cmd_vel. board_topics: whether a board that runs the network is
    met over reflex/inputs and board/spikes; without, by the mailboxes of `reflex`.
    """

    kind = "reflex_node"

    def __init__(
        self,
        values: Mapping[str, Value] | None = None,
        listens: bool = True,
        direct: DirectPath | None = None,
        board_topics: bool = True,
        **options: object,
    ) -> None:
        super().__init__(values, **options)
        self._listens = listens
        self._board_topics = board_topics
        self._direct = direct
        self._reflex: Reflex | None = None
        self._loop: PeriodicLoop | SteppedLoop | None = None
        self._watchdog: Watchdog | None = None
        self._sender: threading.Thread | None = None
        self._sending = False
        self._wake = threading.Event()
        self._command_topic: Any = None
        self._command_lock = threading.Lock()
        self._halted = False
        self._fault = ""
        self._scan_frame = ""
        self._sensing: Sensing | None = None  # where more than one scan is seen by
        self._next_command_ns = -1
        self._last_ticks = (0, 0)
        self._newest_status: ReflexStatus | None = None

    @property
    def reflex(self) -> Reflex | None:
        """The reflex, once the node is configured."""
        return self._reflex

    # -- lifecycle -----------------------------------------------------------------------------------------------

    def configure(self) -> None:
        if self.value("backend") != "numba" and self.value("rate") != _BOARD_RATE:
            raise ParameterError(f"rate: with a board it must be {_BOARD_RATE:g} Hz, the board's own")
        self._stepped = bool(self.get_parameter("use_sim_time").value)
        clock = self.now_ns if self._stepped else time.monotonic_ns
        self._reflex = Reflex(self.values(SETTINGS), self.values(GAINS), clock)
        self._reflex.warm()
        self._loop = self._new_loop(self._reflex)
        self._stamped = self.value("stamped_cmd_vel")
        self._base_frame = self.value("base_frame")
        self._command_period = 1.0 / self.value("command_rate")
        self._command_topic = self.talk(
            TwistStamped if self._stamped else TwistMessage, "cmd_vel", qos.COMMAND
        )
        self._spikes_topic = self.talk(SpikeTrainMessage, "reflex/spikes", qos.STREAM)
        self._status_topic = self.talk(ReflexStatus, "reflex/status", qos.STREAM)
        self._sensing = None
        if str(self.value("sensors")).split() == ["scan", "laser"]:
            self.listen(LaserScan, "scan", self._on_scan, qos.SENSOR)
        else:
            sources = read_sources(str(self.value("sensors")))
            horizon = partial(self.value, "avoidance_distance")
            self._sensing = Sensing(self, sources, self._base_frame, horizon, self._on_fused)
        if self.value("holonomic") and self.value("hover_height") > 0:
            VerticalInput(self, self._on_vertical)
        self.listen(OdometryMessage, "odom", self._on_odometry, qos.SENSOR)
        self.listen(PoseStamped, "goal_pose", self._on_goal, qos.COMMAND)
        self.listen(PoseStamped, "planner/waypoint", self._on_waypoint, qos.COMMAND)
        if self._listens:
            self.listen(SpikeTrainMessage, "planner/spikes", self._on_spikes, qos.SENSOR)
        if self._stepped:
            self.listen(ClockMessage, "/clock", self._on_clock, qos.CLOCK)
        if self._board_topics and self.value("backend") != "numba":
            self._inputs_topic = self.talk(SpikeTrainMessage, "reflex/inputs", qos.STREAM)
            self.listen(SpikeTrainMessage, "board/spikes", self._on_board_spikes, qos.SENSOR)
            self.every(1.0 / self.value("rate"), self._send_inputs)
        if self.value("spikes_rate") > 0:
            self.every(1.0 / self.value("spikes_rate"), self._send_spikes)
        self.every(0.1, self._send_status)

    def _new_loop(self, reflex: Reflex) -> PeriodicLoop | SteppedLoop:
        tick, context = self._direct.wrap(reflex) if self._direct else (reflex.tick_address, reflex.context)
        if self._stepped:
            return SteppedLoop(tick, context, reflex.rate)
        core = self.value("core")
        return PeriodicLoop(
            tick,
            context,
            reflex.rate,
            priority=self.value("priority") or None,
            cpu=core if core >= 0 else None,
            standby=self.value("standby"),
            lock_memory=self.value("lock_memory"),
        )

    def activate(self) -> None:
        reflex, loop = self._reflex, self._loop
        assert reflex is not None
        if isinstance(loop, PeriodicLoop):
            loop.warm()
        reflex.reset()
        self._scan_frame = self.value("scan_frame")
        if self._sensing is not None:
            self._sensing.reset()
        self._last_ticks = (0, time.monotonic_ns())
        self._newest_status = None
        self._next_command_ns = -1
        self._halted, self._fault = False, ""
        if isinstance(loop, PeriodicLoop):
            loop.start()
            self._watchdog = Watchdog(
                loop,
                self._on_hang,
                on_recovery=self._on_recovery,
                timeout_s=max(self.value("watchdog_timeout"), 2.5 / reflex.rate),
                priority=min(99, self.value("priority") + 1) if self.value("priority") else None,
            )
            self._watchdog.start()
        reflex.activate()
        if isinstance(loop, PeriodicLoop):
            self._sending = True
            self._wake.clear()
            self._sender = threading.Thread(target=self._send_commands, name="commands", daemon=True)
            self._sender.start()

    def deactivate(self) -> None:
        if self._reflex is not None:
            self._reflex.deactivate()
        self._sending = False
        self._wake.set()
        if self._sender is not None:
            self._sender.join(1.0)
            self._sender = None
        if self._watchdog is not None:
            self._watchdog.stop()
            self._watchdog = None
        if isinstance(self._loop, PeriodicLoop):
            self._loop.stop()
        self.halt()

    def cleanup(self) -> None:
        self._reflex = self._loop = None
        self._command_topic = None
        self._sensing = None

    def halt(self) -> None:
        with self._command_lock:
            self._halted = True
            if self._command_topic is not None:
                self._publish_command(Twist(self.now_ns()))

    def change(self, changes: Mapping[str, Value]) -> None:
        assert self._reflex is not None
        self._reflex.set_gains(changes)

    # -- inputs --------------------------------------------------------------------------------------------------

    def _on_scan(self, message: LaserScan) -> None:
        if not self.active or self._reflex is None:
            return
        try:
            frame = message.header.frame_id
            if self._scan_frame and frame != self._scan_frame:
                raise ValueError(f"it is in frame {frame!r}, expected {self._scan_frame!r}")
            self._reflex.put_scan(convert.range_scan(message), self.now_ns(), self._wake.set)
            self._scan_frame = frame
        except ValueError as error:
            self.refuse("scan", error)

    def _on_fused(self, fused: Fused, now_ns: int) -> None:
        if self.active and self._reflex is not None:
            self._reflex.put_points(
                fused.points, fused.sectors, fused.approach, fused.oldest_ns, fused.expires_ns, now_ns
            )
            self._wake.set()

    def _on_vertical(self, ranges: VerticalRanges) -> None:
        if self.active and self._reflex is not None:
            self._reflex.put_vertical(ranges, self.now_ns())

    def _on_odometry(self, message: OdometryMessage) -> None:
        if not self.active or self._reflex is None:
            return
        try:
            self._reflex.put_odometry(convert.odometry(message, self.value("odom_frame")), self.now_ns())
        except ValueError as error:
            self.refuse("odom", error)

    def _on_goal(self, message: PoseStamped) -> None:
        if not self.active or self._reflex is None:
            return
        try:
            self._reflex.put_goal(convert.goal(message, self.value("odom_frame")))
        except ValueError as error:
            self.refuse("goal_pose", error)

    def _on_waypoint(self, message: PoseStamped) -> None:
        if not self.active or self._reflex is None:
            return
        try:
            self._reflex.put_waypoint(convert.goal(message, self.value("odom_frame")), self.now_ns())
        except ValueError as error:
            self.refuse("planner/waypoint", error)

    def _on_spikes(self, message: SpikeTrainMessage) -> None:
        try:
            self.put_spikes(convert.spike_train(message))
        except ValueError as error:
            self.refuse("planner/spikes", error)

    def put_spikes(self, train: SpikeTrain) -> None:
        """The planner's spikes of one window; ValueError where the reflex can't use them."""
        if self.active and self._reflex is not None:
            self._reflex.put_planner_spikes(train, self.now_ns())

    def _on_board_spikes(self, message: SpikeTrainMessage) -> None:
        if not self.active or self._reflex is None:
            return
        try:
            self._reflex.put_board_spikes(convert.spike_train(message))
        except ValueError as error:
            self.refuse("board/spikes", error)

    def _send_inputs(self) -> None:
        """What the newest ticks have for the board."""
        if not self.active or self._reflex is None:
            return
        train = self._reflex.take_board_spikes()
        if train is not None:
            loop_ns = self.now_ns() if self._stepped else time.monotonic_ns()
            train = dataclasses.replace(train, stamp_ns=self.now_ns() - (loop_ns - train.stamp_ns))
            self._inputs_topic.publish(convert.spike_train_message(train))

    # -- commands ------------------------------------------------------------------------------------------------

    def _publish_command(self, command: Twist) -> None:
        self._command_topic.publish(convert.twist_message(command, self._stamped, self._base_frame))

    def _send_command(self, stamp_ns: int) -> int:
        """Send the newest command; the number of the tick that made it."""
        assert self._reflex is not None
        command = self._reflex.command()
        with self._command_lock:
            if self._fault:
                self._publish_command(Twist(stamp_ns))
            elif not self._halted:
                self._publish_command(dataclasses.replace(command.twist, stamp_ns=stamp_ns))
        return command.tick

    def _send_commands(self) -> None:
        """The thread that sends commands in real time."""
        scheduling.use_exact_timers()
        reflex = self._reflex
        assert reflex is not None
        patience, poll = 2.5 / reflex.rate, 0.1 / reflex.rate
        due = time.monotonic()
        while self._sending:
            tick = reflex.command().tick
            if self._wake.wait(max(0.0, due - time.monotonic())):
                self._wake.clear()
                given_up = time.monotonic() + patience
                while reflex.command().tick <= tick and time.monotonic() < given_up:
                    time.sleep(poll)
            self._send_command(self.now_ns())
            due = max(due + self._command_period, time.monotonic())

    def _on_clock(self, message: ClockMessage) -> None:
        """Step the tick to the simulated time, sending each command that falls due on the way."""
        if not self.active or self._reflex is None or not isinstance(self._loop, SteppedLoop):
            return
        now_ns, period_ns = convert.to_ns(message.clock), round(self._command_period * 1e9)
        if not max(0, now_ns - _JUMP_NS) <= self._next_command_ns <= now_ns + period_ns:
            self._next_command_ns = now_ns  # the first one, or the clock was set
        try:
            while self._next_command_ns <= now_ns:
                self._loop.advance(self._next_command_ns)
                self._send_command(self._next_command_ns)
                self._next_command_ns += period_ns
            self._loop.advance(now_ns)
        except RuntimeError as error:
            self._reflex.fail()
            self._stop_for(f"{error}; the node must be deactivated and activated")

    def _on_hang(self, age: float) -> None:
        """The watchdog's call: the loop died, or stands still. Stop."""
        assert self._reflex is not None
        if isinstance(self._loop, PeriodicLoop) and self._loop.alive:
            self._stop_for(f"the loop has stood still for {age * 1e3:.0f} ms")
        else:
            self._reflex.fail()
            self._stop_for("the loop has died; the node must be deactivated and activated")

    def _on_recovery(self) -> None:
        """The watchdog's call: the loop ticks again."""
        self._fault = ""
        self.get_logger().warning("the loop ticks again, commands flow again")

    def _stop_for(self, fault: str) -> None:
        with self._command_lock:
            self._fault = fault
            self._publish_command(Twist(self.now_ns()))
        self.get_logger().error(f"stopped: {fault}")
        # said at once: a short hang would fall between two of what is sent regularly
        if self._newest_status is not None:
            status = copy.copy(self._newest_status)
            status.header = Header(stamp=convert.to_stamp(self.now_ns()), frame_id=self._base_frame)
            status.mode, status.reason = ReflexStatus.ERROR, fault
            self._newest_status = status
            self._status_topic.publish(status)
        self._publish_diagnostics()

    # -- what is told --------------------------------------------------------------------------------------------

    def _send_spikes(self) -> None:
        if not self.active or self._reflex is None:
            return
        loop_ns = self.now_ns() if self._stepped else time.monotonic_ns()
        train = self._reflex.spikes(self.now_ns(), loop_ns)
        if train is not None and self._spikes_topic.get_subscription_count():
            self._spikes_topic.publish(convert.spike_train_message(train))

    def _status(self) -> ReflexStatus:
        assert self._reflex is not None
        status = convert.reflex_status_message(self._reflex.status())
        if self._fault:
            status.mode, status.reason = ReflexStatus.ERROR, self._fault
        status.header.stamp = convert.to_stamp(self.now_ns())
        status.header.frame_id = self._base_frame
        status.refused = sum(self.refused.values())
        if isinstance(self._loop, PeriodicLoop):
            loop = self._loop.status()
            status.ticks, status.missed = loop.ticks, loop.missed
            status.standby_ticks = loop.standby_ticks
            status.lateness_us = [loop.lateness.percentile(p) * 1e6 for p in _PERCENTS]
            status.tick_cost_us = [loop.cost.percentile(p) * 1e6 for p in _PERCENTS]
        elif isinstance(self._loop, SteppedLoop):
            status.ticks, status.missed = self._loop.ticks, self._loop.missed
            status.lateness_us = status.tick_cost_us = [math.nan] * len(_PERCENTS)
        ticks, since_ns = self._last_ticks
        now_ns = time.monotonic_ns()
        self._last_ticks = status.ticks, now_ns
        status.rate = (status.ticks - ticks) * 1e9 / max(now_ns - since_ns, 1)
        return status

    def _send_status(self) -> None:
        if self.active and self._reflex is not None:
            self._newest_status = self._status()
            self._status_topic.publish(self._newest_status)

    def report(self) -> tuple[bytes, str, dict[str, object]]:
        status = self._newest_status
        if not self.active or status is None:
            return DiagnosticStatus.OK, "", {}
        names = ("p50", "p99", "p99.9", "max")
        values: dict[str, object] = {
            "mode": _MODES[status.mode],
            "reason": status.reason,
            "rate [Hz]": status.rate,
            "ticks": status.ticks,
            "missed": status.missed,
            "run by the standby": status.standby_ticks,
            **{f"lateness {n} [us]": v for n, v in zip(names, status.lateness_us.tolist(), strict=True)},
            **{f"tick cost {n} [us]": v for n, v in zip(names, status.tick_cost_us.tolist(), strict=True)},
            "scan age [s]": status.scan_age,
            "planner age [s]": status.planner_age,
            "odometry age [s]": status.odometry_age,
            "spikes [1/s]": status.spikes_per_second,
            "synaptic events [1/s]": status.synaptic_events_per_second,
            "power, estimated [uW]": status.power_uw,
            "nearest obstacle [m]": status.nearest_obstacle,
            "gains version": status.gains_version,
            "hangs": self._watchdog.hangs if self._watchdog is not None else 0,
        }
        if self._sensing is not None:
            values |= self._sensing.report(self.now_ns())
        level = _LEVELS.get(status.mode, DiagnosticStatus.OK)
        message = f"{_MODES[status.mode]}: {status.reason}" if status.reason else _MODES[status.mode]
        total = status.ticks + status.missed
        if level == DiagnosticStatus.OK and status.missed > _MISSED_SHARE * total:
            level, message = (
                DiagnosticStatus.WARN,
                f"{100 * status.missed / total:.2f} % of the ticks were missed",
            )
        if isinstance(self._loop, PeriodicLoop):
            values |= {f"note {i}": line for i, line in enumerate(self._loop.notes, 1)}
        return level, message, values


def build(values: Mapping[str, Mapping[str, Value]]) -> list[ManagedNode]:
    """The node of this program."""
    return [ReflexNode(values[ReflexNode.kind])]

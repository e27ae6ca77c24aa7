"""The reflex node: scan, planner/spikes and planner/directions, odometry and goal in, cmd_vel out.

Nothing here steers: the spiking network in `hybrid_control.navigation.reflex` does, ticked in a thread of its own.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from hybrid_control_msgs.msg import ReflexStatus
from nav_msgs.msg import Odometry as OdometryMessage
from numpy.typing import NDArray
from std_msgs.msg import Header

from hybrid_control.navigation.reflex import Reflex
from hybrid_control.navigation.reflex.gains import GAINS, SETTINGS
from hybrid_control.navigation.reflex.modes import Mode
from hybrid_control.navigation.reflex.status import REASONS
from hybrid_control.navigation.reflex.tick import Reason
from hybrid_control.navigation.sensors import Fused, read_sources
from hybrid_control.parameters import ParameterError, Value
from hybrid_control.realtime.loop import PeriodicLoop
from hybrid_control.realtime.stepped import SteppedLoop
from hybrid_control.signals import Goal, Odometry, RangeScan, SpikeTrain, StateVector, VerticalRanges
from hybrid_control_ros import convert, qos
from hybrid_control_ros.commands import Commands
from hybrid_control_ros.convert import SpikeTrainMessage, StateVectorMessage
from hybrid_control_ros.errand import Errand
from hybrid_control_ros.hidden import Hidden
from hybrid_control_ros.node import ManagedNode
from hybrid_control_ros.pacing import RealTime, SimulatedTime
from hybrid_control_ros.sensing import Lidar, Sensing
from hybrid_control_ros.vertical import VerticalInput

if TYPE_CHECKING:
    from hybrid_control_ros.direct import DirectPath

_BOARD_RATE = 1000.0  # Hz, ticks of the boards
_PERCENTS = (50.0, 99.0, 99.9, 100.0)
_MISSED_SHARE = 1e-3  # of the ticks, above which diagnostics warn
_LEVELS = {
    Mode.REFLEX_ONLY: DiagnosticStatus.WARN,
    Mode.STOPPED: DiagnosticStatus.WARN,
    Mode.ERROR: DiagnosticStatus.ERROR,
}
_GAINS = frozenset(p.name for p in GAINS)
_REFUSED_SINCE = 2.0  # s for which a refusal explains what is missing
# the topics whose refusals explain a reason; "scan" stands for all that obstacles are seen by
_INPUTS = {
    REASONS[Reason.NO_SCAN]: "scan",
    REASONS[Reason.STALE_SCAN]: "scan",
    REASONS[Reason.SCAN_IN_DOUBT]: "scan",
    REASONS[Reason.STALE_ODOMETRY]: "odom",
    REASONS[Reason.LOST]: "odom",
    REASONS[Reason.STALE_PLANNER]: "planner/spikes",
    REASONS[Reason.NO_DIRECTIONS]: "planner/directions",
}


class ReflexNode(ManagedNode):
    """Leaves inputs with the reflex, fetches its commands, and watches its loop.

    In real time the loop has its own thread, and another one sends commands at command_rate and one more right after
    the tick that has seen a new scan. With use_sim_time the same tick is stepped by /clock, and commands fall due in
    simulated time. listens: whether planner/spikes and planner/state come over their topics; without, by put_spikes and
    put_states.
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
        self._pace: RealTime | SimulatedTime | None = None
        self._commands: Commands | None = None
        self._sensing: Lidar | Sensing | None = None
        self._hidden: Hidden | None = None
        self._last_ticks = (0, 0)
        self._newest_status: ReflexStatus | None = None
        self._late = ""  # the fault that a command was too old

    @property
    def reflex(self) -> Reflex | None:
        """The reflex, once the node is configured."""
        return self._reflex

    @property
    def _loop(self) -> PeriodicLoop | SteppedLoop | None:
        return self._pace.loop if self._pace is not None else None

    @property
    def _fault(self) -> str:
        return self._commands.fault if self._commands is not None else ""

    @property
    def _eyes(self) -> tuple[str, ...]:
        """The topics that it sees by."""
        return self._sensing.topics if self._sensing is not None else ("scan",)

    @property
    def _base_frame(self) -> str:
        return str(self.value("base_frame"))

    # -- lifecycle -----------------------------------------------------------------------------------------------

    def configure(self) -> None:
        if self.value("backend") != "numba" and self.value("rate") != _BOARD_RATE:
            raise ParameterError(f"rate: with a board it must be {_BOARD_RATE:g} Hz, the board's own")
        stepped = bool(self.get_parameter("use_sim_time").value)
        clock = self.now_ns if stepped else time.monotonic_ns
        reflex = self._reflex = Reflex(self.values(SETTINGS), self.values(GAINS), clock)
        reflex.warm()
        direct = self._direct
        max_age_ns = round(max(self.value("max_command_age"), 2.5 / reflex.rate) * 1e9)
        tick, context = direct.wrap(reflex, max_age_ns) if direct else (reflex.tick_address, reflex.context)
        self._pace = (SimulatedTime if stepped else RealTime)(self, reflex, tick, context)
        self._commands = Commands(self, max_age_ns)
        self._spikes_topic = self.talk(SpikeTrainMessage, "reflex/spikes", qos.STREAM)
        self._status_topic = self.talk(ReflexStatus, "reflex/status", qos.STREAM)
        self._errand = Errand(self)
        hidden = self._hidden = Hidden(self, reflex)
        if str(self.value("sensors")).split() == ["scan", "laser"]:
            self._sensing = Lidar(self, self._put_scan, hidden.scanned)
        else:
            sources = read_sources(str(self.value("sensors")))
            horizon = partial(self.value, "avoidance_distance")
            put, cross = self._on_fused, self._on_crossing
            self._sensing = Sensing(self, sources, self._base_frame, horizon, put, cross, hidden.scanned)
        if self.value("holonomic") and self.value("hover_height") > 0:
            VerticalInput(self, self._on_vertical)
        frame, now_ns = self.value("odom_frame"), self.now_ns
        self.take(
            OdometryMessage,
            "odom",
            lambda m: self._put_odometry(convert.odometry(m, frame)),
            qos.SENSOR,
            sole=True,
        )
        self.take(PoseStamped, "goal_pose", lambda m: self._put_goal(convert.goal(m, frame)), qos.COMMAND)
        self.take(
            PoseStamped,
            "planner/waypoint",
            lambda m: reflex.put_waypoint(convert.waypoint(m, frame), now_ns()),
            qos.COMMAND,
        )
        if self._listens:
            self.take(
                SpikeTrainMessage,
                "planner/spikes",
                lambda m: self.put_spikes(convert.spike_train(m)),
                qos.SENSOR,
                sole=True,
            )
        if self._listens and self.value("planner_states"):
            self.take(
                StateVectorMessage,
                "planner/state",
                lambda m: self.put_states(convert.state_vector(m)),
                qos.COMMAND,
                sole=True,
            )
        if self._board_topics and self.value("backend") != "numba":
            self._inputs_topic = self.talk(SpikeTrainMessage, "reflex/inputs", qos.STREAM)
            self.take(
                SpikeTrainMessage,
                "board/spikes",
                lambda m: reflex.put_board_spikes(convert.spike_train(m)),
                qos.SENSOR,
            )
            self.every(1.0 / self.value("rate"), self._send_inputs)
        if self.value("spikes_rate") > 0:
            self.every(1.0 / self.value("spikes_rate"), self._send_spikes)
        self.every(0.1, self.send_status)

    def activate(self) -> None:
        reflex, pace, commands = self._reflex, self._pace, self._commands
        sensing, hidden = self._sensing, self._hidden
        assert sensing is not None
        assert hidden is not None
        assert reflex is not None
        assert pace is not None
        assert commands is not None
        pace.warm()
        reflex.reset()
        self.on_contradiction()
        sensing.reset()
        hidden.begin()
        self._errand.begin()
        self._last_ticks = (0, time.monotonic_ns())
        self._newest_status = None
        self._late = ""
        commands.begin()
        pace.start()

    def deactivate(self) -> None:
        if self._pace is not None:
            self._pace.stop()
        self.halt()

    def cleanup(self) -> None:
        self._reflex = self._pace = self._commands = self._sensing = self._hidden = None

    def halt(self) -> None:
        commands = self._commands
        if commands is not None:
            commands.halt(self.now_ns())

    def change(self, changes: Mapping[str, Value]) -> None:
        assert self._reflex is not None
        assert self._hidden is not None
        self._hidden.change(changes)
        gains = {name: value for name, value in changes.items() if name in _GAINS}
        if gains:
            self._reflex.set_gains(gains)

    # -- inputs --------------------------------------------------------------------------------------------------

    def on_contradiction(self) -> None:
        if self._reflex is not None:
            self._reflex.doubt_scan(not self.contradicted.isdisjoint(self._eyes))

    def _put_scan(self, scan: RangeScan) -> None:
        assert self._reflex is not None
        assert self._pace is not None
        self._reflex.put_scan(scan, self.now_ns(), self._pace.wake)

    def _put_odometry(self, odometry: Odometry) -> None:
        assert self._reflex is not None
        assert self._hidden is not None
        assert self._sensing is not None
        self._reflex.put_odometry(odometry, self.now_ns())
        self._hidden.moved(odometry)
        self._sensing.moved(odometry.twist.linear_x, odometry.twist.angular_z)
        self._errand.way.moved(odometry.pose.x, odometry.pose.y)

    def _put_goal(self, goal: Goal) -> None:
        assert self._reflex is not None
        self._reflex.put_goal(goal)
        self._errand.aim(goal)

    def _on_fused(self, fused: Fused, now_ns: int) -> None:
        if self.active and self._reflex is not None and self._pace is not None:
            self._reflex.put_points(
                fused.points, fused.sectors, fused.approach, fused.states, fused.sight, fused.stamps, now_ns
            )
            self._pace.wake()

    def _on_crossing(self, sectors: NDArray[np.bool_], stamp_ns: int) -> None:
        if self.active and self._reflex is not None:
            self._reflex.put_crossing(sectors, stamp_ns, self.now_ns())

    def _on_vertical(self, ranges: VerticalRanges) -> None:
        if self.active and self._reflex is not None:
            self._reflex.put_vertical(ranges, self.now_ns())

    def put_spikes(self, train: SpikeTrain) -> None:
        """The planner's spikes of one window, as far as it is trusted; ValueError where the reflex can't use them."""
        if self.active and self._reflex is not None and self._hidden is not None:
            counts = self._hidden.weighed(train)
            if counts is not None:
                self._reflex.put_planner_spikes(counts, self.now_ns())

    def put_states(self, states: StateVector) -> None:
        """The planner's initial states, while it is trusted; ValueError where the reflex can't use them."""
        if self.active and self._reflex is not None and not (self._hidden is not None and self._hidden.withholds):
            self._reflex.put_states(states, self.now_ns())

    def _send_inputs(self) -> None:
        """What the newest ticks have for the board."""
        if not self.active or self._reflex is None or self._pace is None:
            return
        train = self._reflex.take_board_spikes()
        if train is not None:
            loop_ns = self._pace.loop_ns()
            train = dataclasses.replace(train, stamp_ns=self.now_ns() - (loop_ns - train.stamp_ns))
            self._inputs_topic.publish(convert.spike_train_message(train))

    # -- commands ------------------------------------------------------------------------------------------------

    def send_command(self, now_ns: int, loop_ns: int, begun_ns: int = 0) -> None:
        """Send the newest command. From any thread, while active. Where it is too old, a fault until it no longer is.

        now_ns: the ROS clock; loop_ns: the clock that the tick goes by, and begun_ns its time when the loop began.
        """
        assert self._reflex is not None
        assert self._commands is not None
        # read after the clocks: whoever is held up in between takes it for older, never for younger
        commands, twist = self._commands, self._reflex.command().twist
        age_ns = loop_ns - max(twist.stamp_ns, begun_ns)
        if not commands.send(twist, age_ns, now_ns):
            if not self._fault:
                self._late = (
                    f"no tick for {age_ns * 1e-6:.0f} ms, allowed are {commands.max_age_ns * 1e-6:.0f} ms"
                )
                self.stop_for(self._late)
        elif self._late:
            self._late = ""
            self.recover()

    def recover(self) -> None:
        """The loop ticks again."""
        if self._commands is not None:
            self._commands.fault = ""
        self.get_logger().warning("the loop ticks again, commands flow again")

    def stop_for(self, fault: str) -> None:
        """Zero from now on, with a reason for a person."""
        if self._commands is not None:
            self._commands.stop_for(fault, self.now_ns())
        self.get_logger().error(f"stopped: {fault}")
        # said at once: a short hang would fall between two of what is sent regularly
        if self._newest_status is not None:
            status = copy.copy(self._newest_status)
            status.header = Header(stamp=convert.to_stamp(self.now_ns()), frame_id=self._base_frame)
            status.mode, status.reason = int(Mode.ERROR), fault
            self._newest_status = status
            self._status_topic.publish(status)
        self._publish_diagnostics()

    # -- what is told --------------------------------------------------------------------------------------------

    def _send_spikes(self) -> None:
        if not self.active or self._reflex is None or self._pace is None:
            return
        train = self._reflex.spikes(self.now_ns(), self._pace.loop_ns())
        if train is not None and self._spikes_topic.get_subscription_count():
            self._spikes_topic.publish(convert.spike_train_message(train))

    def _explained(self, reason: str) -> str:
        """A reason of the reflex, with what was wrong with the newest of the input that is missing."""
        topics: tuple[str, ...] = (_INPUTS[reason],) if reason in _INPUTS else ()
        why: list[str] = []
        if topics == ("scan",) and self._sensing is not None:
            topics = self._eyes
            # of one that has spoken, /diagnostics has the age
            missing = self._sensing.missing(self.now_ns()) if reason == REASONS[Reason.NO_SCAN] else ()
            why = [f"missing: {', '.join(missing)}"] if missing else []
        if topics == ("planner/spikes",) and self._hidden is not None and self._hidden.withholds:
            why = ["they are withheld, for the scan refutes what it sees"]
        why += filter(None, (self.refusal(topic, _REFUSED_SINCE) for topic in topics))
        return f"{reason}: {'; '.join(why)}" if why else reason

    def own_hints(self) -> list[str]:
        status = self._newest_status
        if not self.active or status is None:
            return []
        stuck = self._errand.way.progress(
            status.mode in (Mode.HYBRID, Mode.REFLEX_ONLY), self.now_ns() * 1e-9
        )
        if stuck and self._commands is not None and not self._direct and not self._commands.heard:
            stuck += ", and nobody hears cmd_vel"
        return [line for line in (self.refusal("goal_pose"), stuck) if line]

    def _status(self) -> ReflexStatus:
        assert self._reflex is not None
        reflex = self._reflex.status()
        status, reason = convert.reflex_status_message(reflex), self._explained(reflex.reason)
        if self._fault:
            status.mode, reason = ReflexStatus.ERROR, self._fault
        status.reason = "; ".join([reason, *self.hints])
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

    def send_status(self) -> None:
        """What the reflex is doing, while active."""
        if self.active and self._reflex is not None:
            self._newest_status = self._status()
            self._status_topic.publish(self._newest_status)

    def report(self) -> tuple[bytes, str, dict[str, object]]:
        status = self._newest_status
        if not self.active or status is None or self._sensing is None or self._hidden is None:
            return DiagnosticStatus.OK, "", {}
        names = ("p50", "p99", "p99.9", "max")
        values: dict[str, object] = {
            "mode": Mode(status.mode).words,
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
            "hangs": self._pace.hangs if self._pace is not None else 0,
        }
        values |= self._sensing.report(self.now_ns())
        level, said, of_hidden = self._hidden.report()
        values |= of_hidden
        level = max(level, _LEVELS.get(status.mode, DiagnosticStatus.OK))
        mode = Mode(status.mode).words
        message = "; ".join(filter(None, [f"{mode}: {status.reason}" if status.reason else mode, said]))
        total = status.ticks + status.missed
        if level == DiagnosticStatus.OK and status.missed > _MISSED_SHARE * total:
            level, message = (
                DiagnosticStatus.WARN,
                f"{100 * status.missed / total:.2f} % of the ticks were missed",
            )
        if isinstance(self._loop, PeriodicLoop):
            values |= {f"note {i}": line for i, line in enumerate(self._loop.notes, 1)}
        return level, message, values

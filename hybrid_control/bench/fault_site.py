"""The robot of a campaign of faults where it drives: its graph, an errand between two goals, a fault, and the judge."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hybrid_control.bench.fault_kinds import Fault
from hybrid_control.bench.fault_robot import CLOCK, start
from hybrid_control.bench.fault_truth import Pulse, Stop, Truth, stopped_after
from hybrid_control.bench.fault_wires import Wires
from hybrid_control.navigation.reflex.modes import Mode
from hybrid_control.sim.worlds import load_world

ANSWERS = 15.0  # s after a fault's end within which the robot drives, or says why not
RETURNS = 60.0  # s after which a robot that only says why not is given up, and another one takes its place
_FRESH, _FRESH_DIAGNOSTICS = 1.0, 2.5  # s, age of what counts as being said now
_DRIVES = 0.15  # m driven (or turned, 0.3 m a radian) that count as driving again
_FAST = 0.15  # m/s from which on the robot is worth a fault
_STUCK = 7.0  # s of standing after which the errand turns to the other goal
_LOOK = 0.02  # s between two looks


@dataclass
class Row:
    """One fault and what came of it. Times in s; began: since the campaign's begin; limit, stopped: from the fault's
    begin until the base must be and was at rest, None where nothing had to stop or the fault was too short to tell;
    late: of this machine, added to the limit; drove, back: from the fault's end until it drove, until all was as it
    was; said: why it did not drive."""

    number: int
    kind: str
    what: str
    graph: int
    began: float
    seconds: float
    speed: float
    limit: float | None = None
    stopped: float | None = None
    contacts: int = 0
    late: float = 0.0
    drove: float | None = None
    back: float | None = None
    said: str = ""
    failures: list[str] = field(default_factory=list)

    def line(self) -> str:
        """For the person who looks on."""
        parts = [f"{self.number:4} {self.kind:15} {self.what}"]
        if self.stopped is not None and self.limit is not None:
            parts.append(f"stopped {self.stopped:.2f} of {self.limit:.2f} s")
        parts.append(
            f"drove after {self.drove:.1f} s" if self.drove is not None else f"did not drive: {self.said}"
        )
        if self.back is not None and self.drove is not None and self.back - self.drove > 0.5:
            parts.append(f"all back after {self.back:.1f} s")
        if self.drove is not None and self.back is None:
            parts.append(f"not all back after {RETURNS:g} s: {self.said}")
        if self.late > 0.05:
            parts.append(f"machine {self.late:.2f} s late")
        parts.append("FAILED: " + "; ".join(self.failures) if self.failures else "ok")
        return " │ ".join(parts)


class GraphLost(Exception):
    """The graph can't be used any more; the message says why."""


def judge_stop(stop: Stop, row: Row, truth: Truth, begun: float, ended: float) -> None:
    """Whether the base came to rest in time; a fault that was over before the limit tells nothing."""
    limit = stop.limit(row.speed) + row.late
    if ended - begun < limit:
        return
    row.limit, row.stopped = limit, stopped_after(truth, begun, ended)
    if row.stopped > limit:
        row.failures.append("moved beyond the limit")


class Site:
    """A graph in its world, the wires to it, and an errand between two goals."""

    def __init__(self, graph: str, world: str, seed: int, domain: int, pulse: Pulse) -> None:
        place = load_world(world, seed)
        self._goals = [place.goal, (place.start.x, place.start.y)]
        self.robot = start(graph, world, seed, domain)
        self.wires = Wires(domain, graph == CLOCK)
        self.graph, self.count = graph, 0
        self._pulse = pulse
        self._goal_at = self._traced = 0.0

    # -- what is known -------------------------------------------------------------------------------------------

    @property
    def _mode(self) -> int | None:
        """The reflex's mode as it says now, None where it says nothing."""
        heard = self.wires.heard
        return int(heard.status.mode) if time.monotonic() - heard.status_at < _FRESH else None

    def why(self, since: float) -> str:
        """Why the robot does not drive, by its status, diagnostics or what `up` printed; "" where nobody says."""
        heard, now = self.wires.heard, time.monotonic()
        mode = self._mode
        if mode is not None and mode != Mode.HYBRID and heard.status.reason:
            return str(heard.status.reason)
        for name, (level, message, at) in list(heard.said.items()):
            if level > 0 and message and now - at < _FRESH_DIAGNOSTICS and "sim_node" not in name:
                return f"{name}: {message}"
        lines = [line for line in self.robot.said(since) if line.startswith("up ")]
        return lines[-1].split(": ", 1)[-1] if lines else ""

    def last_line(self) -> str:
        """What was printed last of an error, and what `up` printed last."""
        lines = [line for _, line in self.robot.lines]
        errors = [
            line.split("]: ", 1)[-1] for line in lines if "[ERROR]" in line or "hybrid_control_ros: " in line
        ]
        return "; ".join([*errors[-1:], *lines[-1:]]) or "it said nothing"

    def late(self, begin: float, end: float) -> float:
        """Seconds by which this machine was late: its simulator, and its ordinary threads."""
        return self.wires.truth.late(begin, end) + self._pulse.late(begin, end)

    def truth_since_last(self) -> list[Any]:
        """Ground truth since the last call, a tenth of it."""
        begin, self._traced = self._traced, time.monotonic()
        return self.wires.truth.between(begin, self._traced)[::10]

    # -- what is done --------------------------------------------------------------------------------------------

    def watch(self, seconds: float, errand: bool, until: Callable[[], bool] | None = None) -> bool:
        """Look on for so long, or until something is so; whether it became so."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if until is not None and until():
                return True
            if errand:
                self._errand()
            if not self.robot.alive:
                return False
            time.sleep(_LOOK)
        return until is not None and until()

    def _errand(self) -> None:
        """Send the robot on where it has no goal, has arrived, or stands for long."""
        mode, now = self._mode, time.monotonic()
        if mode is None or now - self._goal_at < 1.5:
            return
        reason = self.wires.heard.status.reason
        stuck = now - self._goal_at > _STUCK and self.wires.truth.driven(now - _STUCK, now) < _DRIVES
        if mode == Mode.ARRIVED or stuck:
            self._goals.reverse()
        if mode == Mode.ARRIVED or stuck or "goal" in reason:
            self.wires.send_goal(*self._goals[0])
            self._goal_at = now

    def drives(self, seconds: float) -> None:
        """Wait until the robot drives with everything in order; GraphLost where it does not."""
        begun = time.monotonic()

        def good() -> bool:
            newest = self.wires.truth.newest
            return self._mode == Mode.HYBRID and newest is not None and newest.speed > _FAST

        if not self.watch(seconds, errand=True, until=good):
            why = self.why(begun) if self.robot.alive else self.last_line()
            raise GraphLost(f"does not drive within {seconds:g} s: {why or 'it does not say why'}")

    def befall(self, fault: Fault, row: Row, campaign_begun: float) -> None:
        """One fault from its begin until the robot is as before, or given up."""
        truth = self.wires.truth
        begun = time.monotonic()
        row.began = begun - campaign_begun
        try:
            try:
                fault.begin()
                self.watch(fault.seconds, errand=False)
            finally:
                ended = time.monotonic()
                fault.end()
        except OSError as error:  # its object is away, or the machine does not let us
            row.failures.append(f"the fault itself failed: {error}")
        row.what = fault.describe()
        row.late = self.late(begun, ended)
        limits = self.robot.limits
        row.speed = max(
            (s.of_wheels(limits.half_track) for s in truth.between(begun - 0.1, begun + 0.35)), default=0.0
        )
        if fault.stop:
            judge_stop(limits.stop(fault.stop), row, truth, begun, ended)
        self._await(row, begun, ended)
        over = time.monotonic()
        row.contacts = truth.contacts(begun, over)
        if row.contacts:
            row.failures.append(f"{row.contacts} contacts")
        fastest = max((abs(s.speed) for s in truth.between(begun, over)), default=0.0)
        if fastest > limits.fastest:
            row.failures.append(f"{fastest:.2f} m/s")
        if not self.robot.alive:
            row.failures.append(f"everything ended: {self.last_line()}")

    def _await(self, row: Row, begun: float, ended: float) -> None:
        """Until all is as before the fault; the errand goes on."""
        truth = self.wires.truth

        def drove() -> bool:
            return truth.driven(ended, time.monotonic()) >= _DRIVES

        def back() -> bool:
            return row.drove is not None and self._mode == Mode.HYBRID

        if self.watch(ANSWERS, errand=True, until=drove):
            row.drove = time.monotonic() - ended
        else:
            row.said = self.why(begun)
            late = self.late(ended, time.monotonic())
            if not row.said and not self.watch(
                late, errand=True, until=lambda: bool(self.why(begun)) or drove()
            ):
                row.failures.append(f"neither drives nor says why after {ANSWERS:g} s")
            if self.watch(RETURNS - ANSWERS, errand=True, until=drove):
                row.drove = time.monotonic() - ended
        if self.watch(max(0.0, ended + RETURNS - time.monotonic()), errand=True, until=back):
            row.back = time.monotonic() - ended
            return
        row.said = self.why(begun)
        if not row.said:
            row.failures.append(f"not as before after {RETURNS:g} s, and does not say why")

"""`hybrid-control bench faults`: a simulated robot drives between goals, and every few seconds something befalls it.

One `hybrid-control up sim` in real time, its nodes in processes of their own, with all wires between sensors, nodes
and base in this process's hand. What befalls the robot is drawn by seed (fault_kinds.py), lasts 0.3 to 3 s and is taken
away. The simulator's ground truth judges: no contact; where the robot must stop, no motion beyond a limit that follows
from its timeouts, its braking and its speed; and after the fault it drives within 15 s or says why not. What this
machine itself is late by is measured beside it and added to every limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from hybrid_control.bench.fault_kinds import KINDS, Fault
from hybrid_control.bench.fault_robot import Robot
from hybrid_control.bench.fault_truth import Pulse, Stop, Truth, stopped_after
from hybrid_control.bench.fault_wires import CLOCK_REMAP, REMAPS, Wires
from hybrid_control.bench.machine import machine
from hybrid_control.navigation.reflex.modes import Mode
from hybrid_control.sim.worlds import load_world

ANSWERS = 15.0  # s after a fault's end within which the robot drives, or says why not
RETURNS = 60.0  # s after which a robot that only says why not is given up, and another one takes its place
PER_GRAPH = 40  # faults that befall one graph
_START = 180.0  # s until a new graph must drive; numba may have to compile the reflex first
_READY = 60.0  # s until a graph must drive on to the next fault
_FRESH, _FRESH_DIAGNOSTICS = 1.0, 2.5  # s, age of what counts as being said now
_DRIVES = 0.15  # m driven (or turned, 0.3 m a radian) that count as driving again
_FAST = 0.15  # m/s from which on the robot is worth a fault
_STUCK = 7.0  # s of standing after which the errand turns to the other goal
_LOOK = 0.02  # s between two looks
_TOO_FAST = 1.2  # m/s; max_speed of the reflex is 1.0
_END = 2.0  # s in which Ctrl-C ends everything


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
        if self.late > 0.05:
            parts.append(f"machine {self.late:.2f} s late")
        parts.append("FAILED: " + "; ".join(self.failures) if self.failures else "ok")
        return " │ ".join(parts)


@dataclass(frozen=True)
class Settings:
    """What is to be done. kinds: names of `KINDS`; domain: a ROS domain that nobody else uses."""

    faults: int
    seed: int
    kinds: tuple[str, ...]
    world: str
    domain: int


class GraphLost(Exception):
    """The graph can't be used any more; the message says why."""


class Campaign:
    """Runs the faults. say: takes a line for a person."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self._settings, self._say = settings, say
        self._begun = time.monotonic()
        self._pulse = Pulse()
        self._site: _Site | None = None
        self.rows: list[Row] = []
        self.graphs: list[dict[str, Any]] = []
        self.trace: list[tuple[float, float]] = []

    def run(self) -> None:
        """All of them; KeyboardInterrupt leaves what was done so far in `rows`."""
        self._pulse.start()
        try:
            for number, kind in order(self._settings):
                self._one(number, kind)
        finally:
            self._pulse.end()
            self._leave("")

    def _one(self, number: int, kind: str) -> None:
        random = np.random.default_rng((self._settings.seed, number))
        for attempt in range(3):
            try:
                site = self._ready(KINDS[kind].sim_time, float(random.uniform(0.0, 1.0)))
            except GraphLost as lost:
                self._leave(str(lost))
                if attempt == 2:
                    raise ValueError(f"no graph that drives: {lost}") from None
                continue
            break
        fault = KINDS[kind].make(site.robot, site.wires, random)
        row = Row(number, kind, "", len(self.graphs), 0.0, fault.seconds, 0.0)
        site.count += 1
        site.befall(fault, row, self._begun)
        self.rows.append(row)
        self.trace += [(round(s.t - self._begun, 2), round(s.speed, 3)) for s in site.truth_since_last()]
        self._say(row.line())
        if row.contacts or row.back is None or not site.robot.alive:
            self._leave(f"after fault {number}")

    def _ready(self, sim_time: bool, delay: float) -> _Site:
        """A robot that drives, after so many s of looking on."""
        site = self._site
        if site is not None and (site.sim_time != sim_time or site.count >= PER_GRAPH or site.robot.worn()):
            self._leave("")
            site = None
        if site is None:
            seed = (self._settings.seed * 1000 + len(self.graphs)) % 2**31
            self.graphs.append({"seed": seed, "sim_time": sim_time, "began": time.monotonic() - self._begun})
            site = self._site = _Site(self._settings, seed, sim_time, self._pulse)
            site.drives(_START)
            self.graphs[-1]["startup_s"] = time.monotonic() - self._begun - self.graphs[-1]["began"]
            self._say(f"graph {len(self.graphs)}: {self._settings.world}, seed {seed}, drives")
        site.watch(delay, errand=True)
        site.drives(_READY)
        return site

    def _leave(self, why: str) -> None:
        """End the graph; an end that is not orderly is a failure of the graph's own."""
        site, self._site = self._site, None
        if site is None:
            return
        ended_before = not site.robot.alive
        begun = time.monotonic()
        status, seconds = site.robot.end()
        late = self._pulse.late(begun, time.monotonic())
        site.wires.close()
        failures = []
        if ended_before:
            failures.append(f"everything ended by itself (status {status}): {site.last_line()}")
        elif status != 0:
            failures.append("Ctrl-C did not end it" if status is None else f"exit status {status}")
        elif seconds > _END + late:
            failures.append(f"Ctrl-C took {seconds:.1f} s, {_END:g} s are allowed")
        self.graphs[-1] |= {
            "faults": site.count, "end_s": seconds, "late_s": late, "left": why, "failures": failures,
        }  # fmt: skip
        if failures or why:
            self._say(f"graph {len(self.graphs)} left {why}{': ' if failures else ''}{'; '.join(failures)}")

    def result(self) -> dict[str, Any]:
        """A dictionary for a JSON file."""
        settings = self._settings
        rows = [asdict(row) for row in self.rows]
        kinds = {name: _sum(name, [r for r in self.rows if r.kind == name]) for name in settings.kinds}
        return {
            "benchmark": "faults",
            "machine": machine(),
            "seed": settings.seed,
            "world": settings.world,
            "asked": settings.faults,
            "seconds": time.monotonic() - self._begun,
            "held": all(not r.failures for r in self.rows)
            and all(not g.get("failures") for g in self.graphs),
            "answers_s": ANSWERS,
            "returns_s": RETURNS,
            "kinds": kinds,
            "graphs": self.graphs,
            "rows": rows,
            "trace": self.trace[:: max(1, len(self.trace) // 20_000)],
        }


def judge_stop(stop: Stop, row: Row, truth: Truth, begun: float, ended: float) -> None:
    """Whether the base came to rest in time; a fault that was over before the limit tells nothing."""
    limit = stop.limit(row.speed) + row.late
    if ended - begun < limit:
        return
    row.limit, row.stopped = limit, stopped_after(truth, begun, ended)
    if row.stopped > limit:
        row.failures.append("moved beyond the limit")


def order(settings: Settings) -> Iterable[tuple[int, str]]:
    """Every fault's number and kind: all kinds equally often, in an order by seed; those of /clock last."""
    random = np.random.default_rng(settings.seed)
    drawn: list[str] = []
    while len(drawn) < settings.faults:
        drawn += [settings.kinds[i] for i in random.permutation(len(settings.kinds))]
    numbered = list(enumerate(drawn[: settings.faults], 1))
    return sorted(numbered, key=lambda pair: KINDS[pair[1]].sim_time)


def _sum(name: str, rows: list[Row]) -> dict[str, Any]:
    """A kind's rows in a few numbers."""
    judged = [(r.stopped / r.limit, r) for r in rows if r.stopped is not None and r.limit]
    worst = max(judged, key=lambda pair: pair[0])[1] if judged else None
    return {
        "help": KINDS[name].help,
        "faults": len(rows),
        "failed": sum(bool(r.failures) for r in rows),
        "contacts": sum(r.contacts for r in rows),
        "judged_stops": len(judged),
        "worst_stop_s": worst.stopped if worst else None,
        "its_limit_s": worst.limit if worst else None,
        "slowest_drive_s": max((r.drove for r in rows if r.drove is not None), default=None),
        "only_said_why": sum(r.drove is None and not r.failures for r in rows),
        "failures": sorted({f for r in rows for f in r.failures}),
    }


class _Site:
    """A graph in its world, the wires to it, and an errand between two goals."""

    def __init__(self, settings: Settings, seed: int, sim_time: bool, pulse: Pulse) -> None:
        world = load_world(settings.world, seed)
        self._goals = [world.goal, (world.start.x, world.start.y)]
        remaps = f"{REMAPS}; {CLOCK_REMAP}" if sim_time else REMAPS
        words = ["--world", settings.world, "--seed", str(seed), "--remap", remaps]
        self.robot = Robot([*words, "--use-sim-time", "true"] if sim_time else words, settings.domain)
        self.wires = Wires(settings.domain, sim_time)
        self.sim_time, self.count = sim_time, 0
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
        lines = [line for line in self.robot.said(since) if line.startswith("up sim: ")]
        return lines[-1].removeprefix("up sim: ") if lines else ""

    def last_line(self) -> str:
        """What `up` printed last."""
        return self.robot.lines[-1][1] if self.robot.lines else "it said nothing"

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
        row.speed = max((abs(s.speed) for s in truth.between(begun - 0.1, begun + 0.35)), default=0.0)
        row.late = self.late(begun, ended)
        if fault.stop is not None:
            judge_stop(fault.stop, row, truth, begun, ended)
        self._await(row, begun, ended)
        over = time.monotonic()
        row.contacts = truth.contacts(begun, over)
        if row.contacts:
            row.failures.append(f"{row.contacts} contacts")
        fastest = max((abs(s.speed) for s in truth.between(begun, over)), default=0.0)
        if fastest > _TOO_FAST:
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


def ready_kinds(names: Iterable[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Those of the kinds that can be done here, and for each other one why not."""
    missing = {name: KINDS[name].missing() for name in names}
    return tuple(name for name, why in missing.items() if not why), {n: w for n, w in missing.items() if w}
